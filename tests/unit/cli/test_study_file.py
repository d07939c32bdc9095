"""The file of a study: what it may say, what is refused by line and field, what ships."""

import json

import pytest
from commands import call

from mdlm_probe.cli import study_file
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped


def written(folder, study):
    """A study's file: JSON is YAML."""
    path = folder / "mine.yaml"
    path.write_text(json.dumps(study, indent=1))
    return path


def refused(tmp_path, text):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ProbeError) as caught:
        study_file.load(str(path))
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (3, "model: oracle\nruns:\n  localty:\n", "unknown probe 'localty'"),
        (4, "model: oracle\nruns:\n  a:\n    probe: localty\n", "did you mean 'locality'"),
        (4, "runs:\n  locality:\n    limit: 3\n    limt: 4\n", "did you mean 'limit'"),
        (1, "limt: 4\nruns:\n  locality:\n", "unknown option"),
        (1, "model: .inf\nruns:\n  locality:\n", "no model named 'inf'"),
        (1, "batch-tokens: ²\nruns:\n  locality:\n", "--batch-tokens is '²'"),
        (3, "runs:\n  locality:\n    limit: many\n", "'many' is not a valid integer"),
        (1, "limit: many\nruns:\n  locality:\n", "'many' is not a valid integer"),
        (3, "runs:\n  locality:\n    question: [left, up]\n", "'up' is not one of"),
        (3, "runs:\n  locality:\n    positions: []\n", "found []"),
        (3, "runs:\n  locality:\n    limit: [1, 2]\n", "this option takes no list"),
        (3, "runs:\n  locality:\n    limit:\n", "found None"),
        (3, "runs:\n  locality:\n    limit: 0\n", "--limit has 0"),
        (3, "runs:\n  locality:\n    positions: [99]\n", "--positions has 99"),
        (3, "runs:\n  locality:\n    model: [oracle, oracle]\n", "names 'oracle' twice"),
        (3, "runs:\n  locality:\n    model: lada-8b\n", "no model named 'lada-8b'"),
        (3, "model:\n  - oracle\n  - lada-8b\nruns:\n  locality:\n", "no model named 'lada-8b'"),
        (1, "model: ./none/here\nruns:\n  locality:\n", "none/here"),
        (3, "runs:\n  shift:\n    model: tiny-arlm\n", "'shift' is not for causal models"),
        (4, "runs:\n  locality:\n    limit: 1\n  locality:\n", "stands twice"),
        (2, "batch-tokens: 1\nbatch_tokens: 2\nruns:\n  locality:\n", "stands twice"),
        (2, "runs:\n  ../up:\n    probe: locality\n", "can't name a folder"),
        (2, "runs:\n  locality: 3\n", "a mapping"),
        (1, "runs: {}\n", "is empty"),
        (1, "runs:\n", "is empty"),
        (3, "runs:\n  a:\n    tune: stf\n", "did you mean 'sft'"),
        (4, "runs:\n  a:\n    tune: sft\n    stesp: 3\n", "did you mean 'steps'"),
        (4, "runs:\n  a:\n    tune: sft\n    output: x\n", "unknown option"),
        (4, "runs:\n  a:\n    tune: sft\n    steps: 0\n", "--steps has 0"),
        (4, "runs:\n  a:\n    tune: sft\n    model: oracle\n", "'oracle' can't be tuned"),
        (3, "model: oracle\nruns:\n  judge:\n", "field 'runs.judge.run': is missing"),
        (1, "model: oracle\n", "is missing"),
        (3, "runs:\n  judge:\n    run: shift\n", "'shift' is no run of `shift`"),
        (2, "runs:\n  judge:\n    limit: 3\n", "is missing"),
        (6, "runs:\n  shift:\n    limit: 1\n  judge:\n    run: shift\n    judge-by: x\n", "'x'"),
        (
            7,
            "runs:\n  shift:\n    limit: 1\n  judge:\n    run: shift\n    judge-by: nll\n"
            "    device: cpu\n",
            "judges by nll",
        ),
        (
            5,
            "runs:\n  shift:\n    limit: 1\n    lexicon: full\n  judge:\n    run: shift\n",
            "field 'runs.judge': 5 of 5 prompts aren't of the bundled models' language",
        ),
        (3, "runs:\n  locality:\n    output: elsewhere\n", "unknown option"),
        # errors carry the names of options: of those that are given, the first
        (4, "runs:\n  shift:\n    limit: 1\n    block: 5\n    length: 8\n", "--block 5 does not"),
        (4, "runs:\n  shift:\n    limit: 1\n    length: 15\n", "--block 16 does not divide"),
        (4, "model: oracle\nruns:\n  shift:\n    cache: dual\n", "no keys and values to keep"),
        (4, "model: llama3-8b\nruns:\n  decay:\n    context: both\n    ar-sample: 9\n", "nothing"),
        (4, "model: oracle\nruns:\n  masks:\n    rope-scale: 2\n", "--rope-scale means nothing"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path, line, text, message):
    found = refused(tmp_path, text)
    assert f"wrong.yaml, line {line}, field '" in found
    assert message in found


def test_a_judge_of_other_languages_needs_to_be_named(tmp_path):
    """By what can judge them: a likelihood is a choice, too."""
    runs = {"shift": {"limit": 1, "lexicon": "full"}}
    for how in ({"judge-by": "nll"}, {"judge-model": "tiny-arlm"}):
        study = {"runs": runs | {"judge": {"run": "shift"} | how}}
        parts, _ = study_file.load(str(written(tmp_path, study)))
        assert parts.parts[1].verdicts.by.name in ("nll", "tiny-arlm")


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_file_is_called_empty(tmp_path, text):
    found = refused(tmp_path, text)
    assert found.startswith(f"{tmp_path / 'wrong.yaml'} is empty\nexpected: runs, by name")


def test_no_such_study(tmp_path):
    assert "no study named 'smok'" in call("study", "smok", code=1).stderr
    assert "cannot read" in call("study", tmp_path / "none.yaml", code=1).stderr


def test_models_that_cannot_be_asked_are_left_out_and_said_once(tmp_path):
    study = {"model": ["oracle", "oracle-causal", "tiny-mdlm"], "limit": 1}
    study["runs"] = {"attribution": {}, "blocks": {"length": 8}}
    _, left_out = study_file.load(str(written(tmp_path, study)))
    notes = [note for run in left_out.values() for note in run]
    assert len(notes) == len(set(notes)) == 3
    assert notes[0].startswith("attribution: oracle left out: probe 'attribution' needs gradients")
    assert "oracle-causal" in notes[1]
    assert notes[2] == "blocks: oracle-causal left out: probe 'blocks' is not for causal models"


def test_values_are_those_of_the_command_line(tmp_path):
    text = (
        "model: oracle\nlimit: 1\nseed: 7\nruns:\n"
        "  masks: {masks: [0, 5%, max], seed: 3}\n"
        "  decay: {floor: 1e-3, limit: 2}\n"
        "  blocks: {length: 8, block: '4,8', early-stop: yes, early_stop_: 1}\n"
    )
    path = tmp_path / "values.yaml"
    path.write_text(text.replace(", early_stop_: 1", ""))
    study, _ = study_file.load(str(path))
    options = {part.name: part.plans[0].options for part in study.parts}
    assert options["masks"]["masks"] == ("0", "5%", "max")
    assert (options["masks"]["seed"], options["decay"]["seed"]) == (3, 7)
    assert (options["decay"]["floor"], options["decay"]["limit"]) == (0.001, 2)
    assert (options["blocks"]["block"], options["blocks"]["early_stop"]) == ((4, 8), "yes")
    path.write_text(text)
    with pytest.raises(ProbeError, match="did you mean 'early-stop'"):
        study_file.load(str(path))


def test_an_adapter_may_be_named_by_the_run_that_trains_it(tmp_path):
    runs = {
        "mine": {"tune": "sft", "data": "small-prose", "steps": 3},
        "a": {"probe": "masks", "adapter": "mine", "limit": 1},
        "b": {"probe": "masks", "adapter": "elsewhere", "limit": 1},
    }
    path = written(tmp_path, {"model": "tiny-mdlm", "runs": runs})
    study, _ = study_file.load(str(path), tmp_path / "out")
    mine, a, b = study.parts
    assert (mine.probe, mine.tuning.objective, mine.tuning.options["steps"]) == ("tune", "sft", 3)
    assert mine.tuning.output == tmp_path / "out" / "mine"
    assert a.plans[0].job.load.adapter == str(tmp_path / "out" / "mine")
    assert b.plans[0].job.load.adapter == "elsewhere"


@pytest.mark.parametrize("shipped_study", ["remedies", "more-remedies"])
def test_remedies_measure_every_arm_as_they_measure_the_base(shipped_study):
    study, _ = study_file.load(shipped_study)
    arms = [part.name for part in study.parts if part.tuning]
    kinds = {"ce-tv", "sft-prose", "jitter", "ctc", "blockwise-4"}
    assert all(any(arm.startswith(kind) for arm in arms) for kind in kinds)
    plans = {part.name: part.plans[0] for part in study.parts if part.plans}
    tuned = {name: plan for name, plan in plans.items() if plan.job.load.adapter}
    for name, plan in tuned.items():
        base = plans[name.partition("-")[0]]
        assert plan.options == base.options
        assert plan.cells == base.cells
    assert {plan.job.load.adapter.rpartition("/")[2] for plan in tuned.values()} == set(arms)
    if shipped_study == "more-remedies":
        return  # recipes of its own
    recipes = [part.tuning.options for part in study.parts if part.tuning]
    by_data = {(r["data"], r["steps"], r["batch"], r["seed"]) for r in recipes}
    assert len(by_data) == len({r["data"] for r in recipes}) == 2  # the same samples, equally many


def test_studies_are_no_suites():
    assert shipped.studies() == ["laptop", "more-remedies", "papers", "remedies", "smoke"]
    assert not set(shipped.suites()) & set(shipped.studies())


BOTH = {"oracle", "oracle-biased"}
ORACLES = {"locality": BOTH, "masks": BOTH, "parallel": {"oracle-lists"}}
ALONE = ("decay", "joint", "context", "blocks", "shift", "alignment", "remasking")
ORACLES |= {probe: {"oracle"} for probe in ALONE}
"""Beside the bundled models, where they can be asked and have something to say."""


def test_smoke_asks_every_probe_of_both_models_and_a_judge():
    study, _ = study_file.load("smoke")
    asked = {part.probe: part.models for part in study.parts}
    assert asked.keys() == {*catalog.names("probe"), "judge"}
    assert asked["judge"] == ["language"]
    adapted = {"tiny-mdlm-adapted"}
    for probe in catalog.names("probe"):
        ideal = {name for name in asked[probe] if name.startswith("oracle")}
        causal = "causal" in catalog.load("probe", probe).KINDS
        bundled = {"tiny-mdlm"} | ({"tiny-arlm"} if causal else set())
        assert set(asked[probe]) - ideal - adapted == bundled
        assert ideal == ORACLES.get(probe, set())


@pytest.mark.slow
def test_papers_ask_what_the_papers_asked():
    study, _ = study_file.load("papers")
    parts = {part.name: part for part in study.parts}
    eight = [
        *("llada-8b", "llada-8b-instruct", "dream-7b", "dream-7b-instruct"),
        *("llama3-8b", "llama3-8b-instruct", "qwen2.5-7b", "qwen2.5-7b-instruct"),
    ]
    assert parts["locality"].models == eight
    cells = {p.entry.name: len(p.cells) for p in parts["locality"].plans}
    assert cells["llada-8b"] == 3 * cells["llama3-8b"] == 3 * 16 * 9 * 1000
    assert {c.question_masks for c in parts["locality-masks"].plans[0].cells} == {2, 50, 100, 200}
    assert {c.steps for c in parts["steps"].plans[0].cells} >= {2, 4, 6, 40}
    assert {c.distractors for c in parts["lengths"].plans[0].cells} == {0, 10, 20, 30}
    paper = parts["attribution"].plans[0].options
    assert (paper["orders"], paper["limit"], paper["masks"]) == (30, 20, (0, 50))
    for name in (
        "locality",
        "locality-masks",
        "masks",
        "fillers",
        "lengths",
        "steps",
        "attribution",
    ):
        assert {plan.job.load.quantize for plan in parts[name].plans} == {"4bit"}
    (shift,) = parts["shift"].plans
    assert shift.entry.name == "llada-8b-instruct"
    assert 0.01 in shift.options["frac"]
    assert parts["judge"].verdicts.run == "shift"


def test_laptop_asks_for_small_models():
    study, _ = study_file.load("laptop")
    assert {part.probe for part in study.parts} == {
        *("locality", "masks", "needle", "decay", "joint", "blocks")
    }
    plans = [plan for part in study.parts for plan in part.plans]
    assert {plan.entry.attention for plan in plans} == {"bidirectional", "block-causal", "causal"}
    for plan in plans:
        assert plan.entry.geometry["parameters"] < 1e9
        assert (plan.job.load.quantize, plan.refused) == ("", {})
    for part in study.parts:
        assert sum(len(plan.cells) for plan in part.plans) < 100
