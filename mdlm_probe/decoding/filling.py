"""A canvas while it is filled in: what a step asks, what it commits, and what has been written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.queries import Guidance, Query, Readout
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    import numpy as np

    from mdlm_probe.models._checkpoint import Checkpoint


class Filling:
    """A canvas while it is filled in. Masks are named by their number in the window.

    Attributes:
        masked: the masks that are left.
        made, passes, network_tokens: steps, passes and tokens through the network so far.
    """

    def __init__(self, canvas: Canvas, schedule: Schedule, entry: Checkpoint) -> None:
        self.canvas, self.schedule, self.entry = canvas, schedule, entry
        size = len(canvas.places)
        self.ids = list(canvas.ids)
        self.tokens: list[int] = [self.ids[place] for place in canvas.places]
        self.masked = dict.fromkeys(range(size))
        self.steps, self.candidates = [0] * size, [-1] * size
        self.logprobs, self.confidences = [float("nan")] * size, [float("nan")] * size
        self.priorities = [] if schedule.rule.measure else schedule.priorities(size)
        self.kv_cache = KVCache() if schedule.cache != "none" else None
        self.passes = self.made = self.network_tokens = self.decided = self._whole = 0
        self._block: range | None = None
        self._never = schedule.never(entry.eos_ids)
        self._last = entry.eos_ids if schedule.eos == "eos_last" else ()
        shown = (p for p, token in enumerate(canvas.ids) if token != entry.mask_id)
        self._guidance = Guidance(schedule.guidance, tuple(shown)) if schedule.guidance else None

    def asked(self, left: Sequence[int], amount: int) -> list[int]:
        """The masks that a step has to know of."""
        if self.schedule.rule.measure or amount >= len(left):
            return list(left)
        return sorted(sorted(left, key=self.priorities.__getitem__)[:amount])

    def query(self, asked: Sequence[int], block: range, extra: tuple[Readout, ...]) -> Query:
        """The next step's question."""
        schedule, rule = self.schedule, self.schedule.rule
        seed = seed_of(schedule.seed, self.made + 1) if schedule.temperature else 0
        how = (rule.measure or "probability", schedule.temperature, seed)
        args = (*how, self._never, self._last, rule.dream)
        places = self.canvas.places
        computed: tuple[int, ...] = ()
        if self.kv_cache is not None and self._block == block:
            first = places[block[0]] - self.entry.shift
            dual = schedule.cache == "dual"
            computed = tuple(range(first, places[block[-1]] + 1 if dual else len(self.ids)))
        self._block = block
        return Query(
            tuple(self.ids),
            tuple(places[i] for i in asked),
            (Readout("candidates", args), *extra),
            self.canvas.name,
            guidance=self._guidance,
            kv_cache=self.kv_cache,
            computed=computed,
            origin=self.canvas.origin,
        )

    def count(self, query: Query) -> None:
        """Counts a step by its question."""
        self.network_tokens += query.network_tokens
        self.passes += 2 if query.guidance else 1
        self.made += 1

    def choose(self, asked: Sequence[int], amount: int, found: np.ndarray) -> dict[int, int]:
        """The masks that a step commits, left to right, with their tokens; remembers what of.

        Args:
            asked: masks.
            amount: of them, to commit.
            found: their candidates, see `readouts.candidates`.
        """
        tokens, logprobs, confidences = found.T
        chosen = self.schedule.chosen(confidences.tolist(), amount)
        for at in chosen:
            self.candidates[asked[at]] = int(tokens[at])
            self.logprobs[asked[at]] = float(logprobs[at])
            self.confidences[asked[at]] = float(confidences[at])
        return {asked[at]: int(tokens[at]) for at in chosen}

    def write(self, tokens: dict[int, int]) -> None:
        """Writes tokens into masks."""
        for mask, token in tokens.items():
            del self.masked[mask]  # a mask twice, or none, is the intervention's mistake
            self.tokens[mask] = self.ids[self.canvas.places[mask]] = token
            self.steps[mask] = self.made

    def is_decided(self) -> bool:
        """Whether no mask is left, or none before the first end of text."""
        while self._whole < len(self.tokens) and self._whole not in self.masked:
            if self.tokens[self._whole] in self.entry.eos_ids:
                break
            self._whole += 1
        done = not self.masked or self._whole not in self.masked
        if done and not self.decided:
            self.decided = self.passes
        return done

    def decoded(self) -> Decoded:
        """What has become of the canvas."""
        return Decoded(
            self.canvas,
            tuple(self.tokens),
            tuple(self.steps),
            tuple(self.candidates),
            tuple(self.logprobs),
            tuple(self.confidences),
            self.passes,
            self.decided,
            self.network_tokens,
        )
