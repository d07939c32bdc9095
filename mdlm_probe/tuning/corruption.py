"""Samples, and what objectives make of them: rows with masks, and what is to be predicted there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-3
"""The smallest share of hidden tokens, as in LLaDA's training: bounds the weight 1/share."""


@dataclass(frozen=True)
class Sample:
    """A prompt and its answer, as token ids.

    Attributes:
        prompt: never corrupted, never scored.
        answer: with its end of text, unless it was cut.
    """

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Tokens:
    """What a checkpoint gives an objective to write with.

    Attributes:
        mask, end: ids of the mask and of the end of text.
        context: most tokens of a row.
        slack: id of `<slack>`; -1 where an objective needs none.
    """

    mask: int
    end: int
    context: int
    slack: int = -1


@dataclass(frozen=True)
class Moment:
    """When a sample is corrupted, with the only randomness there is.

    Attributes:
        rng: seeded by the sample and the step, never by a rank or a batch.
        item: number of the sample in the whole training, from 0.
        step: the optimiser step, from 0.
        steps: of the whole training.
    """

    rng: np.random.Generator
    item: int
    step: int
    steps: int


@dataclass(frozen=True)
class Corrupted:
    """Rows of one sample, and the places in them that are scored.

    Attributes:
        rows: token ids, all rows equally long.
        places: positions scored, the same in every row.
        targets: the tokens there.
        weight: of the negative log-likelihood of a target in one row.
    """

    rows: Int[np.ndarray, "rows length"]
    places: Int[np.ndarray, " scored"]
    targets: Int[np.ndarray, " scored"]
    weight: float


@runtime_checkable
class Objective(Protocol):
    """What a file of `objectives/` makes of its options.

    Attributes:
        needs_slack: whether it writes `<slack>`.
    """

    needs_slack: bool

    def corrupt(self, sample: Sample, tokens: Tokens, moment: Moment) -> Any:
        """The corrupted sample: a `Corrupted`, or the objective's own kind of it."""

    def loss(
        self, logits: Float[Tensor, "rows places vocab"], item: Any
    ) -> dict[str, Float[Tensor, ""]]:
        """The "loss" of a sample, which is minimised, then its parts; in nats but for what isn't.

        Args:
            logits: in float32 or wider, of the scored places of each row.
            item: what `corrupt` made of the sample.
        """
        ...


def row_of(
    sample: Sample, answer: Int[np.ndarray, " answer"], hidden: Any, mask: int
) -> Int[np.ndarray, " length"]:
    """The prompt, then an answer whose hidden tokens are masks."""
    return np.concatenate([np.array(sample.prompt, np.int64), np.where(hidden, mask, answer)])


def one_row(
    sample: Sample,
    answer: Int[np.ndarray, " answer"],
    hidden: Any,
    scored: Any,
    mask: int,
    weight: float,
) -> Corrupted:
    """A single row: hidden tokens are masks, the scored ones of them are to be predicted.

    Args:
        sample: for its prompt.
        answer: what stands after the prompt.
        hidden, scored: for each token of the answer.
        mask: id.
        weight: see `Corrupted`.
    """
    places = np.flatnonzero(scored)
    row = row_of(sample, answer, hidden, mask)
    return Corrupted(row[None], places + len(sample.prompt), answer[places], weight)


def cross_entropy(logits: Float[Tensor, "rows places vocab"], item: Corrupted) -> Float[Tensor, ""]:
    """The weighted negative log-likelihoods of the targets in all rows, summed, in nats."""
    import torch
    import torch.nn.functional as F

    targets = torch.from_numpy(item.targets).to(logits.device).repeat(len(logits))
    return item.weight * F.cross_entropy(logits.flatten(0, 1), targets, reduction="sum")
