"""The main figure of attention: what a model's strongest keys are to it, beyond other keys."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over


def _removal(tables: Tables, frame: dict[str, pd.DataFrame]) -> Iterator[HeadlineValue]:
    for _, rows in of_models(tables.get("contrast")):
        row = first(rows)
        yield over(row, "kl", 1, row["n"], "prompts", "a key of each layer, all passes read")


HEADLINES = (
    Headline(
        "attention removal",
        "divergence without each layer's strongest key, beyond that without other keys",
        "without its strongest keys its predictions move by {value} {way} than without others",
        "nats",
        _removal,
        ways=("more", "less"),
        better="less",
    ),
)
