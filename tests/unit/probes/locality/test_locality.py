"""The locality probe: prompts as in the paper, and calibration on the oracle."""

import pytest
from checkpoints import write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.prompts.suite import load

SMALL = {"lexicon": "small", "answer": "word"}


class Recorder(DryRun):
    """Keeps the prompts that a probe asks."""

    def ask(self, queries):
        self.queries = list(queries)
        return super().ask(queries)


def prompts(model, **options):
    entry = models.resolve(model)
    recorder = Recorder(entry, models.load_border(entry))
    cells = locality.plan(**{**SMALL, **options})
    assert [cell for cell, _ in locality.measure(recorder, cells)] == cells
    return cells, [recorder.border.decode(q.ids) for q in recorder.queries], recorder.queries


def examples_of(text):
    return [part for part in text.split("\n\n") if part.startswith("Options")]


def test_defaults_are_the_papers():
    cells = locality.plan(limit=1)
    assert len(cells) == 16 * 9
    assert sorted({c.position for c in cells}) == [0, 5, 10, 15, 20, 25, 30, 35, 40]
    first = cells[0]
    assert (first.shots, first.distractors, first.answer_form, first.lexicon) == (
        10,
        40,
        "letter",
        "full",
    )
    assert (first.question, first.question_masks, first.options) == ("right", 0, 3)
    assert len(locality.plan()) == 16 * 9 * 1000


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
def test_only_the_blocks_position_changes(model):
    cells, texts, queries = prompts(
        model, tasks=("animal-smallest",), limit=2, positions=(0, 15, 40)
    )
    suite = load("few-shot", "small")
    fs = suite["animal-smallest"]
    relevant = [fs.template.ask(e) for e in fs.shots("relevant", 10, 0)]
    others = [fs.template.ask(e) for e in fs.shots("distractor", 40, 0)]
    for cell, text, query in zip(cells, texts, queries, strict=True):
        asked = [part.split("\nAnswer")[0] for part in examples_of(text)]
        point = fs.template.ask(fs.items(2, 0, 10)[cell.item])
        assert asked == [
            *others[: cell.position],
            *relevant,
            *others[cell.position :],
            point,
        ]
        if model == "oracle":
            assert text.endswith("\nAnswer:[<mask>].")
            assert text.count("<mask>") == 1
        else:
            assert text.endswith("\nAnswer:[")
            assert query.positions == (len(query.ids),)


@pytest.mark.parametrize(("question", "at"), [("left", 0), ("middle", 25), ("right", 50)])
def test_the_question_stands_where_it_was_asked_to(question, at):
    _, texts, _ = prompts(
        "oracle", tasks=("verb-largest",), limit=1, positions=(20,), question=(question,)
    )
    masked = [i for i, part in enumerate(examples_of(texts[0])) if "<mask>" in part]
    assert masked == [at]


def test_masks_end_the_question_and_the_first_is_asked():
    _, texts, queries = prompts(
        "oracle",
        tasks=("verb-largest",),
        limit=1,
        positions=(0,),
        masks=(1, 50),
        question=("right",),
    )
    assert texts[0].endswith("\nAnswer:[<mask>")
    assert texts[1].endswith("\nAnswer:[" + "<mask>" * 50)
    assert queries[1].positions == (len(queries[1].ids) - 50,)


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
@pytest.mark.slow
def test_the_oracle_has_no_locality_bias(model):
    """The ideal answer doesn't depend on position, place or masks; so the probe mustn't either."""
    engine = Engine(models.load(models.resolve(model)), batch_tokens=8192)
    options = {**SMALL, "tasks": ("verb-smallest",), "limit": 4, "distractors": 8, "shots": 6}
    places = {} if model == "oracle-causal" else {"question": ("left", "middle", "right")}
    masks = {} if model == "oracle-causal" else {"masks": (0, 30)}
    rows = {}
    for cell, found in locality.measure(engine, locality.plan(**options, **places, **masks)):
        assert len(found) == 1
        rows.setdefault(cell.item, []).append(found[0])
    for found in rows.values():
        assert all(row["correct"] for row in found)
        for row in found[1:]:
            assert row["logp_right"] == pytest.approx(found[0]["logp_right"], abs=1e-5)
            assert row["entropy"] == pytest.approx(found[0]["entropy"], abs=1e-4)


class Forgetful:
    """An oracle that sees only the last tokens: a planted locality bias."""

    def __init__(self, oracle, span):
        self.oracle, self.span = oracle, span
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, ids, lengths, rows, positions, origins=None):
        seen = ids.clone()
        seen[:, : -self.span] = self.entry.mask_id
        return self.oracle.states(seen, lengths, rows, positions)

    def logprobs(self, states):
        return self.oracle.logprobs(states)


def test_a_planted_bias_is_found():
    """The calibration can fail: a model that forgets is worse where it can't see the block."""
    oracle = models.load(models.resolve("oracle"))
    cells = locality.plan(
        **SMALL, tasks=("verb-smallest",), limit=30, distractors=8, shots=4, positions=(0, 8)
    )
    far, near = [], []
    engine = Engine(Forgetful(oracle, 60), batch_tokens=8192)
    for cell, (row,) in locality.measure(engine, cells):
        (near if cell.position == 8 else far).append(row["logp_right"])
    assert min(near) > -1e-3
    assert sum(far) / len(far) < -0.1


def test_causal_models_are_asked_at_the_right_only():
    (cell,) = locality.plan(limit=1, tasks=("verb-largest",), positions=(0,), question=("left",))
    assert "can't see" in locality.refuse(cell, models.resolve("tiny-arlm"))
    assert locality.refuse(cell, models.resolve("tiny-mdlm")) == ""
    (cell,) = locality.plan(limit=1, tasks=("verb-largest",), positions=(0,), masks=(2,))
    assert "no masks" in locality.refuse(cell, models.resolve("tiny-arlm"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": (41,)}, "--positions has 41"),
        ({"positions": (-1,)}, "--positions has -1"),
        ({"positions": (5, 5)}, "--positions names a value twice"),
        ({"masks": (-1,)}, "--masks has -1"),
        ({"limit": 0}, "--limit has 0"),
        ({"shots": -1}, "--shots has -1"),
        ({"question": ("left", "left")}, "--question names a value twice"),
        ({"distractors": -1}, "--distractors has -1"),
        ({"tasks": ("x",)}, "unknown task 'x'"),
        ({"options": 9}, "found 9"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        locality.plan(**options)


def test_no_distractors_is_a_case_of_its_own():
    assert {c.position for c in locality.plan(distractors=0, limit=1)} == {0}


def test_chat_models_get_messages_and_the_opening_starts_the_assistants_turn(tmp_path):
    """As in arXiv 2511.21338: user asks, assistant answers; `Answer:[` opens the last answer."""
    folder = str(write_llada(tmp_path / "my-instruct", context=4096))
    entry = models.resolve(folder)
    assert entry.chat
    recorder = Recorder(entry, models.load_border(entry))
    cells = locality.plan(
        limit=1,
        tasks=("animal-smallest",),
        shots=1,
        distractors=1,
        positions=(0,),
        question=("middle", "right"),
    )
    assert [cell for cell, _ in locality.measure(recorder, cells)] == cells
    middle, right = (recorder.border.decode(q.ids) for q in recorder.queries)
    opening = "<|start_header_id|>assistant<|end_header_id|>\n\nAnswer:["
    assert right.endswith(opening + "<|mdm_mask|>].")
    assert right.count("<|start_header_id|>user<|end_header_id|>\n\nOptions: (A) ") == 3
    assert right.count("<|eot_id|>") == 5  # the opened turn has no end
    assert middle.count(opening + "<|mdm_mask|>].<|eot_id|>") == 1
    assert middle.endswith("].<|eot_id|>")


LM = {"lm_eval_task": "suite_verb_words", "shots": 3, "distractors": 4, "positions": (0, 4)}


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
def test_an_lm_eval_tasks_shots_are_the_block(model):
    cells, texts, _ = prompts(model, **LM, limit=1)
    assert {c.set for c in cells} == {"suite_verb_words-smallest", "suite_verb_words-largest"}
    for cell, text in zip(cells, texts, strict=True):
        *shown, asked = examples_of(text)
        numbers = [part[-3].isdigit() for part in shown]
        assert numbers == [True] * cell.position + [False] * 3 + [True] * (4 - cell.position)
        assert all(part.split("Answer:[")[1].endswith("].") for part in shown)
        assert asked.endswith("\nAnswer:[<mask>]." if model == "oracle" else "\nAnswer:[")


def test_the_oracle_has_no_locality_bias_on_an_lm_eval_task():
    engine = Engine(models.load(models.resolve("oracle")), batch_tokens=8192)
    places = {"question": ("left", "middle", "right"), "masks": (0, 30)}
    cells = locality.plan(**SMALL, **LM, **places, limit=2)
    rows = {}
    for cell, (row,) in locality.measure(engine, cells):
        assert row["correct"]
        rows.setdefault((cell.set, cell.item), []).append(row["logp_right"])
    assert len(rows) == 4
    for found in rows.values():
        assert found == pytest.approx(found[:1] * 2 * 2 * 3, abs=1e-5)


def test_without_distractors_the_sets_differ_in_their_shots():
    _, texts, _ = prompts("oracle", **{**LM, "distractors": 0, "positions": ()}, limit=1)
    first, second = texts
    assert len(examples_of(first)) == len(examples_of(second)) == 4
    assert examples_of(first)[:3] != examples_of(second)[:3]
    assert examples_of(first)[-1] == examples_of(second)[-1]


def test_chat_models_get_an_lm_eval_task_as_messages(tmp_path):
    folder = str(write_llada(tmp_path / "my-instruct", context=4096))
    options = {**LM, "lm_eval_task": "suite_verb", "distractors": 1, "positions": (0,)}
    _, (text, _), _ = prompts(folder, **options, limit=1)
    assert text.count("<|start_header_id|>user<|end_header_id|>\n\nOptions: (A) ") == 5
    assert text.count("\nAnswer:[<|eot_id|>") == 4
    assert text.endswith("<|start_header_id|>assistant<|end_header_id|>\n\n<|mdm_mask|>].")
