"""Texts with an error, and how probable each of their tokens is. No torch."""

from __future__ import annotations

import json

from mdlm_probe.analysis.examples.choice import evenly
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import prompt, text
from mdlm_probe.analysis.examples.rows import Rows

MOST = 8
"""Least probable tokens that are shown."""


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Errors, from the best found to those that are found least."""
    frame = rows.frame
    if not len(frame):
        return []
    planted = frame[frame["error"] != "none"]
    ranks = {at: _rank(rows, at) for at in planted.index.tolist()}
    return [_example(rows, at) for at in evenly(sorted(ranks, key=lambda at: ranks[at]), limit)]


def _surprisals(rows: Rows, at: int) -> list[float]:
    return [float(value) for value in json.loads(rows.fields(at)["surprisals"])]


def _rank(rows: Rows, at: int) -> int:
    """How many tokens of a text are less probable than its error."""
    values = _surprisals(rows, at)
    own = values[int(rows.fields(at)["error_at"])]
    return sum(value > own for value in values)


def _example(rows: Rows, at: int) -> ExampleItem:
    row, values = rows.fields(at), _surprisals(rows, at)
    error = int(row["error_at"])
    asked = prompt(rows, row["model"], lambda: text(row).prompt + text(row).continuation)
    swapped = f"token {error}: {row['wrong_token']!r} in place of {row['right_token']!r}"
    order = sorted(range(len(values)), key=lambda n: -values[n])[:MOST]
    lines = [f"token {n}: {values[n]:.2f}" + " (the error)" * (n == error) for n in order]
    found = TextPart(f"least probable, read {row['reading']} (nats)", "\n".join(lines))
    title = f"{row['prompt']}, error {row['plant']} ({row['error']})"
    return ExampleItem(title, row["model"], row["task"], (asked, TextPart("error", swapped), found))
