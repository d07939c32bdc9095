"""Placements of an answer on a longer canvas, `<slack>` between its tokens: for jitter and ctc."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Int

from mdlm_probe.core.options import check_range
from mdlm_probe.tuning.corruption import (
    SMALLEST,
    Corrupted,
    Moment,
    Sample,
    Tokens,
    one_row,
)

SlackOption = Annotated[float, "most slots beyond an answer's tokens, as a share of these"]


def check_slack(smax: float) -> None:
    """Refuses a share of slots that is none.

    Raises:
        ProbeError: naming the option.
    """
    check_range(0, 10, "between 0 and 10", smax=smax)


@dataclass(frozen=True)
class Placement:
    """An answer on its canvas.

    Attributes:
        canvas: the answer's tokens in their order, `<slack>` elsewhere.
        filled: which slots hold tokens of the answer.
        hidden: which slots are masked.
        share: the probability with which each was.
    """

    canvas: Int[np.ndarray, " slots"]
    filled: Bool[np.ndarray, " slots"]
    hidden: Bool[np.ndarray, " slots"]
    share: float


def place(sample: Sample, tokens: Tokens, moment: Moment, most: float) -> Placement:
    """Draws a canvas, a placement and a masking ratio.

    The canvas of U tokens has ceil(U (1 + s)) slots, s ~ U(0, `most`), or as many as the context
    leaves; all placements that keep the order are equally likely; every slot is masked with the
    same probability, itself uniform. Source: the canvas's length as in arXiv 2601.22947's released
    data; the rest is ours.
    """
    rng, count = moment.rng, len(sample.answer)
    slots = math.ceil(count * (1 + rng.uniform(0, most)))
    slots = min(slots, max(tokens.context - len(sample.prompt), count))
    filled = np.zeros(slots, bool)
    filled[rng.choice(slots, count, replace=False)] = True
    canvas = np.full(slots, tokens.slack, np.int64)
    canvas[filled] = sample.answer
    share = rng.uniform(SMALLEST, 1)
    return Placement(canvas, filled, rng.random(slots) < share, share)


def hidden_row(
    sample: Sample, tokens: Tokens, moment: Moment, most: float
) -> tuple[Placement, Corrupted]:
    """A placement, and its row: masked slots are scored, over share x tokens of the answer."""
    placed = place(sample, tokens, moment, most)
    weight = 1 / (placed.share * len(sample.answer))
    row = one_row(sample, placed.canvas, placed.hidden, placed.hidden, tokens.mask, weight)
    return placed, row
