"""The probe `locality` on a model card, where it was asked at several numbers of masks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.frames import Tables, records
from mdlm_probe.analysis.markdown_text import grid
from mdlm_probe.analysis.model_card import (
    CardNumber,
    CardSection,
    ends_of,
    own_rows,
    said_over,
    shared,
    with_interval,
)
from mdlm_probe.analysis.tables import MISSING, number
from mdlm_probe.probes._few_shot.choices import ANSWERS, in_words

COMMAND = "mdlm-probe locality --model MODEL --masks 0,10"
"""Measures what the section is made of."""
POSITION = "Position: distractors to the left of the relevant examples."
INDEX = (
    "Locality index: accuracy with the examples nearest to the question minus farthest from it,"
    " over the same items."
)
TASK = "few-shot questions, relevant examples at one position among distractors"


def section(tables: Tables, model: str) -> CardSection | None:
    """A model's section; None where only one number of masks was asked."""
    table = own_rows(tables, "accuracy", model)
    if table["question_masks"].nunique() < 2:
        return None
    index = own_rows(tables, "index", model)
    items, tasks = table["n"].max(), table["tasks"].max()
    return CardSection(
        "Position of the relevant examples, under masks",
        {
            "items": f"{items} at each position",
            "relevant tasks": tasks,
            "unmasking": "1 step, no order",
        },
        [*_accuracy(table), *_index(index)],
        TASK,
        [
            ({"question": place, "steps": 1, "order": "none"}, _numbers(own, index))
            for place, own in table.groupby("question", observed=True, sort=False)
        ],
    )


def masks_in_prompt(masks: int) -> int:
    """Masks that a prompt holds: one, closed, where none is asked for; else as many as asked."""
    return max(1, int(masks))


def _accuracy(table: pd.DataFrame) -> list[str]:
    found = records(table)
    counts, over = sorted(table["question_masks"].unique()), shared(found)
    measures = ("accuracy", "answers")
    heads = ["question", "position", *(f"{m}, {_said(k)}" for k in counts for m in measures)]
    cells = {
        (row["question"], row["position"], row["question_masks"]): (
            _cell(row, "accuracy", over),
            in_words(row),
        )
        for row in found
    }
    places = dict.fromkeys((question, position) for question, position, _ in cells)
    rows = [
        [
            str(question),
            str(position),
            *(cell for k in counts for cell in cells.get((question, position, k), (MISSING,) * 2)),
        ]
        for question, position in places
    ]
    text = {"question", *(head for head in heads if head.startswith("answers"))}
    return [*grid(heads, rows, text=text), f"{POSITION}{_overall(over)} {ANSWERS}", ""]


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
    heads = ["question", "masks in the prompt", "locality index", "p over tasks", "n"]
    rows = [
        [
            *(str(row["question"]), _said(row["question_masks"])),
            _cell(row, "index", over),
            *(number(row["tasks_p"]), str(row["n"])),
        ]
        for row in found
    ]
    return [*grid(heads, rows, text=set(heads[:2])), f"{INDEX}{_overall(over)}", ""]


def _numbers(table: pd.DataFrame, index: pd.DataFrame) -> list[CardNumber]:
    """The numbers of one setting."""
    found = []
    for row in records(table):
        facts = {
            "masks_in_prompt": masks_in_prompt(row["question_masks"]),
            "masks_asked": row["question_masks"],
        }
        facts |= {"position": row["position"], "n": row["n"], "tasks": row["tasks"]}
        name = f"accuracy, {_said(row['question_masks'])}, position {row['position']}"
        found.append(CardNumber(name, "accuracy", row["accuracy"], ends_of(row), facts))
    for row in records(index):
        if row["question"] == table["question"].iloc[0]:
            facts = {
                "masks_in_prompt": masks_in_prompt(row["question_masks"]),
                "masks_asked": row["question_masks"],
            }
            name = f"locality index, {_said(row['question_masks'])}"
            facts |= {"n": row["n"]}
            found.append(CardNumber(name, "locality_index", row["index"], ends_of(row), facts))
    return found
