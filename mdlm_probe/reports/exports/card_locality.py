"""A card's section of the probe locality, where it was asked at several numbers of masks."""

from __future__ import annotations

from typing import Any

import pandas as pd
from huggingface_hub import EvalResult

from mdlm_probe.analysis.frames import records
from mdlm_probe.analysis.tables import MISSING, number
from mdlm_probe.reports.exports.card_parts import (
    CardPart,
    about,
    ends_of,
    facts_of,
    grid,
    own_rows,
    result,
    said_over,
    shared,
    with_interval,
)
from mdlm_probe.reports.exports.exported_run import ExportedRun

POSITION = "Position: distractors to the left of the relevant examples."
INDEX = (
    "Locality index: accuracy with the examples nearest to the question minus farthest from it,"
    " over the same items."
)
TASK = "few-shot questions, relevant examples at one position among distractors"


def part(run: ExportedRun, name: str, entry: dict[str, Any]) -> CardPart | None:
    """The section of a measurement; None where only one number of masks was asked."""
    model = entry["config"]["model"]
    table = own_rows(run, "locality", "accuracy", model)
    if table["masks"].nunique() < 2:
        return None
    index = own_rows(run, "locality", "index", model)
    title = "### Position of the relevant examples, under masks"
    lines = [title + (f" ({run.name})" if run.name else ""), ""]
    items, sets = table["n"].max(), table["sets"].max()
    lines += facts_of(
        entry,
        {"items": f"{items} at each position", "sets": sets, "unmasking": "1 step, no order"},
    )
    lines += _accuracy(table) + _index(index)
    results = [
        _results(about(entry, TASK, {"question": place, "steps": 1, "order": "none"}), own, index)
        for place, own in table.groupby("question", observed=True, sort=False)
    ]
    return CardPart("\n".join(lines), results)


def masks_in_prompt(masks: int) -> int:
    """Masks that a prompt holds: one, closed, where none is asked for; else as many as asked."""
    return max(1, int(masks))


def _accuracy(table: pd.DataFrame) -> list[str]:
    found = records(table)
    counts, over = sorted(table["masks"].unique()), shared(found)
    heads = ["question", "position", *(f"accuracy, {_said(k)}" for k in counts)]
    cells = {
        (row["question"], row["position"], row["masks"]): _cell(row, "accuracy", over)
        for row in found
    }
    places = dict.fromkeys((question, position) for question, position, _ in cells)
    rows = [
        [
            str(question),
            str(position),
            *(cells.get((question, position, k), MISSING) for k in counts),
        ]
        for question, position in places
    ]
    return [*grid(heads, rows, text={"question"}), f"{POSITION}{_overall(over)}", ""]


def _cell(row: dict[str, Any], column: str, over: str) -> str:
    """A number, its interval, and what that is over where it isn't what all of them are."""
    ends = ends_of(row)
    return with_interval(row[column], ends.low, ends.high) + said_over(ends, over)


def _overall(over: str) -> str:
    return f" Intervals are over {over}." if over else ""


def _said(masks: int) -> str:
    return "1 mask, closed" if masks == 0 else f"{masks} mask" + ("s" if masks > 1 else "")


def _index(index: pd.DataFrame) -> list[str]:
    if not len(index):
        return []
    found = records(index)
    over = shared(found)
    heads = ["question", "masks in the prompt", "locality index", "p over sets", "n"]
    rows = [
        [
            *(str(row["question"]), _said(row["masks"])),
            _cell(row, "index", over),
            *(number(row["sets_p"]), str(row["n"])),
        ]
        for row in found
    ]
    return [*grid(heads, rows, text=set(heads[:2])), f"{INDEX}{_overall(over)}", ""]


def _results(said: dict[str, Any], table: pd.DataFrame, index: pd.DataFrame) -> list[EvalResult]:
    """The numbers of one setting."""
    found = []
    for row in records(table):
        facts = {"masks_in_prompt": masks_in_prompt(row["masks"]), "masks_asked": row["masks"]}
        facts |= {"position": row["position"], "n": row["n"], "sets": row["sets"]}
        name = f"accuracy, {_said(row['masks'])}, position {row['position']}"
        found.append(result(said, name, "accuracy", row["accuracy"], ends_of(row), **facts))
    for row in records(index):
        if row["question"] == table["question"].iloc[0]:
            facts = {"masks_in_prompt": masks_in_prompt(row["masks"]), "masks_asked": row["masks"]}
            name = f"locality index, {_said(row['masks'])}"
            facts |= {"n": row["n"]}
            found.append(result(said, name, "locality_index", row["index"], ends_of(row), **facts))
    return found
