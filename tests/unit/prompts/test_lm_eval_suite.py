"""Tasks of lm-eval as few-shot sets: the text and the metrics are lm-eval's, scores are exact."""

import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import oracles
import pytest
from lm_eval.tasks import manager

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.queries import Answer, Readout
from mdlm_probe.probes._few_shot import lm_eval_choices, questions, scoring
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.prompts import lm_eval_documents, lm_eval_suite, lm_eval_trust, shipped
from mdlm_probe.prompts.few_shot_sets import Example, Task, ask, shot
from mdlm_probe.prompts.few_shot_sets import Template as PlainTemplate
from mdlm_probe.prompts.prompt import Prompt
from mdlm_probe.prompts.suite import load
from mdlm_probe.runs.rough_border import RoughBorder

SUITE = ("suite_animal", "suite_colour", "suite_verb")
LOCAL = [*SUITE, *(f"{name}_words" for name in SUITE)]
HUB = [
    *("sst2_options", "ag_news_options", "mrpc_options", "rte_options", "qnli_options"),
    "hotpotqa_two_options",
]
TASK = """
task: weather
dataset_path: json
dataset_kwargs: {data_files: {train: weather.jsonl, test: weather.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
num_fewshot: 2
doc_to_text: "Sky: {{sky}}\\nWeather:"
doc_to_choice: "{{choices}}"
doc_to_target: label
metric_list: [{metric: acc}, {metric: acc_norm}, {metric: acc_bytes}]
"""
ROWS = [
    {"sky": f"no {i} is {sky}", "choices": ["fine", "rain or sleet", "füüü"], "label": i % 3}
    for i, sky in enumerate(["blue", "grey", "odd"] * 4)
]


def write(folder, text=TASK, rows=ROWS):
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "weather.jsonl").write_text(lines)
    (folder / "weather.yaml").write_text(text)
    return str(folder)


def loaded(folder, text=TASK, task="weather", **given):
    return lm_eval_suite.load(
        lm_eval_suite.name_of(task, include_path=write(folder, text), **given), "small"
    )


@pytest.mark.parametrize(
    "more",
    [
        "",
        "target_delimiter: ''\n",
        "fewshot_delimiter: ' ###\\n'\n",
        "fewshot_delimiter: '].\\n\\n'\ntarget_delimiter: ' ['\n",
        "description: 'Look up.\\n\\n'\n",
        "gen_prefix: 'It is'\n",
        "fewshot_config: {doc_to_text: 'Sky {{sky}}:'}\n",
        "fewshot_config: {sampler: first_n}\n",
    ],
)
def test_the_text_is_lm_evals_own(tmp_path, more):
    source = loaded(tmp_path, TASK + more)["weather-smallest"]
    task, (item,) = source.documents.task, source.items(1, 0, 3)
    drawn = source._drawn(3, 0)
    task.sampler.sample = lambda n, **_: drawn
    doc = next(d for d in task.eval_docs if source.documents.example(d) == item)
    theirs = task.fewshot_context(doc, num_fewshot=3, gen_prefix=task.doc_to_prefix(doc))
    known = source.written("relevant", 3, 0, "letter")
    turns = (*(k.turn for k in known), ask(source.template, item, None))
    assert source.prompt(turns, known).text() == theirs
    requests = task.construct_requests(doc, theirs)
    assert source.continuations(item, chat=False) == tuple(r.args[1] for r in requests)
    assert source.continuations(item, chat=True) == item.options


def test_spaces_before_an_answer_belong_to_it(tmp_path):
    """As lm-eval cuts it: no token of the context ends in them."""
    text = TASK.replace("Weather:", "Weather: ") + "target_delimiter: ''\n"
    source = loaded(tmp_path, text)["weather-smallest"]
    (item,) = source.items(1, 0, 2)
    assert ask(source.template, item, 1)[0].endswith("\nWeather:")
    assert source.continuations(item, chat=False)[0] == " fine"
    assert all(k.turn[0].endswith("Weather: ") for k in source.written("relevant", 2, 0, "letter"))


def test_metrics_choose_as_lm_eval_does(tmp_path):
    rng = np.random.default_rng(0)
    seen = set()
    for metric in lm_eval_suite.METRICS:
        source = loaded(tmp_path, metric=metric)["weather-smallest"]
        task = source.documents.task
        for doc in list(task.eval_docs) * 5:
            lls = rng.uniform(-9, -1, 3)
            wanted = task.process_results(doc, [(ll, False) for ll in lls])
            answers = [
                Answer(
                    {Readout("chosen", (0,)): np.array([[ll]])}
                    | dict.fromkeys(scoring.READOUTS, np.zeros(1))
                )
                for ll in lls
            ]
            asked = scoring.ScoringQueries(
                SimpleNamespace(ids=()), (), (((0, 0),), ((1, 0),), ((2, 0),))
            )
            row = lm_eval_choices.row(
                None, source, source.documents.example(doc), asked, answers, "letter"
            )
            assert row["correct"] == wanted[metric]
            assert row["logp_right"] == lls[doc["label"]]
            seen.add(tuple(wanted.values()))
    assert len(seen) > 3, "the metrics differ somewhere"


def test_choices_of_any_length_are_scored_exactly():
    """The chain rule over an oracle's masks against the joint, written out."""
    config = SimpleNamespace(config=SimpleNamespace(target_delimiter=""))
    documents = SimpleNamespace(task=config, description="")
    template = lm_eval_suite.ChoiceTemplate("{question}", "{text}", "", "{answer}", "", "")
    own = Task("letters", 4)
    source = lm_eval_suite.LmSet("letters", own, own, template, template, documents, "acc")
    example = Example(("a", "b", "cad", "cab"), 2, "abcdabd")
    engine = oracles.engine(3)
    prompt = Prompt((ask(template, example, 1),), "", "")
    query = lm_eval_choices.query(engine, source, example, prompt, "letter", "x")
    spread = lm_eval_choices.spread(engine, source, example, query, 1)
    # a or b; the first, second and third token of cad and cab
    assert [len(q.readouts[0].args) for q in spread.queries] == [2, 1, 1, 2]
    found = engine.ask(list(spread.queries))
    row = lm_eval_choices.row(engine, source, example, spread, found, "letter")
    context = engine.border.pieces("abcdabd")
    for letter, text in zip("ABCD", example.options, strict=True):
        exact = oracles.joint(3, context, len(text))[engine.border.pieces(text)]
        assert row[f"logp_{letter}"] == pytest.approx(math.log(exact), abs=1e-5)
    assert row["right"] == "C"
    assert row["logp_right"] == row["logp_C"]


@pytest.mark.parametrize("name", SUITE)
def test_the_shipped_documents_are_the_suites(name):
    relevant = name.removeprefix("suite_")
    fs = load("few-shot", "small")[f"{relevant}-smallest"]
    suite = lm_eval_suite.load(lm_eval_suite.name_of(name + "_words"), "small")
    source = suite[f"{name}_words-smallest"]
    assert suite.shots == 10
    asked = [source.documents.example(doc) for doc in source.documents.asked]
    assert [(e.options, e.right) for e in asked] == [
        (e.options, e.right) for e in fs.items(50, 0, 20)
    ]
    turns = {shot(fs.template, e, "word") for e in fs.shots("relevant", 20, 0)}
    written = source.written("relevant", 20, 0, "word")
    found = [f"{k.turn[0]}{k.joint}{k.turn[1]}{k.end}" for k in written]
    assert set(found) == {f"{q}\n{a}\n\n" for q, a in turns}


def test_a_shipped_question_is_the_suites_to_the_token():
    entry = models.resolve("tiny-mdlm")
    asker = SimpleNamespace(entry=entry, border=models.load_border(entry))
    own = questions.FewShotCell("few-shot", "animal-smallest", "small", "word", 3, 20, 0, 0, 4)
    suite = lm_eval_suite.name_of("suite_animal_words")
    theirs = questions.FewShotCell(suite, "suite_animal_words-smallest", *tuple_of(own)[2:])
    queries = []
    for cell in (own, theirs):
        (example,) = questions.test_points([cell])
        asked = ask(questions.template_of(cell), example, 0)
        query = questions.query(asker, cell, example, questions.prompt(cell, (asked,)))
        queries.append(questions.spread(asker, cell, example, query).queries)
    (mine,), (found,) = queries
    assert (mine.ids, mine.positions) == (found.ids, found.positions)
    assert mine.readouts == found.readouts


def tuple_of(cell):
    return tuple(getattr(cell, name) for name in cell.__slots__)


def test_shots_are_nested_and_never_asked(tmp_path):
    source = loaded(tmp_path)["weather-smallest"]
    five, three = source.shots("relevant", 5, 0), source.shots("relevant", 3, 0)
    assert five[:3] == three
    assert five != source.shots("relevant", 5, 1)
    items = source.items(7, 0, 5)
    assert not set(items) & set(five)
    assert source.items(3, 0, 5) == items[:3]
    assert source.shots("distractor", 2, 0)[0].options[0].isdigit()


def test_tasks_are_listed_by_lm_eval_and_local_ones_run_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    with lm_eval_documents.quiet():
        manager = TaskManager(
            include_path=str(shipped.folder() / "lm_eval"), include_defaults=False
        )
        assert set(manager.all_subtasks) == {*LOCAL, *HUB}
        found = simple_evaluate(
            "dummy", tasks=["suite_animal", "suite_verb_words"], task_manager=manager, limit=4
        )
    assert set(found["results"]) == {"suite_animal", "suite_verb_words"}
    assert len(found["samples"]["suite_animal"]) == 4
    context = found["samples"]["suite_animal"][0]["arguments"][0][0]
    assert context.count("Options: (A) ") == 11
    assert context.endswith("\nAnswer:[")


@pytest.mark.parametrize("name", [*LOCAL, *HUB])
def test_every_shipped_task_takes_documents_of_a_file(tmp_path, name):
    """What the hub gives has these columns; so may a file."""
    rows = [
        {
            **{c: f"{c} {i}" for c in ("sentence", "sentence1", "sentence2", "question", "text")},
            "label": i % 2,
            "answer": i % 2,
            "options": [f"yes {i}", "no", "never"],
        }
        for i in range(9)
    ]
    path = tmp_path / "own.json"
    path.write_text(json.dumps(rows))
    source = next(
        iter(lm_eval_suite.load(lm_eval_suite.name_of(name, data=str(path)), "small").sets.values())
    )
    items = source.items(6, 0, 3)
    assert len(items) == 6
    assert {item.right for item in items} == {0, 1}
    assert len(source.written("relevant", 3, 0, "letter")) == 3


def test_hotpotqas_questions_of_yes_or_no_become_two_options(tmp_path):
    import datasets

    context = {"title": ["A", "B"], "sentences": [["a is. ", "So."], ["b."]]}
    rows = [{"question": "q", "answer": a, "context": context} for a in ("yes", "Paris", "no")]
    with lm_eval_documents.quiet():
        path = shipped.folder() / "lm_eval" / "hotpotqa_two_options.yaml"
        from lm_eval.tasks._yaml_loader import load_yaml

        made = load_yaml(path)["process_docs"](datasets.Dataset.from_list(rows))
    assert [row["answer"] for row in made] == [0, 1]
    assert made[0]["text"] == "A: a is. So.\nB: b."
    assert set(made.column_names) == {"question", "answer", "text", "options"}


def test_csv_gives_the_same_documents(tmp_path):
    text = TASK.replace('"{{choices}}"', "[fine, rain]")
    rows = [{"sky": row["sky"], "label": row["label"] % 2} for row in ROWS]
    write(tmp_path, text)
    (tmp_path / "own.csv").write_text(
        "sky,label\n" + "".join(f"{r['sky']},{r['label']}\n" for r in rows)
    )
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    found = [
        loaded(tmp_path, text, data=str(tmp_path / name))["weather-largest"].items(5, 0, 3)
        for name in ("own.csv", "own.jsonl")
    ]
    assert found[0] == found[1]


def test_other_documents_are_another_measurement(tmp_path):
    given = {"lm_eval_task": "weather", "include_path": write(tmp_path), "data": "", "metric": None}
    given |= {"suite": "few-shot", "lexicon": "small", "options": None, "seed": 0}
    given |= {"shots": (), "distractors": 4}
    first = questions.sources(**given, limit=4)
    lm_eval_suite.load.cache_clear()
    write(tmp_path, rows=[*ROWS[:-1], ROWS[-1] | {"sky": "green"}])
    assert questions.sources(**given, limit=10) != questions.sources(**given, limit=4)
    lm_eval_suite.load.cache_clear()
    write(tmp_path, rows=[{**row, "sky": row["sky"].upper()} for row in ROWS])
    assert questions.sources(**given, limit=4) != first
    lm_eval_suite.load.cache_clear()
    write(tmp_path)
    assert questions.sources(**given, limit=4) == first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TASK.replace("label\n", "lable\n"), "right answer of a document is 'lable'"),
        (TASK.replace("{{sky}}", "{{sea}}"), "'sea' is undefined"),
        (TASK.replace("multiple_choice", "generate_until"), "'weather' is generate_until"),
        (TASK.replace("train: weather.jsonl", "train: none.jsonl"), "no file none.jsonl"),
        (TASK + "process_results: !function os.getcwd\n", "metrics of its own"),
        (TASK + "description: '{{sky}}'\n", "description differs between documents"),
        (TASK.replace("label\n", "'[0, 1]'\n"), "asks no single question"),
    ],
)
def test_tasks_that_cannot_be_asked_say_why(tmp_path, text, message):
    with pytest.raises(ProbeError, match=message), lm_eval_trust.trusting():
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"task": "wether"}, r"unknown lm-eval task 'wether'[\s\S]*'weather'"),
        ({"metric": "f1"}, "no metric f1"),
        ({"data": "none.jsonl"}, "none.jsonl is no file"),
        ({"data": "bad.jsonl"}, "bad.jsonl has no column choices, label"),
        ({"data": "torn.jsonl"}, "can't be read"),
        ({"data": "uneven.jsonl"}, "holds no table"),
    ],
)
def test_bad_data_and_names_are_named(tmp_path, monkeypatch, given, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lm_eval_documents, "shipped", dict)
    (tmp_path / "bad.jsonl").write_text('{"sky": "a"}\n')
    (tmp_path / "torn.jsonl").write_text('{"sky": \n')
    (tmp_path / "uneven.jsonl").write_text('{"sky": "a"}\n{"sea": "a"}\n')
    with pytest.raises(ProbeError, match=message):
        loaded(tmp_path, **given)


def test_groups_are_refused_by_name(tmp_path, monkeypatch):
    """Of lm-eval's 14,000 files, which take ten seconds, those of one folder stand for all."""
    shutil.copytree(Path(manager.__file__).parent / "glue", tmp_path / "glue")
    monkeypatch.setattr(manager, "__file__", str(tmp_path / "manager.py"))
    monkeypatch.setattr(lm_eval_documents, "shipped", lm_eval_documents.shipped.__wrapped__)
    with pytest.raises(ProbeError, match=r"'glue' is several lm-eval tasks[\s\S]*sst2"):
        lm_eval_suite.load(lm_eval_suite.name_of("glue"), "small")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"data": "x.csv"}, "--data without --lm-eval-task"),
        ({"include_path": "x"}, "--include-path without"),
        ({"lm_eval_task": "x", "suite": "my.yaml"}, "--lm-eval-task and --suite are both given"),
        ({"lm_eval_task": "x", "options": 2}, "--lm-eval-task and --options are both"),
    ],
)
def test_options_that_do_not_go_together_are_named(given, message):
    usual = {"suite": "few-shot", "options": None, **dict.fromkeys(lm_eval_suite.OWN)}
    with pytest.raises(ProbeError, match=message):
        lm_eval_suite.named(**{**usual, **given})


def test_words_that_a_tokenizer_lacks_are_said(tmp_path):
    entry = models.resolve("tiny-mdlm")
    asker = SimpleNamespace(entry=entry, border=models.load_border(entry))
    source = loaded(tmp_path)["weather-smallest"]
    (item,) = source.items(1, 0, 2)
    with pytest.raises(ProbeError, match="that tiny-mdlm doesn't know"):
        lm_eval_choices.tokens_of(asker, source, item)


def test_a_plan_needs_no_tokenizer():
    entry = models.resolve("llada-8b")
    counter = DryRun(entry, RoughBorder(entry))
    cells = locality.plan(lm_eval_task="suite_animal", limit=2, positions=(0, 40))
    assert [cell for cell, _ in locality.measure(counter, cells)] == cells
    assert len(counter.lengths) == 2 * 2 * 2


def test_a_suites_answer_is_one_query():
    """What was asked before is asked still: no task of lm-eval, no spreading."""
    cell = questions.FewShotCell("few-shot", "animal-smallest", "small", "word", 3, 2, 0, 0, 0)
    assert isinstance(questions.template_of(cell), PlainTemplate)
    query = SimpleNamespace(ids=())
    assert questions.spread(None, cell, None, query) == scoring.ScoringQueries(query, (query,))
