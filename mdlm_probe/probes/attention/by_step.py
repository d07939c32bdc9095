"""The attention of some passes of a decoding, and what removing keys there changes.

A text is written first, greedily; then the passes that are read are made once more, with attention
in the open; then each of them with keys removed, which depend on what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from mdlm_probe.engine.multi_step import MultiStep, Pass
from mdlm_probe.engine.queries import Answer, Attention, Query, Readout
from mdlm_probe.probes.attention import canvases, effects
from mdlm_probe.probes.attention.canvases import StepCanvas
from mdlm_probe.probes.attention.sinks import Removed, Sinks

if TYPE_CHECKING:
    from mdlm_probe.decoding.canvas import Decoded
    from mdlm_probe.decoding.loop import Continuation, Decoding
    from mdlm_probe.models._checkpoint import Checkpoint

STARTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)
"""The least distance of each class."""
BEFORE = (Readout("top_ids", (effects.TOLD_APART,)), Readout("top_logprobs", (effects.TOLD_APART,)))
ALL = Attention("received", ((),))


@dataclass(frozen=True)
class Shares:
    """Shares of the masks' attention (mean over heads and layers), and those of even attention.

    Attributes:
        names: of what is attended to.
        found, even: shares, in that order.
    """

    names: Sequence[str | int]
    found: Float[np.ndarray, " kinds"]
    even: Float[np.ndarray, " kinds"]


@dataclass(frozen=True)
class Effect:
    """What removing a key of each layer did: means over the asked positions (and over draws).

    Attributes:
        kl, tv, top: divergence (nats), total variation, share of other most probable tokens.
        lost: log-probability that the true continuation lost a token, in nats; None: not asked.
    """

    kl: float
    tv: float
    top: float
    lost: float | None


@dataclass(frozen=True)
class StepReading:
    """A pass that was read.

    Attributes:
        canvas, sinks: what it read, and where attention went.
        groups, distances: where the masks' attention went.
        strongest, control: what removing keys did; None where none were.
    """

    canvas: StepCanvas
    sinks: Sinks
    groups: Shares
    distances: Shares
    strongest: Effect | None = None
    control: Effect | None = None


@dataclass(frozen=True)
class AttentionByStep:
    """A text to be written whose attention is read, as work for an engine.

    Attributes:
        decoding: writes it.
        entry, name: the model's; the cell's key.
        prompt: tokens before what is written.
        reads, controls: most passes to read, and keys that stand in for each strongest one; 0:
            nothing is removed.
        epsilon, seed: of sinks and of controls.
        truth: what truly follows the prompt, of which the log-probability is read in the first
            pass.
    """

    decoding: Decoding | Continuation
    entry: Checkpoint
    name: str
    prompt: int
    reads: int
    controls: int
    epsilon: float
    seed: int
    truth: tuple[int, ...] = ()

    @property
    def kv_cache_tokens(self) -> int:
        """What writing keeps."""
        return self.decoding.kv_cache_tokens

    def steps(self) -> MultiStep[list[StepReading]]:
        """Writes the text and reads its passes."""
        return (yield from self._read((yield from self.decoding.steps())))

    def brief(self) -> MultiStep[list[StepReading]]:
        """The same of a text written at once."""
        return (yield from self._read((yield from self.decoding.brief())))

    def passes(self) -> Iterator[Sequence[Pass]]:
        """Those that write, then those that are read, as if each had the whole text."""
        last: Sequence[Pass] = ()
        for last in self.decoding.passes():
            yield last
        whole = max(last, key=lambda one: one.tokens)
        own = Pass(whole.tokens, whole.tokens, whole.asked)
        yield [own] * self.reads
        if self.controls:
            yield [own] * (self.reads * (1 + self.controls))

    def _read(self, decoded: Decoded) -> MultiStep[list[StepReading]]:
        read = canvases.read_of(decoded, self.entry, self.prompt, self.reads)
        queries = [self._query(canvas) for canvas in read]
        answers = yield queries
        found = [self._reading(*pair) for pair in zip(read, answers, strict=True)]
        if not self.controls:
            return found
        removed = [self._removed(one) for one in found]
        after = yield [
            self._without(one, answer, keys)
            for one, answer, own in zip(found, answers, removed, strict=True)
            for keys in own
        ]
        each = 1 + self.controls
        parts = [after[first : first + each] for first in range(0, len(after), each)]
        return [self._effects(*both) for both in zip(found, answers, parts, strict=True)]

    def _query(self, canvas: StepCanvas) -> Query:
        readings = (
            ALL,
            Attention("strongest", (canvas.begins,)),
            Attention("to_groups", (canvas.queries, _groups(canvas))),
            Attention("by_distance", (canvas.queries, STARTS)),
        )
        readouts = (*BEFORE, *self._own(canvas))
        given = canvas.ids, canvas.asked, readouts, self.name
        return Query(*given, origin=canvas.origin, attention=readings)

    def _own(self, canvas: StepCanvas) -> tuple[Readout, ...]:
        """Reads the true continuation, before anything else was written."""
        first = not canvas.steps_before and self.truth
        return (Readout("own", (canvas.asked[0], *self.truth)),) if first else ()

    def _reading(self, canvas: StepCanvas, answer: Answer) -> StepReading:
        length = len(canvas.ids)
        received, groups, far = _even(canvas)
        found = answer["received"].astype(float) * length
        sinks = Sinks(found, received * length, answer["strongest"], self.epsilon)
        shares = answer["to_groups"].astype(float).mean(0), groups
        distances = answer["by_distance"].astype(float).mean(0), far
        names = ("masks", "prompt", "written", "itself")
        if self.entry.kind == "causal":  # its last token is a part of the prompt or the text
            given = Shares(names[:3], *shares)
        else:
            given = Shares(names, *map(_apart, shares, distances))
        return StepReading(canvas, sinks, given, Shares(STARTS, *distances))

    def _removed(self, one: StepReading) -> list[Removed]:
        draws = range(self.controls)
        others = [one.sinks.control(one.canvas, self.seed, draw) for draw in draws]
        return [one.sinks.removed, *others]

    def _without(self, one: StepReading, answer: Answer, keys: Removed) -> Query:
        """The same pass without some keys; of each position the same tokens are told apart."""
        canvas, ids = one.canvas, answer["top_ids"]
        at = dict(zip(canvas.asked, ids.tolist(), strict=True))
        first, last = canvas.asked[0], canvas.asked[-1]
        own = [tuple(at.get(place, ids[0].tolist())) for place in range(first, last + 1)]
        readouts = (Readout("top_id"), Readout("own_tokens", (first, *own)), *self._own(canvas))
        given = canvas.ids, canvas.asked, readouts, self.name
        return Query(*given, origin=canvas.origin, removed=keys)

    def _effects(self, one: StepReading, before: Answer, after: Sequence[Answer]) -> StepReading:
        strongest, *controls = (self._effect(one.canvas, before, own) for own in after)
        lost = [own.lost for own in controls if own.lost is not None]
        kl, tv, top = np.mean([(own.kl, own.tv, own.top) for own in controls], axis=0).tolist()
        control = Effect(kl, tv, top, float(np.mean(lost)) if lost else None)
        given = one.canvas, one.sinks, one.groups, one.distances
        return StepReading(*given, strongest, control)

    def _effect(self, canvas: StepCanvas, before: Answer, after: Answer) -> Effect:
        logs = before["top_logprobs"], after["own_tokens"]
        top = effects.changed(before["top_ids"], after["top_id"]).mean()
        lost = None
        if self._own(canvas):
            known = min(len(self.truth), len(canvas.asked))
            lost = float((before["own"] - after["own"])[:known].mean(dtype=float))
        return Effect(
            float(effects.kl(*logs).mean()), float(effects.tv(*logs).mean()), float(top), lost
        )


def _even(canvas: StepCanvas) -> list[np.ndarray]:
    """What even attention gives: to each key, to groups of keys, by distance."""
    from mdlm_probe.engine import attention_readouts as read  # torch: only where a model is asked

    even = read.even_weights(canvas.begins)
    found = (
        read.received(even, ()),
        read.to_groups(even, canvas.queries, _groups(canvas)),
        read.by_distance(even, canvas.queries, STARTS),
    )
    return [one.numpy().astype(float) for one in found]


def _groups(canvas: StepCanvas) -> tuple[tuple[int, ...], ...]:
    return canvas.of("mask"), canvas.of("first", "prompt"), canvas.of("written", "end")


def _apart(
    groups: Float[np.ndarray, " groups"], far: Float[np.ndarray, " distances"]
) -> Float[np.ndarray, " kinds"]:
    """Groups of keys with each mask's attention to itself apart from that to other masks."""
    return np.array([groups[0] - far[0], *groups[1:], far[0]])
