"""A canvas while it is filled in: what a step asks, what it commits, and what has been written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.canvas import Canvas, Decoded, Edit, Watcher
from mdlm_probe.decoding.layout import BlockPlan
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.queries import Answer, Guidance, Query, Readout
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    import numpy as np

    from mdlm_probe.models._checkpoint import Checkpoint


class Filling:
    """A canvas while it is filled in. Masks are named by their number in the window.

    Args:
        canvas, schedule, entry: what is filled in, how, by which model.
        cached: whether keys and values of finished blocks are kept, of a block-causal model.
        watcher: told what every step's pass says of the masks left, or None.

    Attributes:
        masked: the masks that are left.
        made, passes, network_tokens: steps, passes and tokens through the network so far.
        edited: written tokens that were replaced.
    """

    def __init__(
        self,
        canvas: Canvas,
        schedule: Schedule,
        entry: Checkpoint,
        cached: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        self.canvas, self.schedule, self.entry = canvas, schedule, entry
        self._watcher = watcher
        size = len(canvas.places)
        self.ids = list(canvas.ids)
        self.tokens: list[int] = [self.ids[place] for place in canvas.places]
        self.masked = dict.fromkeys(range(size))
        self.steps, self.candidates = [0] * size, [-1] * size
        self.logprobs, self.confidences = [float("nan")] * size, [float("nan")] * size
        self.edited: list[Edit] = []
        self.priorities = [] if schedule.rule.measure else schedule.priorities(size)
        self.kv_cache = KVCache() if cached or schedule.cache != "none" else None
        self._kept = False
        self.passes = self.made = self.network_tokens = self.decided = self._whole = 0
        self._block: range | None = None
        self._never = schedule.never(entry.eos_ids)
        self._last = schedule.last(entry.eos_ids)
        shown = (p for p, token in enumerate(canvas.ids) if token != entry.mask_id)
        self._guidance = Guidance(schedule.guidance, tuple(shown)) if schedule.guidance else None

    def wanted(
        self, left: Sequence[int], step: int, steps: int, masks: int
    ) -> tuple[list[int], int]:
        """The masks that a block's step has to know of, none where it isn't made; how many of them
        it commits, see `Schedule.amount`.

        Args:
            left: masks of the block.
            step, steps, masks: as for `Schedule.amount`.
        """
        schedule = self.schedule
        if schedule.order == "dream_origin":
            drawn = schedule.drawn(left, step, steps)
            return drawn, len(drawn)
        amount = schedule.amount(step, steps, masks, len(left))
        if not amount and schedule.order != "low_confidence_dynamic":
            return [], 0
        if schedule.rule.measure or amount >= len(left):
            return list(left), amount
        return sorted(sorted(left, key=self.priorities.__getitem__)[:amount]), amount

    def query(self, asked: Sequence[int], plan: BlockPlan, extra: tuple[Readout, ...]) -> Query:
        """The next step's question.

        Args:
            asked: numbers of masks, and of places that may be edited.
            plan: of their block.
            extra: more readouts.
        """
        schedule, rule = self.schedule, self.schedule.rule
        seed = seed_of(schedule.seed, self.made + 1) if schedule.temperature else 0
        how = (rule.measure or "probability", schedule.temperature, seed)
        args: tuple[Any, ...] = (*how, self._never, self._last, rule.tempered)
        if schedule.rule_settings.truncates:
            args += (schedule.rule_settings.top_p, schedule.rule_settings.top_k, rule.dream)
        places = tuple(self.canvas.places[i] for i in asked)
        query = self._fed(places, (Readout("candidates", args), *extra), plan)
        return self._watched(query) if self._watcher else query

    def _watched(self, query: Query) -> Query:
        """The same, behind its own positions those of all other masks that the pass computes."""
        assert self._watcher
        computed = query.computed or range(len(query.ids))
        known = dict.fromkeys(query.positions)
        for mask in self.masked:
            place = self.canvas.places[mask]
            if place < len(query.ids) and place - self.entry.shift in computed:
                known[place] = None
        readouts = dict.fromkeys((*query.readouts, *self._watcher.wanted))
        return replace(query, positions=tuple(known), readouts=tuple(readouts))

    def told(self, query: Query, asked: int, answer: Answer) -> Answer:
        """The answer to the step's own question; the watcher is told of all masks left.

        Args:
            query: as asked; its first positions are the step's own.
            asked: how many these are.
            answer: to all of it.
        """
        if self._watcher is None:
            return answer
        at = {place: row for row, place in enumerate(query.positions)}
        masks = [mask for mask in self.masked if self.canvas.places[mask] in at]
        rows = [at[self.canvas.places[mask]] for mask in masks]
        self._watcher.see(tuple(self.tokens), masks, answer.part(self._watcher.wanted, rows))
        return answer.part(query.readouts, slice(asked))

    def storing(self, plan: BlockPlan) -> Query:
        """A pass that keeps the keys and values of a finished block, and nothing else."""
        return self._fed((plan.end - 1,), (Readout("top_logprob"),), plan)

    def _fed(
        self, places: tuple[int, ...], readouts: tuple[Readout, ...], plan: BlockPlan
    ) -> Query:
        """A question about some places of a block, with all that the model is fed."""
        computed: tuple[int, ...] = ()
        end = max(plan.end, places[-1] + 1)
        if self.kv_cache is not None:
            first = plan.begin
            if not self.entry.block:  # kept within a block, see `Schedule.cache`
                first = self.canvas.places[plan.masks[0]] - self.entry.shift
                if self.schedule.cache == "dual":
                    end = self.canvas.places[plan.masks[-1]] + 1
            first = min(first, places[0] - self.entry.shift)
            if self._kept if self.entry.block else self._block == plan.masks:
                computed = tuple(range(first, end))
        self._block, self._kept = plan.masks, True
        whole = max(plan.end, end)
        return Query(
            tuple(self.ids[:whole]),
            places,
            readouts,
            self.canvas.name,
            guidance=self._guidance,
            kv_cache=self.kv_cache,
            computed=computed,
            origin=self.canvas.origin,
        )

    def count(self, query: Query, *, step: bool = True) -> None:
        """Counts a pass by its question, and the step that it was made for."""
        self.network_tokens += query.network_tokens
        self.passes += 2 if query.guidance else 1
        self.made += step

    def editable(self, block: Sequence[int]) -> list[int]:
        """The places of a block that were written and may be edited."""
        edits = self.schedule.rule_settings.edits
        return [place for place in block if place not in self.masked] if edits else []

    def choose(self, asked: Sequence[int], amount: int, found: np.ndarray) -> dict[int, int]:
        """The masks that a step commits, left to right, with their tokens; remembers what of.

        Args:
            asked: masks, and others that may be edited.
            amount: of the masks, to commit.
            found: the candidates of all asked, see `readouts.candidates`.
        """
        rows = [row for row, mask in enumerate(asked) if mask in self.masked]
        if not rows:
            return {}
        confidences = found[rows, 2].tolist()
        places = [self.canvas.places[asked[row]] for row in rows]
        tokens = {}
        for at in self.schedule.chosen(confidences, amount, self.made, places):
            mask, row = asked[rows[at]], found[rows[at]]
            self._remember(mask, row)
            tokens[mask] = int(row[0])
        return tokens

    def edits(self, asked: Sequence[int], found: np.ndarray) -> dict[int, int]:
        """The written places of a step whose tokens are replaced, with the new tokens.

        Args:
            asked, found: as for `choose`.
        """
        if not self.schedule.rule_settings.edits:
            return {}
        limit, new = self.schedule.rule_settings.edit_threshold, {}
        for mask, row in zip(asked, found, strict=True):
            token = int(row[0])
            other = mask not in self.masked and token != self.tokens[mask]
            if other and math.exp(row[2]) > limit:
                new[mask] = token
        return new

    def edit(self, asked: Sequence[int], found: np.ndarray, new: dict[int, int]) -> None:
        """Replaces written tokens."""
        for mask, token in new.items():
            self.edited.append(Edit(self.made, mask, self.tokens[mask], self.steps[mask]))
            self._remember(mask, found[asked.index(mask)])
            self._put(mask, token)

    def _remember(self, mask: int, row: np.ndarray) -> None:
        self.candidates[mask] = int(row[0])
        self.logprobs[mask], self.confidences[mask] = float(row[1]), float(row[2])

    def _put(self, mask: int, token: int) -> None:
        self.tokens[mask] = self.ids[self.canvas.places[mask]] = token
        self.steps[mask] = self.made

    def write(self, tokens: dict[int, int]) -> None:
        """Writes tokens into masks."""
        for mask, token in tokens.items():
            del self.masked[mask]  # a mask twice, or none, is the intervention's mistake
            self._put(mask, token)

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

    def ended(self) -> bool:
        """Whether nothing that is written from now on would matter: not as long as a block may be
        edited.
        """
        if self.schedule.rule_settings.edits:
            return False
        return self.is_decided() and self.schedule.stop

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
            tuple(self.edited),
        )
