"""Test points of few-shot probes: the prompt, the options, the answer. No torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import percent, prompt
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes._few_shot import questions
from mdlm_probe.prompts import few_shot_sets
from mdlm_probe.prompts.prompt import Prompt

POINT = tuple(field.name for field in dataclasses.fields(questions.FewShotCell))
"""Columns that tell test points apart."""

RANK = ("correct", "logp_right")
"""Test points that are answered wrong come first."""


def example(
    rows: Rows,
    at: int,
    setting: str,
    shown: Callable[[Any, few_shot_sets.Example, bool], Prompt],
    more: tuple[TextPart, ...] = (),
) -> ExampleItem:
    """A test point as a model was asked it.

    Args:
        rows: of the probe.
        at: the row.
        setting: what is said of it in the title, beside the test point.
        shown: the probe's, which makes the prompt of a cell.
        more: what stands after the prompt.
    """
    row, cell = rows.fields(at), rows.cell(at)
    model = row["model"]
    point = questions.test_points([cell])[0] if _known(rows, model, cell) else None

    def made() -> str:
        found = point or questions.test_points([cell])[0]
        return shown(cell, found, rows.causal(model)).text()

    asked = prompt(rows, model, made)
    wrong = "" if row["correct"] == "1" else " (wrong)"
    title = f"{cell.set}, test point {cell.item}, {setting}{wrong}"
    parts = (asked, *more, *_options(row, point), *_answers(row, cell))
    return ExampleItem(title, model, cell.set, parts)


def _known(rows: Rows, model: str, cell: questions.FewShotCell) -> bool:
    """Whether the test point can be drawn again."""
    if rows.changed(model):
        return False
    try:
        questions.test_points([cell])
    except ProbeError:
        return False
    return True


def _options(row: Fields, point: few_shot_sets.Example | None) -> tuple[TextPart, ...]:
    """Every option with its probability; only letters where the test point can't be drawn."""
    lines = []
    for number, letter in enumerate(few_shot_sets.LETTERS[: few_shot_sets.MAX_OPTIONS]):
        if logp := row.get(f"logp_{letter}", ""):
            text = f" {point.options[number]}" if point else ""
            right = " (right)" if point and number == point.right else ""
            lines.append(f"{letter}.{text}: {percent(str(math.exp(float(logp))))}{right}")
    return (TextPart("options, with the model's probabilities", "\n".join(lines)),) if lines else ()


def _answers(row: Fields, cell: questions.FewShotCell) -> tuple[TextPart, ...]:
    # of choices of several tokens, it is not the answer's
    sure = row.get("top1_prob", "") if not cell.suite.startswith("lm-eval:") else ""
    label = "model's answer" + (f" ({percent(sure)})" if sure else "")
    return TextPart("right answer", row["right"]), TextPart(label, row["predicted"])
