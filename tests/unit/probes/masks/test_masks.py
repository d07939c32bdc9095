"""The masks probe: the prompts it asks, calibration on the oracle, exact zeros of causal models."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
from checkpoints import write_dream
from progress import Silent

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.probes.masks import report as masks_report
from mdlm_probe.runs import plan, runner, survey

SMALL = {"lexicon": "small", "answer": "word", "tasks": ("animal-smallest",)}
FEW = {"shots": (3,), "distractors": (5,)}


class Recorder(DryRun):
    """Keeps the queries that a probe asks."""

    def ask(self, queries):
        self.queries = list(queries)
        return super().ask(queries)


def asked(model="oracle", **options):
    entry = models.resolve(model)
    recorder = Recorder(entry, models.load_border(entry))
    cells = masks.plan(**{**SMALL, **FEW, "limit": 2, **options})
    assert [cell for cell, _ in masks.measure(recorder, cells)] == cells
    return cells, recorder.queries, recorder.border


def test_defaults_are_the_issues():
    cells = masks.plan(limit=1)
    assert len(cells) == 16 * (1 + 3 * 11)
    assert {c.amount for c in cells} == set("0 1 2 5 10 20 35 50 75 100 150 200".split())
    assert {c.filler for c in cells} == {"none", "mask", "text", "eos"}
    first = cells[0]
    assert (first.shots, first.distractors, first.steps, first.side) == (10, 40, 1, "none")


def test_all_that_is_asked_of_a_test_point_stands_together():
    cells = masks.plan(limit=3, tasks=("verb",))
    points = [(c.set, c.item) for c in cells]
    assert len(list(dict.fromkeys(points))) == sum(
        a != b for a, b in zip(points, [None, *points[:-1]], strict=True)
    )


def test_the_question_ends_in_its_own_mask_and_the_tail():
    cells, queries, border = asked(masks=("0", "5", "50%"), filler=("mask", "dot", "text"))
    plain = next(q for c, q in zip(cells, queries, strict=True) if c.filler == "none")
    text = border.decode(plain.ids)
    assert text.endswith("\nAnswer:[<mask>")
    assert text.count("Options") == 9
    for cell, query in zip(cells, queries, strict=True):
        if cell.item:
            continue
        assert query.ids[: len(plain.ids)] == plain.ids
        assert query.positions == (len(plain.ids) - 1,)
        count = {"0": 0, "5": 5, "50%": round(len(plain.ids) / 2)}[cell.amount]
        assert len(query.ids) == len(plain.ids) + count
        tail = border.decode(query.ids[len(plain.ids) :])
        if cell.filler == "mask":
            assert tail == "<mask>" * count
        if cell.filler == "dot":
            assert tail == "]." + "." * (count - 1)
        if cell.filler == "text":
            assert tail.startswith("]. ")


def test_examples_are_mixed_the_same_way_for_every_test_point():
    _, queries, border = asked(masks=("0",), limit=4)
    contexts = {border.decode(q.ids).rpartition("Options")[0] for q in queries}
    assert len(contexts) == 1
    numbers = [part[-3].isdigit() for part in contexts.pop().split("\n\n")[:-1]]
    assert sum(numbers) == 5
    assert numbers != sorted(numbers)


def test_the_same_points_under_every_filler_and_amount():
    cells, queries, _ = asked(masks=("2", "9"), filler=("mask", "dot"), side=("left", "right"))
    points = {}
    for cell, query in zip(cells, queries, strict=True):
        options = query.readouts[0].args
        points.setdefault(cell.item, set()).add(options)
    assert all(len(found) == 1 for found in points.values())


def test_causal_models_get_fillers_but_no_masks():
    causal, masked = models.resolve("tiny-arlm"), models.resolve("tiny-mdlm")
    cells = masks.plan(limit=1, tasks=("verb-smallest",))
    refused = {c.filler for c in cells if masks.refuse(c, causal)}
    assert refused == {"mask"}
    assert "no masks" in masks.refuse(next(c for c in cells if c.filler == "mask"), causal)
    assert not any(masks.refuse(c, masked) for c in cells)


def test_padding_is_asked_once_where_it_ends_a_text():
    """Twice the same rows are no second control, but twice the tests that Holm corrects for."""
    options = {**SMALL, "limit": 1, "masks": ("0", "4"), "filler": ("mask", "eos", "pad")}
    made = plan.prepare(plan.Job("masks", "tiny-mdlm", options))
    assert [cell.filler for cell in made.cells] == ["none", "mask", "eos"]
    assert list(made.refused) == ["its padding is the token that ends a text: --filler eos"]
    with pytest.raises(ProbeError, match="nothing to ask 'tiny-mdlm': its padding is"):
        plan.prepare(plan.Job("masks", "tiny-mdlm", {**options, "filler": ("pad",), "masks": "4"}))


@pytest.mark.parametrize("side", ["right", "left", "both"])
def test_masks_and_steps_cost_the_oracle_nothing(side):
    """An ideal reader's answer depends on neither masks nor steps: the probe must add nothing."""
    options = {**SMALL, **FEW, "limit": 3, "masks": ("0", "1", "30", "20%"), "filler": ("mask",)}
    engine = Engine(models.load(models.resolve("oracle")), batch_tokens=8192)
    cells = masks.plan(**options, side=(side,), steps=(1, 4), order=("random", "low_confidence"))
    rows = {}
    for cell, (row,) in masks.measure(engine, cells):
        assert row["correct"]
        rows.setdefault(cell.item, {})[cell.amount, cell.steps, cell.order] = row
    for found in rows.values():
        for (amount, steps, _), row in found.items():
            # tokens committed in earlier steps are new evidence; one step has masks alone
            if steps == 1:
                start = found["0", 1, "none"]
                assert row["logp_right"] == pytest.approx(start["logp_right"], abs=1e-5)
                assert row["entropy"] == pytest.approx(start["entropy"], abs=1e-4)
            assert row["mask_tokens"] == row["appended"] + 1
            assert row["answer_step"] <= steps or amount == "0"


class Distracted:
    """An oracle with a planted fault: it forgets the context once there are many masks."""

    def __init__(self, oracle, most):
        self.oracle, self.most = oracle, most
        self.__dict__ |= {k: getattr(oracle, k) for k in ("entry", "border", "device", "vocab")}
        self.facts = {}

    def states(self, ids, lengths, rows, positions, origins=None):
        seen = ids.clone()
        many = (ids == self.entry.mask_id).sum(1) > self.most
        seen[many, :40] = self.entry.mask_id
        return self.oracle.states(seen, lengths, rows, positions)

    def logprobs(self, states):
        return self.oracle.logprobs(states)


def test_a_planted_distraction_is_found():
    oracle = models.load(models.resolve("oracle"))
    options = {**SMALL, "shots": (1,), "distractors": (0,), "limit": 12, "masks": ("0", "20", "60")}
    engine = Engine(Distracted(oracle, 30), batch_tokens=8192)
    found = {}
    for cell, (row,) in masks.measure(engine, masks.plan(**options, filler=("mask",))):
        found.setdefault(cell.amount, []).append(row["logp_right"])
    assert np.mean(found["60"]) < np.mean(found["0"]) - 0.1
    assert found["20"] == pytest.approx(found["0"], abs=1e-5)


@pytest.mark.slow
def test_text_after_a_causal_answer_changes_nothing():
    """What follows can't reach what was said before: no answer changes, no drop, in any digit."""
    engine = Engine(models.load(models.resolve("tiny-arlm")), batch_tokens=8192)
    fillers = ("dot", "text", "random", "eos")
    cells = masks.plan(**SMALL, limit=3, masks=("0", "7", "100"), filler=fillers)
    rows = {}
    for cell, (row,) in masks.measure(engine, cells):
        rows.setdefault(cell.item, []).append(row)
    for found in rows.values():
        assert len({row["predicted"] for row in found}) == 1
        assert len({row["correct"] for row in found}) == 1
        for row in found:
            assert row["logp_right"] == found[0]["logp_right"]
    frame = pd.DataFrame(
        {"model": "m"} | asdict(cell) | row for cell, (row,) in masks.measure(engine, cells)
    )
    dropped = masks_report.drop(masks_report.series(frame))
    assert dropped["points"].tolist() == [0] * 4
    assert dropped["from_start_points"].tolist() == [0] * 4


@pytest.mark.parametrize("style", ["base", "chat"])
def test_shifted_models_never_ask_for_the_first_position(tmp_path, style):
    """Nothing predicts a mask that stands first; left of a prompt it just stays."""
    options = {"tasks": ("verb-smallest",), "limit": 1, "shots": (1,), "distractors": (1,)}
    options |= {"masks": ("0", "4"), "filler": ("mask",), "side": ("left", "both"), "steps": (1, 3)}
    folder = write_dream(tmp_path / "dream")
    load = models.LoadOptions(style=style)
    job = plan.Job("masks", str(folder), options, load, output=tmp_path / "r")
    path = runner.run(plan.prepare(job), Silent())
    assert len(path.read_text().splitlines()) == 1 + 1 + 2 * 2


def test_groups_are_sized_by_what_is_asked_at_once():
    """Forty steps of one query each ask as much at once as one step does."""
    sizes = []
    for steps in (1, 40):
        options = {**SMALL, **FEW, "limit": 2, "masks": ("60",), "filler": ("mask",)}
        job = plan.Job("masks", "tiny-mdlm", {**options, "steps": (steps,)})
        made = plan.prepare(job)
        sizes.append(survey.cell_tokens(made, models.load_border(made.entry)))
    assert sizes[1][0] == sizes[0][0]
    assert sizes[1][1] > sizes[0][1] == 1  # and a group of them loses more


def test_several_steps_read_the_answer_when_it_is_committed():
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=8192)
    cells = masks.plan(
        **SMALL, limit=4, masks=("20",), filler=("mask",), steps=(7,), order=("random",)
    )
    steps = [row["answer_step"] for _, (row,) in masks.measure(engine, cells)]
    assert set(steps) <= set(range(1, 8))
    assert len(set(steps)) > 1


def test_one_mask_is_one_step():
    cells = masks.plan(limit=1, tasks=("verb-smallest",), masks=("0", "9"), steps=(1, 5))
    assert {(c.filler, c.steps, c.order) for c in cells} == {
        ("none", 1, "none"),
        *((filler, 1, "none") for filler in ("mask", "text", "eos")),
        ("mask", 5, "low_confidence"),
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masks": ("-1",)}, "--masks has '-1'"),
        ({"masks": ("5", "05")}, "--masks names a value twice"),
        ({"masks": ("5%", "5.0%")}, "--masks names a value twice"),
        ({"masks": ("many",)}, "--masks has 'many'"),
        ({"steps": (0,)}, "--steps has 0"),
        ({"steps": (4, 4)}, "--steps names a value twice"),
        ({"distractors": (-5,)}, "--distractors has -5"),
        ({"filler": ("dot", "dot")}, "--filler names a value twice"),
        ({"side": ("left", "left")}, "--side names a value twice"),
        ({"limit": 0}, "--limit has 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        masks.plan(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"masks": ("1000", "1010"), "filler": ("mask",)},
            r'has 11\d\d tokens.*"item":0.*"set":"ani',
        ),
        ({"masks": ("5",), "filler": ("mask", "space")}, "--filler space: the tokenizer of"),
    ],
)
def test_what_cannot_be_asked_is_said_before_the_model_is_loaded(
    tmp_path, monkeypatch, options, message
):
    def loaded(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(models, "load", loaded)
    options = {"tasks": ("animal-smallest",), "limit": 2, **options}
    job = plan.Job("masks", "tiny-mdlm", options, output=tmp_path)
    with pytest.raises(ProbeError, match=message):
        runner.run(plan.prepare(job), Silent())


LM = {"lm_eval_task": "suite_animal_words", "lexicon": "small", "answer": "word", "limit": 2}
PHRASES = """
task: phrases
dataset_path: json
dataset_kwargs: {data_files: {train: phrases.jsonl, test: phrases.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
doc_to_text: "Options: (A) {{a}}, (B) {{b}}\\nAnswer:["
doc_to_choice: "{{[a, b]}}"
doc_to_target: 0
target_delimiter: ""
fewshot_delimiter: "].\\n\\n"
metric_list: [{metric: acc}]
"""


def phrases(folder):
    """A task of which one choice is a word and the other three."""
    words = ("goat", "sheep", "grape", "boxing", "basketball")
    rows = [{"a": f"{x} and.", "b": y} for x in words for y in words]
    (folder / "phrases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "phrases.yaml").write_text(PHRASES)
    return {**LM, "lm_eval_task": "phrases", "include_path": str(folder)}


@pytest.mark.parametrize("side", ["right", "left", "both"])
def test_an_lm_eval_task_costs_the_oracle_nothing_either(side):
    options = {**LM, **FEW, "masks": ("0", "30", "20%"), "filler": ("mask",), "side": (side,)}
    engine = Engine(models.load(models.resolve("oracle")), batch_tokens=8192)
    rows = {}
    for cell, (row,) in masks.measure(engine, masks.plan(**options)):
        assert row["correct"]
        rows.setdefault((cell.set, cell.item), []).append(row)
    assert len(rows) == 4
    for found in rows.values():
        assert [row["appended"] for row in found][:2] == [0, 30]
        for row in found:
            assert row["logp_right"] == pytest.approx(found[0]["logp_right"], abs=1e-5)
            assert row["mask_tokens"] == row["appended"] + 1


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
def test_choices_of_several_tokens_keep_their_own_masks(tmp_path, model):
    """What is appended stays apart from a choice's masks: an ideal reader's answer stays."""
    options = {**phrases(tmp_path), **FEW, "masks": ("0", "7", "20%")}
    filler = ("mask",) if model == "oracle" else ("dot",)
    engine = Engine(models.load(models.resolve(model)), batch_tokens=8192)
    rows = {}
    for cell, (row,) in masks.measure(engine, masks.plan(**options, filler=filler)):
        rows.setdefault((cell.set, cell.item), []).append(row)
    for found in rows.values():
        assert [row["appended"] for row in found][:2] == [0, 7]
        for row in found:
            assert row["logp_A"] < row["logp_B"] < 0
            assert row["logp_right"] == row["logp_A"] == pytest.approx(found[0]["logp_A"], abs=1e-4)
            if model == "oracle":
                assert row["mask_tokens"] == row["appended"] + 3


def test_an_lm_eval_task_has_cells_of_its_own_and_refuses_what_it_cannot_say(tmp_path, monkeypatch):
    made = plan.prepare(plan.Job("masks", "tiny-mdlm", {**LM, **FEW, "masks": ("0", "4")}))
    assert {cell.suite for cell in made.cells} == {"lm-eval:suite_animal_words"}
    sets = {"suite_animal_words-smallest", "suite_animal_words-largest"}
    assert {cell.set for cell in made.cells} == sets
    assert len(made.cells) == 2 * 2 * (1 + 3)
    assert made.config["sources"].keys() == {"lm_eval_task"}

    def loaded(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(models, "load", loaded)
    options = {**phrases(tmp_path), **FEW, "masks": ("9",), "filler": ("mask",), "steps": (3,)}
    job = plan.Job("masks", "tiny-mdlm", options, output=tmp_path / "steps")
    message = "--steps has 3, but choice '.*' of phrases-smallest is 3 tokens for tiny-mdlm"
    with pytest.raises(ProbeError, match=message):
        runner.run(plan.prepare(job), Silent())
    with pytest.raises(ProbeError, match="has only 50 test points"):
        masks.plan(**{**LM, "limit": 51})
