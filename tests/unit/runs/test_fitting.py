"""Cells that are too long for a model are left out and counted; the others are measured."""

import csv
import json

import pytest
from checkpoints import write_llada
from real_checkpoints import write_real
from small_job import Log

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs import runner, survey
from mdlm_probe.runs.fitting import fit
from mdlm_probe.runs.plan import Job, prepare

FEW = {"tasks": ("verb",), "shots": (1,), "distractors": (1,), "filler": ("mask",), "limit": 8}


def lengths(plan, border):
    """Tokens of every cell's prompt, by hand."""
    asked = [cell for cell in plan.cells if cell.amount == "0"]
    from mdlm_probe.probes._few_shot import questions

    found = {}
    for cell, example in zip(asked, questions.test_points(asked), strict=True):
        prompt = questions.mixed_prompt(cell, example, causal=False)
        found[cell.set, cell.item] = len(border.encode(prompt))
    return [found[cell.set, cell.item] + int(cell.amount) for cell in plan.cells]


def test_what_does_not_fit_is_left_out_and_counted(tmp_path):
    """Of prompts that differ by a few tokens some leave room for so many masks, and some don't."""
    folder = write_llada(tmp_path / "m", context=256)
    plan = prepare(Job("masks", str(folder), {**FEW, "masks": ("0", "1")}))
    border = models.load_border(plan.entry)
    middle = sorted(lengths(plan, border))[len(plan.cells) // 4]
    masks = ("0", str(256 - middle))
    plan = prepare(Job("masks", str(folder), {**FEW, "masks": masks}, output=tmp_path / "r"))
    sizes = lengths(plan, border)
    wanted = [cell for cell, size in zip(plan.cells, sizes, strict=True) if size <= 256]
    left = len(plan.cells) - len(wanted)
    assert 0 < left < len(plan.cells) / 2
    reason = "longer than its context of 256 tokens"
    found = fit(plan, border)
    assert (list(found.plan.cells), found.looked) == (wanted, 1.0)
    assert found.plan.refused == {reason: left}
    log = Log()
    path = runner.run(plan, log)
    assert f"m: {left} cells left out: {reason}" in log.notes
    entry = read_run(tmp_path / "r")[path.stem]
    assert (entry["cells"], entry["refused"]) == (len(wanted), {reason: left})
    with path.open(encoding="utf-8") as file:
        rows = [(row["set"], int(row["item"]), row["amount"]) for row in csv.DictReader(file)]
    assert rows == [(cell.set, cell.item, cell.amount) for cell in wanted]
    again = Log()
    runner.run(plan, again)
    assert "finished" in again.notes[-1]


def test_cells_that_begin_with_the_same_canvas_are_left_out_together(tmp_path):
    """In several steps, by either order: one sequence is asked once for all of them."""
    folder = write_llada(tmp_path / "m", context=256)
    how = {"masks": ("0", "250"), "steps": (2, 3), "order": ("low_confidence", "random")}
    plan = prepare(Job("masks", str(folder), {**FEW, **how, "limit": 1}))
    found = fit(plan, models.load_border(plan.entry)).plan
    assert {cell.amount for cell in found.cells} == {"0"}


def test_a_plan_says_how_many(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "m", context=256)
    plan = prepare(Job("masks", str(folder), {**FEW, "masks": ("0", "250")}))
    seen = survey.survey(plan, "cpu")
    half = len(plan.cells) // 2
    assert seen.cells == seen.queries == half
    assert seen.left_out == (f"{half} cells left out: longer than its context of 256 tokens",)
    monkeypatch.setattr(survey, "LOOKED", half)  # of many cells only some are looked at
    seen = survey.survey(plan, "cpu")
    assert seen.cells == pytest.approx(half, rel=0.5)
    assert seen.left_out[0].startswith("about ")


def test_a_plan_that_looks_along_the_axes_finds_one_long_prompt_too(tmp_path):
    """The only prompt of many that is too long, and the only number of masks that is."""
    texts = [{"id": str(n), "prompt": "cat " * (n if n != 7 else 70)} for n in range(1, 30)]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    folder = write_llada(tmp_path / "m", context=64)
    plan = prepare(Job("decay", str(folder), {"prompts": str(path), "masks": 16}))
    found = fit(plan, models.load_border(plan.entry), most=1000)
    assert found.plan.refused == {"longer than its context of 64 tokens": 1}
    assert [cell.prompt for cell in found.plan.cells] == [t["id"] for t in texts if t["id"] != "7"]
    long = {**FEW, "masks": ("0", "1", "250")}
    plan = prepare(Job("masks", str(write_llada(tmp_path / "n", context=256)), long))
    border = models.load_border(plan.entry)
    assert list(fit(plan, border, most=1000).plan.cells) == list(fit(plan, border).plan.cells)


def test_one_long_prompt_does_not_stop_the_others(tmp_path):
    texts = [{"id": n, "prompt": "cat " * size} for n, size in (("a", 3), ("b", 300), ("c", 9))]
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    folder = write_llada(tmp_path / "m", context=128)
    plan = prepare(Job("decay", str(folder), {"prompts": str(path), "masks": 16}))
    found = fit(plan, models.load_border(plan.entry)).plan
    assert [cell.prompt for cell in found.cells] == ["a", "c"]
    assert found.refused == {"longer than its context of 128 tokens": 1}


def test_where_nothing_fits_the_error_says_so(tmp_path):
    folder = write_llada(tmp_path / "m", context=64)
    plan = prepare(Job("masks", str(folder), {**FEW, "masks": ("0", "200")}))
    with pytest.raises(ProbeError, match="expected: at most 64, the context of 'm'"):
        fit(plan, models.load_border(plan.entry))


@pytest.mark.slow
def test_dream_instruct_reads_most_of_the_papers_masks(tmp_path):
    """Prompts of 1,868 to 1,916 tokens in a context of 2,048: 150 masks fit some, 200 none."""
    folder = write_real(tmp_path / "dream-instruct", "dream")
    options = {"masks": ("0", "100", "150", "200"), "filler": ("mask",), "limit": 2}
    plan = prepare(Job("masks", str(folder), options))
    border = models.load_border(plan.entry)
    found = fit(plan, border).plan
    sizes = dict(zip(plan.cells, lengths(plan, border), strict=True))
    assert list(found.cells) == [cell for cell in plan.cells if sizes[cell] <= 2048]
    kept = {cell.amount for cell in found.cells}
    assert kept == {"0", "100", "150"}
    assert found.refused == {
        "longer than its context of 2048 tokens": len(plan.cells) - len(found.cells)
    }
