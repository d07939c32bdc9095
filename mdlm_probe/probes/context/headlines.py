"""The main figure of context: what the right side of the longest spans is worth."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over
from mdlm_probe.analysis.row_parts import ALL


def _gain(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("overview")):
        ordered = rows.sort_values("span_tokens", ascending=False, kind="stable")
        row = first(chosen(ordered, task=ALL))
        if "gain" not in row or pd.isna(row["gain"]):
            yield HeadlineValue(model, reason="it reads nothing at the right of a span")
            continue
        span = row["span_tokens"]
        setting = f"spans of {span} tokens" if span else "answers"
        setting += f", task {row['task']}, {row['right_shown']:.0f} tokens at the right"
        yield over(row, "gain", 1, row["n"], "texts", setting)


HEADLINES = (
    Headline(
        "gain by the right side",
        "what the text at the right of the longest spans adds to their log-likelihood",
        "the text at the right of a span {way} it {value}",
        "nats per token",
        _gain,
        ways=("gains", "costs"),
        better="more",
    ),
)
