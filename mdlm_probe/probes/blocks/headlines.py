"""The main figure of blocks: what the order of confidence costs beside left to right."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, chosen, first, of_models, over
from mdlm_probe.probes.blocks.equivalent import LEFT


def _loss(tables: Tables, frame: pd.DataFrame) -> Iterator[HeadlineValue]:
    for model, rows in of_models(tables.get("orders")):
        others = rows[rows["order"] != LEFT]
        if not len(others):
            continue
        row = first(chosen(others, order="low_confidence"))
        if pd.isna(row["nll_excess"]):
            yield HeadlineValue(model, reason="its answers have no likelihoods (no scorer)")
            continue
        setting = f"order {row['order']}, length {row['length']}"
        yield over(row, "nll_excess", 1, row["n"], "prompts", setting)


HEADLINES = (
    Headline(
        "order loss",
        "negative log-likelihood of answers filled by confidence minus that of answers filled left"
        " to right; repetition lowers it, too",
        "answers are {value} {way} likely to the scorer than those filled left to right",
        "nats per token",
        _loss,
        ways=("less", "more"),
        better="less",
    ),
)
