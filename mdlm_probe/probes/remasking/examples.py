"""Texts with an error, and how probable each of their tokens is. No torch."""

from __future__ import annotations

import json

import pandas as pd

from mdlm_probe.analysis.examples.choice import spread
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import prompt, text
from mdlm_probe.analysis.examples.rows import Rows

ITEM = ("prompts", "lexicon", "task", "prompt", "text_length", "error", "plant", "seed")
MOST = 8
"""Least probable tokens that are shown."""


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Errors, from the best found to those that are found least."""
    frame = rows.frame
    if not len(frame):
        return []
    planted = frame[frame["error"] != "none"]
    ranks = pd.Series({at: _rank(rows, at) for at in planted.index.tolist()}, dtype=float)
    ranked = planted.assign(rank=ranks)
    chosen = spread(ranked, ITEM, ("reading",), ("rank",), limit)
    return [_example(rows, at) for at in chosen]


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
    parts = [prompt(rows, row["model"], lambda: text(row).prompt)]
    if parts[0].label != "no prompt":
        what = f"right continuation, of which {row['text_tokens']} tokens are read"
        parts.append(TextPart(what, text(row).continuation))
    swapped = f"token {error}: {row['wrong_token']!r} in place of {row['right_token']!r}"
    order = sorted(range(len(values)), key=lambda n: -values[n])[:MOST]
    lines = [f"token {n}: {values[n]:.2f}" + " (the error)" * (n == error) for n in order]
    parts.append(TextPart("error", swapped))
    parts.append(TextPart(f"least probable, read {row['reading']} (nats)", "\n".join(lines)))
    title = f"{row['prompt']}, error {row['plant']} ({row['error']}), read {row['reading']}"
    return ExampleItem(title, row["model"], row["task"], tuple(parts))
