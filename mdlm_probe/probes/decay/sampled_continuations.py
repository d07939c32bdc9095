"""What a causal model's free running makes of each distance: Monte Carlo over its continuations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.engine.engine import Engine

TOPS = 64
"""Tokens of each conditional distribution that are kept; the rest is the tail."""


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


@dataclass
class _Sample:
    """One continuation: its tokens so far, and what was read at each of them."""

    prompt: SampledPrompt
    shares: np.ndarray
    ids: list[int]
    held: KVCache | None = None
    ended: bool = False
    tops: list[np.ndarray] = field(default_factory=list)
    probs: list[np.ndarray] = field(default_factory=list)
    masses: list[np.ndarray] = field(default_factory=list)

    def query(self, step: int) -> Query:
        drawn = Readout("drawn", (float(self.shares[step]),))
        tops = Readout("top_ids", (TOPS,)), Readout("top_logprobs", (TOPS,))
        masses = tuple(Readout("mass", members) for members in self.prompt.sets)
        fresh = (len(self.ids) - 1,) if self.held and step else ()
        return Query(
            *(tuple(self.ids), (len(self.ids),), (drawn, *tops, *masses), self.prompt.name),
            held=self.held,
            fresh=fresh,
        )

    def go_on(self, found: Sequence[np.ndarray], ends: Sequence[int]) -> None:
        drawn, tops, logprobs, *masses = (array[0] for array in found)
        self.tops.append(tops)
        self.probs.append(np.exp(logprobs.astype(float)))
        self.masses.append(np.array(masses, dtype=float))
        self.ids.append(int(drawn))
        self.ended = int(drawn) in ends

    def stay(self) -> None:
        """After its end a text stays ended, with certainty."""
        end = self.ids[-1]
        self.tops.append(np.array([end]))
        self.probs.append(np.array([1.0]))
        self.masses.append(np.array([float(end in members) for members in self.prompt.sets]))


def marginals(
    engine: Engine | DryRun, prompts: Sequence[SampledPrompt], samples: int, length: int
) -> list[Marginals]:
    """Marginals at distances 1..length, by `samples` continuations of each prompt.

    At each step the model's conditional distributions are averaged over the continuations, not the
    tokens drawn from them: the same mean, with less variance. Standard errors are too small where
    few samples miss what rarely happens. Source: ours.

    Args:
        engine: a Counter takes the queries of continuations that don't end, and nothing is found.
        prompts, samples, length: what to continue, how often (4 or more), and how far.
    """
    found: list[Marginals] = []
    for some, holds in _waves(engine, prompts, samples, length):
        found += _wave(engine, some, samples, length, holds)
    return found


def _waves(
    engine: Engine | DryRun, prompts: Sequence[SampledPrompt], samples: int, length: int
) -> list[tuple[Sequence[SampledPrompt], bool]]:
    """Prompts whose continuations are written side by side; whether keys and values are kept."""
    if hasattr(engine, "repeat") or not getattr(engine, "holds", False):
        return [(prompts, False)]
    most = samples * (max(len(prompt.ids) for prompt in prompts) + length)
    size = engine.held_tokens // most
    if not size:
        return [(prompts, False)]
    return [(prompts[at : at + size], True) for at in range(0, len(prompts), size)]


def _wave(
    engine: Engine | DryRun,
    prompts: Sequence[SampledPrompt],
    samples: int,
    length: int,
    holds: bool,
) -> list[Marginals]:
    paths = [
        _Sample(prompt, shares, list(prompt.ids), KVCache() if holds else None)
        for prompt in prompts
        for shares in np.random.default_rng(prompt.seed).random((samples, length))
    ]
    for step in range(length):
        running = [path for path in paths if not path.ended]
        found = engine.ask([path.query(step) for path in running]) if running else []
        if running and not found:
            _count(engine, prompts, samples, length - 1)
            return []
        for path in (path for path in paths if path.ended):
            path.stay()
        for path, answer in zip(running, found, strict=True):
            path.go_on(answer, engine.entry.eos_ids)
    return [_averaged(paths[i : i + samples]) for i in range(0, len(paths), samples)]


def _count(
    engine: Engine | DryRun, prompts: Sequence[SampledPrompt], samples: int, steps: int
) -> None:
    """Asks a Counter for the steps after the first one."""
    for prompt in prompts:
        for step in range(1, steps + 1):
            ids = prompt.ids + (0,) * step
            engine.ask([Query(ids, (len(ids),), (), prompt.name)] * samples)


def _averaged(paths: Sequence[_Sample]) -> Marginals:
    found = [
        _distance([path.tops[step] for path in paths], [path.probs[step] for path in paths])
        for step in range(len(paths[0].tops))
    ]
    masses = np.stack([path.masses for path in paths])
    error = masses.std(axis=0, ddof=1) / np.sqrt(len(paths))
    return Marginals(*map(np.array, zip(*found, strict=True)), masses.mean(axis=0), error)


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
