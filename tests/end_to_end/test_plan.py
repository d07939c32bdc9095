"""What plans cost: counted by hand, timed by a clock that stands still, summed, and told once."""

import re

import pytest
import torch
from click.testing import CliRunner

from mdlm_probe import cli, models
from mdlm_probe.cli.progress import Pace, StudyBar
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs import loaded_models, survey
from mdlm_probe.runs.cost import Cost
from mdlm_probe.runs.plan import Job, prepare
from mdlm_probe.runs.plan_costs import PlanCost, PlanCosts, total

SHAPE = {"hidden": 8, "intermediate": 16, "heads": 2, "kv_heads": 1}


def call(*arguments, code=0):
    result = CliRunner().invoke(cli.main, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def table(output):
    """The columns of a plan's table, by their heads, up to the notes."""
    lines = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    width = len(lines[0])
    return [dict(zip(lines[0], row, strict=True)) for row in lines[1:] if len(row) == width]


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(
        "model: [tiny-mdlm, tiny-arlm]\nlimit: 2\nruns:\n"
        "  locality: {positions: [0, 4], shots: 2, distractors: 4, tasks: verb-smallest}\n"
        "  shift: {length: 16, block: 16, frac: 0.1, intervention: shift}\n"
        "  verdicts: {probe: judge, run: shift}\n"
    )
    return path


def test_a_study_is_planned_run_by_run_with_a_total(study):
    rows = table(call("plan", study))
    assert [(row["run"], row["model"], row["cells"]) for row in rows] == [
        ("locality", "tiny-mdlm", "4"),
        ("locality", "tiny-arlm", "4"),
        ("shift", "tiny-mdlm", "8"),
    ]
    output = call("plan", study)
    last = next(line for line in output.splitlines() if line.startswith("total")).split()
    assert last[1] == "16"
    # 8 answers of 16 steps, each answer scored once
    assert rows[2]["forwards"] == str(8 * 16 + 8)
    assert last[2] == str(4 + 4 + 8 * 16 + 8)
    assert "verdicts: takes the scorer's own numbers: no passes" in output
    assert "time on cpu" in output
    assert "time on h100" in output
    assert output.count("shift: tiny-arlm left out") == 1


def test_a_card_by_name_and_some_runs(study):
    output = call("plan", study, "--only", "locality", "--gpu", "a100")
    assert "shift" not in output
    assert "time on cpu" not in output
    assert "50% of its published 312T op/s" in output
    assert "'h101' is not one of" in call("plan", study, "--gpu", "h101", code=2)
    assert "did you mean 'shift'" in call("plan", study, "--only", "shft", code=1)
    assert "time on l4" in call("plan", "locality", "-m", "tiny-mdlm", "--limit", 1, "--gpu", "l4")


def test_every_note_stands_once(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text(
        "model: [llada-8b, llama3-8b]\nlimit: 2\nquantize: 4bit\nruns:\n"
        "  locality: {question: [left, right]}\n  needle: {lengths: 256}\n"
    )
    output = call("plan", path, "--gpu", "h100")
    notes = [line for line in output.splitlines() if ":" in line]
    assert len(notes) == len(set(notes))
    assert "llada-8b, llama3-8b: tokens are a rough guess" in output
    assert (
        "\nlocality: llama3-8b: 288 cells left out: a causal model can't see examples after"
        in output
    )
    assert output.count("No tokenizer: ") == 1


def test_equal_counts_of_different_runs_stay_apart(tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text(
        "model: oracle-causal\nlimit: 1\nruns:\n  a: {probe: masks, masks: [0, 5]}\n"
        "  b: {probe: masks, masks: [0, 7]}\n"
    )
    output = call("plan", path)
    left = re.findall(r"^(\w+): oracle-causal: (\d+) cells left out: ", output, re.MULTILINE)
    assert [run for run, _ in left] == ["a", "b"]
    assert left[0][1] == left[1][1]


def test_the_number_format_of_every_number_is_said(study):
    here, card = call("plan", study), call("plan", study, "--gpu", "h100")
    assert "activations in float32, the number format on this machine, in batches of" in here
    assert "Time on cpu: in float32, " in here
    assert "activations in bfloat16, the number format on such a card" in card
    half = call("plan", "locality", "-m", "tiny-mdlm", "--limit", 1, "--dtype", "bfloat16")
    assert "activations in bfloat16, the number format on this machine" in half


def test_steps_are_counted_at_most_and_gradients_with_their_way_back(study):
    output = call("plan", study)
    assert output.count("\ntiny-mdlm: at most: equal canvases go through the network once\n") == 1
    assert "at most" not in call("plan", study, "--only", "locality")
    output = call("plan", "attribution", "-m", "tiny-mdlm", "--limit", 1, "--orders", 1)
    assert "tiny-mdlm: 2 passes a forward in tokens and operations" in output
    assert "memory is for the gradients of one prompt at a time" in output


def test_gradients_cost_a_pass_more():
    """Twice the tokens of the same prompts; see tests of what autograd keeps for the memory."""
    plan = prepare(Job("attribution", "tiny-mdlm", {"limit": 1, "orders": 1}))
    seen = survey.survey(plan, "cpu")
    assert seen.tokens == pytest.approx(2 * seen.queries * seen.length, rel=1e-6)
    by_hand = estimate.cost(
        *(plan.entry, LoadOptions(), "float32", seen.tokens, seen.asked, seen.length, 8192, True)
    )
    found = PlanCosts().of(plan)
    assert (found.operations, found.memory) == (by_hand.operations, by_hand.memory)
    assert (
        found.memory
        != estimate.cost(
            *(plan.entry, LoadOptions(), "float32", seen.tokens, seen.asked, seen.length, 8192)
        ).memory
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "laptop", "papers"])
def test_shipped_studies_can_be_planned_without_tokenizers(name):
    output = call("plan", name, "--gpu", "h100")
    networks = [line for line in output.splitlines() if " oracle " not in line]
    assert "unknown" not in "\n".join(networks)
    assert output.splitlines()[0].split()[:3] == ["run", "model", "cells"]
    if name == "laptop":  # what its comment says
        last = next(line for line in output.splitlines() if line.startswith("total")).split()
        assert last[4].endswith("T")
        assert 150 < float(last[4][:-1]) < 250
        assert 5.5 < float(last[5]) < 6.5
    assert "GPU-hours of one card" in output


def test_a_study_that_is_not_there():
    assert "cannot read" in call("plan", "./none.yaml", code=1)
    assert "did you mean 'smoke'" in call("plan", "smoek", code=2)


# ---------------------------------------------------------------------- costs


def test_a_cost_by_hand():
    """Model and scorer: operations and tokens add up, weights stay side by side."""
    options = {"limit": 2, "frac": (0.1,), "intervention": ("shift",), "length": 16, "block": 16}
    plan = prepare(Job("shift", "tiny-mdlm", options))
    seen = survey.survey(plan, "cpu")
    scored = survey.scored(plan, seen)
    assert (scored.queries, scored.asked) == (8, 8 * 16)
    assert scored.tokens == pytest.approx(8 * seen.length)
    costs = [
        estimate.cost(e, LoadOptions(), "float32", s.tokens, s.asked, s.length, 8192)
        for e, s in ((plan.entry, seen), (models.resolve("tiny-arlm"), scored))
    ]
    found = PlanCosts("h100").of(plan)
    assert found.cells == 8
    assert found.forwards == 8 * 16 + 8
    assert found.tokens == pytest.approx(seen.tokens + scored.tokens)
    assert found.operations == pytest.approx(sum(cost.operations for cost in costs))
    assert found.gpu_seconds == pytest.approx(found.operations / (989e12 * 0.5))
    assert found.seconds is None


def test_memory_of_two_models():
    both = Cost(1.0, 10.0, 3.0).with_scorer(Cost(2.0, 20.0, 5.0))
    assert (both.operations, both.memory) == (3.0, 35.0)
    assert Cost(1.0, 10.0, 3.0).with_scorer(Cost(None)) == Cost(None)


def test_totals_add_up_what_is_known():
    known = PlanCost(1, 2, 3.0, 4.0, 5.0, 6.0, 7.0)
    unknown = PlanCost(10, 20, 30.0, None, None, None, None)
    assert total([known, unknown, known]) == PlanCost(12, 24, 36.0, 8.0, 5.0, 12.0, 14.0)
    assert total([unknown, unknown]) == PlanCost(20, 40, 60.0, None, None, None, None)


def test_kept_keys_and_values_are_counted_whole_and_said_to_be():
    plan = prepare(Job("blocks", "tiny-mdlm", {"limit": 1, "length": (8,), "cache": "dual"}))
    assert "counted as whole ones" in survey.survey(plan, "cpu").notes[0]


# ---------------------------------------------------------------------- the calibration


def test_the_rate_of_a_layer_by_a_clock_that_ticks_evenly(monkeypatch):
    """Every pass takes a second: the rate is the operations of a pass."""
    ticks = iter(range(100))
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(ticks))
    weights = 2 * 8 * 8 + 2 * 4 * 8 + 3 * 8 * 16
    tokens = 16 * 512
    by_hand = tokens * (2 * weights + 4 * 8 * 512)
    assert estimate.layer_rate(SHAPE, "cpu", "float32") == by_hand


def test_what_a_layer_costs_is_what_cost_says():
    """The same formula as for whole models: one layer without a vocabulary."""
    entry = models.resolve("llada-8b")
    body = 4096**2 * 4 + 3 * 4096 * 12288
    whole = estimate.cost(entry, LoadOptions(), "float32", 1.0, 0, 256.0, 1)
    assert whole.operations == pytest.approx(32 * (2 * body + 4 * 4096 * 256), rel=1e-3)


def test_the_timed_layer_mixes_all_tokens_and_keeps_the_shape():
    torch.manual_seed(0)
    sizes = [(8, 8), (4, 8), (4, 8), (8, 8), (16, 8), (16, 8), (8, 16)]
    weights = [torch.randn(size) for size in sizes]
    states = torch.randn(2, 5, 8)
    found = estimate._layer(states, weights, SHAPE)
    assert found.shape == states.shape
    changed = states.clone()
    changed[0, 4] += 1
    moved = (estimate._layer(changed, weights, SHAPE) - found).abs().amax(-1) > 1e-4
    assert moved.tolist() == [[True] * 5, [False] * 5]


# ---------------------------------------------------------------------- progress


def test_the_time_left_goes_by_each_probes_own_pace():
    pace = Pace({"quick": 10, "slow": 4, "new": 5})
    assert pace.seconds() is None
    pace.add("quick", 2, 2.0)
    pace.skip("quick", 2)
    pace.add("slow", 1, 7.0)
    pace.skip("slow", 1)
    # one second each, seven seconds each, and the mean of three cells in nine seconds
    assert pace.seconds() == pytest.approx(8 * 1 + 3 * 7 + 5 * 3)


def test_plain_lines_say_how_far_all_runs_are(capsys):
    with StudyBar(False, [("locality", 4), ("masks", 6)]) as bar:
        bar.begin("locality", "locality", "m", 4)
        bar.start("m", 4, 1)
        bar.advance(3, 100)
        bar.end()
        bar.begin("tails", "masks", "m", 6)  # finished already, or failed: it never starts
        bar.end()
        bar.begin("judge", "judge", "nll", 0)
        bar.start("nll", 2, 0)
        bar.advance(2, 0)
        bar.end()
    lines = capsys.readouterr().err.splitlines()
    assert "going on after 1 of 4 cells" in lines[1]
    assert "4 of 4 cells" in lines[2]
    assert "all runs: 4 of 10" in lines[2]
    assert "2 of 2 verdicts" in lines[-1]
    assert "all runs: 10 of 10" in lines[-1]


def test_tokenizers_are_looked_for_once(monkeypatch):
    tried = []
    border = models.load_border

    def watched(entry, load):
        tried.append(entry.name)
        return border(entry, load)

    monkeypatch.setattr(models, "load_border", watched)
    shelf = loaded_models.LoadedModels()
    entry = models.resolve("llada-8b")
    for _ in range(2):
        with pytest.raises(Exception, match="LLaDA"):
            shelf.border(entry, LoadOptions())
    assert shelf.border(models.resolve("oracle"), LoadOptions()) is shelf.border(
        models.resolve("oracle"), LoadOptions()
    )
    assert tried == ["llada-8b", "oracle"]
