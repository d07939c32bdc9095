"""Documents longer than a model reads, and tasks that give no number."""

import json

import pytest
from checkpoints import BOS, special_ids, write_llada, write_llama
from eval_tasks import Request
from lm_over import lm_over
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.harness import request_tokens, run
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.runs.executors import InProcess
from mdlm_probe.runs.plan import Job

CONTEXT = 24
LOADED = InProcess()
"""Keeps the model from one evaluation to the next."""
ROWS = [
    {"question": " cat dog", "answer": 0},
    {"question": " cat dog" * 20, "answer": 0},
    {"question": " red", "answer": 1},
    {"question": " red cat" * 15, "answer": 1},
]
TASK = """
task: t_overlong
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: multiple_choice
test_split: test
doc_to_text: question
doc_to_choice: [" cat", " dog red"]
doc_to_target: answer
target_delimiter: ""
metric_list: [{metric: METRIC}]
"""
WRITTEN = """
task: t_overlong
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl}}
output_type: generate_until
test_split: test
doc_to_text: question
doc_to_target: answer
generation_kwargs: {until: ["."], max_gen_toks: 4, do_sample: false}
metric_list: [{metric: METRIC}]
"""


def small(write, folder):
    """A checkpoint that reads 24 tokens, and begins texts with BOS."""
    name = "max_sequence_length" if write is write_llada else "max_position_embeddings"
    return write(folder, bos=True, config={name: CONTEXT})


@pytest.fixture(scope="module", params=[write_llada, write_llama], ids=["masked", "causal"])
def model(request, tmp_path_factory):
    return small(request.param, tmp_path_factory.mktemp("model") / "m")


def task(folder, text=TASK, metric="acc"):
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    path = folder / "t.yaml"
    path.write_text(text.replace("METRIC", metric))
    return str(path)


def evaluated(model, folder, rule, name=None, **more):
    """The row, the samples and what lm-eval's results say of a run."""
    job = Job("eval", str(model), {}, output=folder / (name or rule), batch_tokens=512)
    asked = run.EvaluationRequest(
        (task(folder, **more),), log_samples=True, settings=Settings(draws=8), overlength=rule
    )
    (row,) = run.run(job, asked, Silent(), LOADED)
    (results,) = (folder / (name or rule)).glob("*/results*.json")
    (samples,) = (folder / (name or rule)).glob("*/samples*.jsonl")
    told = [json.loads(line) for line in samples.read_text().splitlines()]
    return row, told, json.loads(results.read_text())["overlong"]


@pytest.mark.parametrize("text", [TASK, WRITTEN], ids=["scored", "written"])
@pytest.mark.slow
def test_documents_say_how_many_tokens_they_lost(model, tmp_path, text):
    metric = "acc" if text is TASK else "exact_match"
    found = {
        rule: evaluated(model, tmp_path, rule, text=text, metric=metric)
        for rule in ("cut", "keep-start", "skip")
    }
    for rule, (row, samples, told) in found.items():
        lost = {sample["doc_id"]: sample["cut"] for sample in samples}
        assert told["rule"] == rule
        assert row["overlong"] == 2
        assert [number for number, cut in lost.items() if cut] == ([] if rule == "skip" else [1, 3])
        assert set(told["tokens"]["t_overlong"]) == {"1", "3"}
        assert row["n"] == len(samples) == (2 if rule == "skip" else 4)
    assert found["cut"][2]["tokens"] == found["keep-start"][2]["tokens"]
    if text is TASK:
        scores = {rule: first_scores(samples) for rule, (_, samples, _) in found.items()}
        assert scores["skip"][0] == pytest.approx(scores["cut"][0], abs=1e-4)
        assert scores["keep-start"][0] == pytest.approx(scores["cut"][0], abs=1e-4)
        assert scores["keep-start"][1] != pytest.approx(scores["cut"][1], abs=1e-4)


def first_scores(samples):
    """The log-likelihood of each document's first choice."""
    return {sample["doc_id"]: float(sample["filtered_resps"][0][0]) for sample in samples}


@pytest.mark.slow
def test_an_error_names_the_document(model, tmp_path):
    with pytest.raises(
        ProbeError, match=r"document 1 of task 't_overlong', request 0 is 1\d tokens"
    ):
        evaluated(model, tmp_path, "error")


@pytest.mark.parametrize("rule", ["keep-start", "cut"])
def test_what_opens_a_text_stays_where_that_is_asked(model, rule):
    asker = Engine(models.load(models.resolve(str(model))), batch_tokens=512)
    lm, bos = lm_over(asker, overlength=rule), special_ids()[BOS]
    room = request_tokens.longest(asker.entry)
    (item,), _ = lm._items(
        [Request(" cat" * 40, " dog")], [request_tokens.pair(asker.border, " cat" * 40, " dog")]
    )
    (cat,), (dog,) = asker.border.pieces(" cat"), asker.border.pieces(" dog")
    begin = (bos,) if rule == "keep-start" else (cat,)
    assert item.ids == (*begin, *[cat] * (room - 2), dog)
    assert item.first == room - 1


def test_a_continuation_longer_than_the_context_keeps_one_token_before_it():
    before, after = (1, 2, 3), tuple(range(10, 30))
    assert request_tokens.clip(before, after, 8).ids == after[-8:]
    kept = request_tokens.clip(before, after, 8, 1)
    assert (kept.ids, kept.first, kept.cut) == ((1, *after[-7:]), 1, 15)
    assert request_tokens.clip(before, after, 30, 1) == ((*before, *after), 3, 0)
    assert request_tokens.clip((1,), (2, 3), 1, 1) == ((3,), 1, 2)


@pytest.mark.slow
def test_answers_to_what_is_cut_otherwise_are_others(model, tmp_path):
    """A run that goes on with another rule uses the answers that are the same, and no others."""
    first = evaluated(model, tmp_path, "cut", "one")[1]
    for path in (tmp_path / "one").glob("*/*"):
        path.unlink()
    again = evaluated(model, tmp_path, "keep-start", "one")[1]
    apart = evaluated(model, tmp_path, "keep-start", "two")[1]
    first, again, apart = map(first_scores, (first, again, apart))
    assert again == pytest.approx(apart, abs=1e-4)
    assert again[0] == first[0]
    assert again[1] != pytest.approx(first[1], abs=1e-4)


@pytest.mark.slow
def test_a_task_that_gives_no_metric_is_an_error(model, tmp_path):
    with pytest.raises(ProbeError, match="'t_overlong' gave no metric; its metric_list has bleu"):
        evaluated(model, tmp_path, "cut", metric="bleu")


@pytest.mark.slow
def test_a_task_of_which_all_is_skipped_is_an_error(model, tmp_path, monkeypatch):
    monkeypatch.setattr("test_overlong.ROWS", [ROWS[1], ROWS[3]])
    with pytest.raises(ProbeError, match="--overlength skip leaves out what is too long"):
        evaluated(model, tmp_path, "skip")
