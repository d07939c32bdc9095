"""What plans cost: counted by hand, timed by a clock that stands still, summed, and told once."""

import json
import re

import pytest
from checkpoints import write_llada
from commands import call
from simulations import cases, simulation

from mdlm_probe import models
from mdlm_probe.cli.commands import report


def planned(*arguments, code=0):
    return call("plan", *arguments, code=code).output


def table(output):
    """The columns of a plan's table, by their heads, up to the notes."""
    lines = [re.split(r" {2,}", line.strip()) for line in output.splitlines()]
    width = len(lines[0])
    return [dict(zip(lines[0], row, strict=True)) for row in lines[1:] if len(row) == width]


@pytest.fixture(scope="module")
def told(study):
    """What the plan of the study says, on this machine."""
    return planned(study)


@pytest.fixture(scope="module")
def told_of_card(study):
    """And what it says on a card."""
    return planned(study, "--gpu", "h100")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "two.yaml"
    path.write_text(
        "model: [tiny-mdlm, tiny-arlm]\nlimit: 2\nruns:\n"
        "  locality: {positions: [0, 4], shots: 2, distractors: 4, tasks: verb-smallest}\n"
        "  shift: {length: 16, block: 16, frac: 0.1, intervention: shift}\n"
        "  verdicts: {probe: judge, run: shift}\n"
    )
    return path


def test_a_study_is_planned_run_by_run_with_a_total(told):
    rows = table(told)
    assert [(row["run"], row["model"], row["cells"]) for row in rows] == [
        ("locality", "tiny-mdlm", "4"),
        ("locality", "tiny-arlm", "4"),
        ("shift", "tiny-mdlm", "8"),
    ]
    # 8 answers of 16 steps, each answer scored once
    assert rows[2]["forwards"] == str(8 * 16 + 8)
    assert f"\nIn all: 16 cells, {4 + 4 + 8 * 16 + 8} forwards, " in told
    assert " GPU-hours on an H100, " in told
    assert "verdicts: computed from the answers of shift: no passes" in told
    assert "time on cpu" in told
    assert "time on h100" in told
    assert told.count("shift: tiny-arlm left out") == 1


def test_a_card_by_name_and_some_runs(study):
    output = planned(study, "--only", "locality", "--gpu", "a100")
    assert "shift" not in output
    assert "time on cpu" not in output
    assert "50% of its published 312 TFLOP/s" in output
    assert "'h101' is not one of" in planned(study, "--gpu", "h101", code=2)
    assert "did you mean 'shift'" in planned(study, "--only", "shft", code=1)
    assert "time on l4" in planned("locality", "-m", "tiny-mdlm", "--limit", 1, "--gpu", "l4")


def test_every_note_stands_once(tmp_path):
    path = tmp_path / "hub.yaml"
    path.write_text(
        "model: [llada-8b, llama3-8b]\nlimit: 2\nquantize: 4bit\nruns:\n"
        "  locality: {question: [left, right]}\n  needle: {lengths: 256}\n"
    )
    output = planned(path, "--gpu", "h100")
    notes = [line for line in output.splitlines() if ":" in line]
    assert len(notes) == len(set(notes))
    assert "\nall models: 4bit weights are taken" in output
    assert "\nllada-8b: tokens are a rough guess, within about 15%: there is no" in output
    assert "\nllama3-8b: tokens are a rough guess, within about 6%: there is no" in output
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
    output = planned(path)
    left = re.findall(r"^(\w+): oracle-causal: (\d+) cells left out: ", output, re.MULTILINE)
    assert [run for run, _ in left] == ["a", "b"]
    assert left[0][1] == left[1][1]


def test_the_number_format_of_every_number_is_said(told, told_of_card):
    assert "activations in float32, the number format on this machine, in batches of" in told
    assert "Time on cpu: in float32, " in told
    assert "activations in bfloat16, the number format on such a card" in told_of_card
    half = planned("locality", "-m", "tiny-mdlm", "--limit", 1, "--dtype", "bfloat16")
    assert "activations in bfloat16, the number format on this machine" in half


def test_steps_are_counted_at_most_and_gradients_with_their_way_back(study, told):
    assert told.count("\ntiny-mdlm: at most: equal canvases go through the network once\n") == 1
    assert "at most" not in planned(study, "--only", "locality")
    output = planned("attribution", "-m", "tiny-mdlm", "--limit", 1, "--orders", 1)
    assert "tiny-mdlm: 2 passes a forward in tokens and operations" in output
    assert "memory is for the gradients of one prompt at a time" in output


@simulation
@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["laptop", *cases(["smoke", "papers", "remedies", "more-remedies"], every=2)]
)
def test_shipped_studies_can_be_planned_without_tokenizers(name):
    # most of the papers' six million cells are of locality
    few = ("--only", "steps,decay,tune-base,few-steps,few-steps-base,shift-ctc,judge")
    output = planned(name, "--gpu", "h100", *(few if name == "papers" else ()))
    # no operations are known of oracles, and of what they score
    by_oracle = re.findall(r"^(\w+): (.*): with oracle", output, re.MULTILINE)
    scored = [f"{run} {model}" for run, names in by_oracle for model in names.split(", ")]
    lines = [" ".join(line.split()) + " " for line in output.splitlines()]
    networks = [line for line in lines if not line.startswith((*scored,)) and " oracle" not in line]
    assert "unknown" not in "\n".join(networks)
    assert output.splitlines()[0].split()[:3] == ["run", "model", "tokens"]
    if name == "laptop":  # what its comment says
        assert 200e12 < float(re.search(r", ([\d.e]+) operations, ", output)[1]) < 240e12
        assert 1.7 < max(float(size) for size in re.findall(r"  ([\d.]+) GiB  ", output)) <= 2.1
    assert "GPU-hours of one card" in output


def faulty(tmp_path):
    """A study of three runs; the model of the second is to chat, and has no template for it."""
    folder = write_llada(tmp_path / "m", context=512, template="")
    path = tmp_path / "three.yaml"
    path.write_text(
        f"model: [tiny-mdlm, {folder}]\nlimit: 1\nstyle: chat\nruns:\n"
        "  a: {probe: locality, model: tiny-mdlm, style: base, tasks: verb-smallest}\n"
        f"  b: {{probe: locality, model: {folder}, tasks: verb-smallest, shots: 1}}\n"
        "  c: {probe: decay, model: tiny-mdlm, style: base, masks: 8}\n"
    )
    return path


def test_a_run_that_only_the_tokenizer_stops_is_marked_among_the_others(tmp_path):
    result = call("plan", faulty(tmp_path), code=1)
    rows = [line.split() for line in result.stdout.splitlines()]
    assert [row[:2] for row in rows[1:4]] == [["a", "tiny-mdlm"], ["b", "m"], ["c", "tiny-mdlm"]]
    assert rows[2][2:4] == ["can't", "run"]
    assert rows[4][:2] == ["In", "all:"]
    assert (
        "1 of 3 can't run:\nb m: m is a chat checkpoint, but has no chat template" in result.stderr
    )


def test_the_study_finds_it_before_anything_is_measured(tmp_path, monkeypatch):
    """It fails at once, not in its turn; the others are measured."""
    path, measured = faulty(tmp_path), []
    load = models.load
    monkeypatch.setattr(report, "write", lambda folder, tables=False: None)
    monkeypatch.setattr(models, "load", lambda *a: measured.append(a[0].name) or load(*a))
    result = call("study", path, "-o", tmp_path / "out", code=1)
    said = result.stderr
    assert said.index("b m:") < said.index("has no chat template") < said.index("a tiny-mdlm:")
    assert measured == ["tiny-mdlm"]
    assert "1 of 3 failed; all others are done" in said
    # what is finished needs no tokenizer any more
    monkeypatch.setattr(models, "load_border", lambda *a: pytest.fail("loaded"))
    call("study", path, "-o", tmp_path / "out", "--only", "a,c")


def test_a_folder_without_a_tokenizer_is_no_guess(tmp_path):
    folder = write_llada(tmp_path / "m", context=512)
    (folder / "tokenizer.json").unlink()
    assert "no tokenizer in" in planned("locality", "-m", folder, code=1)


def test_a_study_that_is_not_there():
    assert "cannot read" in planned("./none.yaml", code=1)
    assert "did you mean 'smoke'" in planned("smoek", code=2)


def test_json_has_the_numbers_themselves(study):
    found = json.loads(planned(study, "--json", "--gpu", "h100"))
    rows = found["tables"][0]["rows"]
    assert [row["forwards"] for row in rows] == [4, 4, 8 * 16 + 8]
    per_second = 989e12 * 0.5
    for row in rows:
        assert row["operations"] == pytest.approx(row["gpu_seconds"] * per_second, rel=1e-12)
    tuned = ("tune", "mask-agnostic", "-m", "tiny-mdlm", "--steps", 3, "--json")
    (row,) = json.loads(planned(*tuned))["tables"][0]["rows"]
    assert row["steps"] == 3
    assert row["operations"] == pytest.approx(row["gpu_seconds"] * per_second, rel=1e-12)
