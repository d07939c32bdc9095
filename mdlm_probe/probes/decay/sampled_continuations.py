"""What a causal model's free running makes of each distance: Monte Carlo over its continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.decoding.canvas import Step
from mdlm_probe.decoding.loop import proceed_all
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.queries import Readout

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine

TOPS = 64
"""Tokens of each conditional distribution that are kept; the rest is the tail."""
TOP = (Readout("top_ids", (TOPS,)), Readout("top_logprobs", (TOPS,)))


@dataclass(frozen=True)
class SampledPrompt:
    """Where continuations begin.

    Attributes:
        ids: the tokens to continue.
        sets: sets of tokens whose mass is wanted.
        seed: of the sampling.
        name: for error messages.
    """

    ids: tuple[int, ...]
    sets: tuple[tuple[int, ...], ...]
    seed: int
    name: str = ""


@dataclass(frozen=True)
class Marginals:
    """Monte Carlo marginals at distances 1, 2, ...; `_se` is one standard error over samples.

    Attributes:
        top_id: the most probable token.
        top1, top1_se: probability of the most probable token: of each sample, that of the token
            which all others together find most probable. On average not too large, and too small
            where samples disagree on the token.
        top1_naive: largest probability of the averaged distribution: too large on average.
        entropy: of the averaged distribution in nats, the tail taken for one token: too small.
        masses, masses_se: of the sets, [distances, sets]; not biased.
    """

    top_id: np.ndarray
    top1: np.ndarray
    top1_se: np.ndarray
    top1_naive: np.ndarray
    entropy: np.ndarray
    masses: np.ndarray
    masses_se: np.ndarray


class _Sample:
    """One continuation: draws its tokens, and keeps what was read at each of them."""

    def __init__(self, prompt: SampledPrompt, shares: np.ndarray) -> None:
        self._shares = shares
        self._sets = prompt.sets
        self._masses = tuple(Readout("mass", members) for members in prompt.sets)
        self.tops: list[np.ndarray] = []
        self.probs: list[np.ndarray] = []
        self.masses: list[np.ndarray] = []

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        drawn = Readout("drawn", (float(self._shares[number - 1]),))
        return (drawn, *TOP, *self._masses)

    def write(self, step: Step) -> dict[int, int]:
        found = step.answer
        self.tops.append(found["top_ids"][0])
        self.probs.append(np.exp(found["top_logprobs"][0].astype(float)))
        self.masses.append(np.array([found[mass][0] for mass in self._masses], dtype=float))
        (place,) = step.chosen
        return {place: int(found["drawn"][0])}

    def stay(self, end: int, length: int) -> None:
        """After its end a text stays ended, with certainty."""
        rest = length - len(self.tops)
        self.tops += [np.array([end])] * rest
        self.probs += [np.array([1.0])] * rest
        self.masses += [np.array([float(end in members) for members in self._sets])] * rest


def marginals(
    engine: AnyEngine, prompts: Sequence[SampledPrompt], samples: int, length: int
) -> list[Marginals]:
    """Marginals at distances 1..length, by `samples` continuations of each prompt.

    At each step the model's conditional distributions are averaged over the continuations, not the
    tokens drawn from them: the same mean, with less variance. Standard errors are too small where
    few samples miss what rarely happens. Source: ours.

    Args:
        engine: over a causal model.
        prompts, samples, length: what to continue, how often (4 or more), and how far.
    """
    drawn = [
        (prompt, _Sample(prompt, shares))
        for prompt in prompts
        for shares in np.random.default_rng(prompt.seed).random((samples, length))
    ]
    paths = [path for _, path in drawn]
    made = proceed_all(
        engine,
        [prompt.ids for prompt, _ in drawn],
        length,
        [Schedule()] * len(drawn),
        [prompt.name for prompt, _ in drawn],
        paths,
    )
    for path, decoded in zip(paths, made, strict=True):
        path.stay(decoded.tokens[-1], length)
    return [_averaged(paths[i : i + samples]) for i in range(0, len(paths), samples)]


def _averaged(paths: Sequence[_Sample]) -> Marginals:
    found = [
        _distance([path.tops[step] for path in paths], [path.probs[step] for path in paths])
        for step in range(len(paths[0].tops))
    ]
    top_id, top1, top1_se, naive, entropy = map(np.array, zip(*found, strict=True))
    masses = np.stack([path.masses for path in paths])
    error = masses.std(axis=0, ddof=1) / np.sqrt(len(paths))
    return Marginals(top_id, top1, top1_se, naive, entropy, masses.mean(axis=0), error)


def _distance(
    tops: Sequence[np.ndarray], probs: Sequence[np.ndarray]
) -> tuple[int, float, float, float, float]:
    """Top token, its probability with standard error, the naive one, and the entropy."""
    tokens = np.unique(np.concatenate(tops))
    rows = np.zeros((len(tops), len(tokens)))
    for row, ids, values in zip(rows, tops, probs, strict=True):
        row[np.searchsorted(tokens, ids)] = values
    mean = rows.mean(axis=0)
    others = (len(rows) * mean - rows).argmax(axis=1)
    values = rows[np.arange(len(rows)), others]
    shares = np.append(mean, max(0.0, 1 - mean.sum()))
    shares = shares[shares > 0]
    return (
        int(tokens[mean.argmax()]),
        float(values.mean()),
        float(values.std(ddof=1) / np.sqrt(len(values))),
        float(mean.max()),
        float(-(shares * np.log(shares)).sum()),
    )
