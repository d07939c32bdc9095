"""The probe `masks` on a model card: accuracy against the number of appended masks."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.analysis.frames import Tables, records
from mdlm_probe.analysis.markdown_text import grid
from mdlm_probe.analysis.model_card import (
    CardNumber,
    CardSection,
    Ends,
    ends_of,
    own_rows,
    said_over,
    shared,
    with_interval,
)
from mdlm_probe.analysis.tables import MISSING, interval, number
from mdlm_probe.probes._few_shot.choices import ANSWERS, in_words

COMMAND = "mdlm-probe masks --model MODEL"
"""Measures what the section is made of."""
PLACES = ["shots", "distractors", "side", "steps", "order"]
"""Coordinates that a curve of masks has of its own."""
CONTEXT = PLACES[:3]
TEXT = {"side", "order", "control"}
IN_THE_PROMPT = (
    "Masks in the prompt are those appended and the answer's own. Where shares of the prompt or"
    " `max` were asked, the number is a mean over items."
)
DROP = (
    "Drop: accuracy at the smallest number of masks minus that at the largest, over the same items;"
    " its interval is over items where there is a single relevant task. Degradation: (max - min) /"
    " max of the accuracies at all numbers of masks, with a bootstrap interval over tasks; by"
    " noise: what noise alone makes of it. Worse from: the least number of masks at which accuracy"
    " is significantly lower than at the smallest (p < 0.05, Holm's correction)."
)
CONTROL = (
    "Filler control: accuracy with masks minus accuracy with as many tokens of something else."
    " Negative: masks cost more than any tail of that length does."
)
TASK = "few-shot questions with masks appended, relevant examples among distractors"


def section(tables: Tables, model: str) -> CardSection | None:
    """A model's section; None where no masks were appended."""
    curve = own_rows(tables, "curve", model)
    curve = curve[curve["filler"] == "mask"]
    if not len(curve):
        return None
    drop = own_rows(tables, "drop", model)
    drop = drop[drop["filler"] == "mask"] if len(drop) else drop
    controls, amounts = own_rows(tables, "controls", model), _amounts(curve)
    return CardSection(
        "Masks after the question",
        {"items": _counted(curve, "n"), "relevant tasks": _counted(curve, "tasks")},
        [*_accuracy(curve), *_drop(drop, amounts), *_controls(controls, amounts)],
        TASK,
        [
            (dict(zip(PLACES, places, strict=True)), _numbers(own, drop))
            for places, own in curve.groupby(PLACES, sort=False)
        ],
    )


def _counted(curve: pd.DataFrame, column: str) -> str:
    """A number that all lines share, or its range."""
    low, high = curve[column].min(), curve[column].max()
    return str(low) if low == high else f"{low} to {high}"


def _accuracy(curve: pd.DataFrame) -> list[str]:
    found = records(curve)
    over = shared(found)
    what = f"95 % over {over}" if over else "95 %"
    heads = [*PLACES, "masks appended", "masks in the prompt", "accuracy", what, "n"]
    heads.append("answers")
    rows = [
        [str(row[place]) for place in PLACES]
        + [_amount(row["amount"], row["appended"]), f"{row['mask_tokens']:g}"]
        + [number(row["accuracy"]), _interval(ends_of(row), over), str(row["n"])]
        + [in_words(row)]
        for row in found
    ]
    return [*grid(heads, rows, TEXT | {"answers"}), f"{IN_THE_PROMPT} {ANSWERS}", ""]


def _interval(ends: Ends, over: str) -> str:
    return interval(ends.low, ends.high) + said_over(ends, over)


def _amount(asked: str, appended: float) -> str:
    """How many masks: the count, or what was asked and how many that were."""
    return asked if asked == f"{appended:g}" else f"{asked} = {appended:.6g}"


def _amounts(curve: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """How many masks an amount was, by context: shares and `max` depend on the prompt."""
    return {
        (*(row[place] for place in CONTEXT), row["amount"]): _amount(row["amount"], row["appended"])
        for row in records(curve)
    }


def _said(amounts: dict[tuple[Any, ...], str], row: dict[str, Any], column: str) -> str:
    return amounts.get((*(row[place] for place in CONTEXT), row[column]), str(row[column]))


def _drop(drop: pd.DataFrame, amounts: dict[tuple[Any, ...], str]) -> list[str]:
    if not len(drop):
        return []
    heads = [*PLACES, "from masks", "to masks", "drop (points)", "degradation"]
    heads += ["by noise", "worse from"]
    rows = [
        [str(row[place]) for place in PLACES]
        + [_said(amounts, row, "smallest"), _said(amounts, row, "largest")]
        + [
            with_interval(*_ends(row, "from_start_points")),
            with_interval(*_ends(row, "degradation")),
        ]
        + [number(row["degradation_null"]), row["significant_from"] or MISSING]
        for row in records(drop)
    ]
    return [*grid(heads, rows, TEXT), DROP, ""]


def _controls(controls: pd.DataFrame, amounts: dict[tuple[Any, ...], str]) -> list[str]:
    if not len(controls):
        return ["No other filler was measured: what any tail of that length does isn't known.", ""]
    heads = [*CONTEXT, "tokens appended", "control", "masks minus control (points)", "Holm's p"]
    rows = [
        [str(row[place]) for place in CONTEXT]
        + [_said(amounts, row, "amount"), row["control"]]
        + [with_interval(*_ends(row, "accuracy_points")), number(row["accuracy_points_holm"])]
        for row in records(controls)
    ]
    return [*grid(heads, rows, TEXT), CONTROL, ""]


def _ends(row: dict[str, Any], column: str) -> tuple[float, float, float]:
    return row[column], row[f"{column}_low"], row[f"{column}_high"]


def _numbers(curve: pd.DataFrame, drop: pd.DataFrame) -> list[CardNumber]:
    """The numbers of one setting."""
    found, amounts = [], _amounts(curve)
    for row in records(curve):
        facts = {"masks_asked": row["amount"], "masks_appended": row["appended"]}
        facts |= {"masks_in_prompt": row["mask_tokens"], "n": row["n"], "tasks": row["tasks"]}
        name = f"accuracy, {_amount(row['amount'], row['appended'])} masks appended"
        found.append(CardNumber(name, "accuracy", row["accuracy"], ends_of(row), facts))
    for row in records(drop):
        if any(row[place] != curve[place].iloc[0] for place in PLACES):
            continue
        first, last = (_said(amounts, row, end) for end in ("smallest", "largest"))
        facts = {"masks_from": first, "masks_to": last, "n": row["n"]}
        for kind, column in (("accuracy_drop_points", "from_start_points"), ("degradation",) * 2):
            value, low, high = _ends(row, column)
            name = f"{kind.replace('_', ' ')}, {first} to {last} masks appended"
            if value == value:  # of an accuracy of 0 there is no degradation
                found.append(CardNumber(name, kind, value, Ends(low, high, ""), facts))
    return found
