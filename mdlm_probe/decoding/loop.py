"""The decoding loop: a canvas of masks filled in, or a text continued, over several steps.

In each step the network scores the masks of the active block, an order strategy chooses which of
them are committed, an intervention may have a say, and tokens are written. The output layer runs at
those masks only, and a canvas that is whole takes part in no pass. See `schedule` for what is
published, and what was chosen here. A causal model writes one token per step, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas, Decoded, Intervention, Step, Watcher
from mdlm_probe.decoding.filling import Filling
from mdlm_probe.decoding.layout import BlockPlan, layout
from mdlm_probe.decoding.rules import EXTRA_EDITS
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.multi_step import MultiStep, Pass
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint


def decode(
    canvas: Canvas,
    schedule: Schedule,
    entry: Checkpoint,
    intervention: Intervention | None = None,
    cached: bool = False,
    watcher: Watcher | None = None,
) -> MultiStep[Decoded]:
    """Fills in a canvas.

    Args:
        canvas: its masks are filled in, block by block.
        schedule: in which order, and in how many steps.
        entry: the model's: mask, ends of text, attention.
        intervention: called between choice and commit of every step, or None.
        cached: whether a block-causal model keeps the keys and values of finished blocks, which
            takes a pass for each: exact, and the tokens are the same.
        watcher: told what every step's pass says of the masks left, or None.
    """
    filling = Filling(canvas, schedule, entry, cached, watcher)
    plans = layout(canvas, schedule, entry)
    for number, plan in enumerate(plans):
        going = True
        if entry.block and (number == 0 or plan.begin != plans[number - 1].begin):
            going = yield from _enter(filling, plan, plans[number - 1 : number], intervention)
        going = going and not filling.ended() and (yield from _fill(filling, plan, intervention))
        if not going or (filling.is_decided() and schedule.stop):
            break
    return filling.decoded()


def _enter(
    filling: Filling,
    plan: BlockPlan,
    before: Sequence[BlockPlan],
    intervention: Intervention | None,
) -> MultiStep[bool]:
    """Goes to the next block of block-causal attention: with the one before it finished.

    With a shift the block's first token comes from the row before it, which sees finished blocks
    alone: a step of its own, in which that row's block is kept, too. Returns whether the loop goes
    on.
    """
    first = plan.masks[0]
    begins = filling.canvas.places[first] == plan.begin and first in filling.masked
    if filling.entry.shift and begins:
        span = filling.entry.block_span(plan.begin - 1, filling.canvas.origin)
        own = BlockPlan(range(first, first + 1), 1, 1, span[0], plan.begin + 1)
        changed = yield from _step(filling, own, [first], 1, intervention)
        return changed is not None
    if before and filling.kv_cache is not None:
        query = filling.storing(before[0])
        yield [query]
        filling.count(query, step=False)
    return True


def _fill(filling: Filling, plan: BlockPlan, intervention: Intervention | None) -> MultiStep[bool]:
    """Fills in a block; returns whether the loop goes on."""
    schedule, block = filling.schedule, plan.masks
    edits = schedule.rule_settings.edits
    masks, step, extra = sum(mask in filling.masked for mask in block), 0, 0
    quota = plan.quota if filling.entry.block else masks
    while True:
        left = [mask for mask in block if mask in filling.masked]
        if not left and (not edits or extra == EXTRA_EDITS or not masks):
            return True
        wanted, amount = filling.wanted(left, step, plan.steps, quota) if left else ([], 0)
        step, extra = step + 1, extra + (not left)
        if left and not wanted:
            continue
        asked = sorted([*wanted, *filling.editable(block)])
        changed = yield from _step(filling, plan, asked, amount, intervention)
        if changed is None:
            return False
        if not left and not changed:
            return True
        if filling.ended():
            return False


def _step(
    filling: Filling,
    plan: BlockPlan,
    asked: list[int],
    amount: int,
    intervention: Intervention | None,
) -> MultiStep[bool | None]:
    """A step: asks, commits and edits; returns whether it changed a token, None for no more."""
    extra = intervention.readouts(filling.made + 1, asked) if intervention else ()
    query = filling.query(asked, plan, extra)
    (answer,) = yield [query]
    filling.count(query)
    answer = filling.told(query, len(asked), answer)
    found = answer[query.readouts[0]]
    edits = filling.edits(asked, found)
    chosen = filling.choose(asked, amount, found)
    tokens: dict[int, int] | None = chosen
    if intervention:
        logprobs = {mask: filling.logprobs[mask] for mask in chosen}
        masked = frozenset(filling.masked)
        made = Step(filling.made, chosen, logprobs, masked, asked, answer, edits)
        tokens = intervention.write(made)
    if tokens is None:
        return None
    filling.write(tokens)
    filling.edit(asked, found, edits)
    return bool(tokens or edits)


def proceed(
    prompt: Sequence[int],
    length: int,
    schedule: Schedule,
    entry: Checkpoint,
    name: str,
    cached: bool,
    intervention: Intervention | None = None,
) -> MultiStep[Decoded]:
    """Continues a text by a causal model, one token per step, until an end of text.

    Args:
        prompt: token ids.
        length: most tokens to write.
        schedule: its temperature, seed, and rule for ends of text (`eos_inf`).
        entry, name: the model's; the cell's key.
        cached: whether keys and values are kept between steps. The tokens are the same.
        intervention: called before every token is written, or None: it may have another one
            written, or end the text after the one that was chosen (None).
    """
    ids, kv_cache = list(prompt), KVCache() if cached else None
    never = schedule.never(entry.eos_ids)
    tokens: list[int] = []
    candidates: list[int] = []
    logprobs: list[float] = []
    computed: tuple[int, ...] = ()
    network_tokens = 0
    while len(tokens) < length and (not tokens or tokens[-1] not in entry.eos_ids):
        at = len(tokens)
        seed = seed_of(schedule.seed, at + 1) if schedule.temperature else 0
        drawn = Readout("candidates", ("probability", schedule.temperature, seed, never))
        extra = intervention.readouts(at + 1, (at,)) if intervention else ()
        place, readouts = len(ids), (drawn, *extra)
        query = Query(tuple(ids), (place,), readouts, name, kv_cache=kv_cache, computed=computed)
        (answer,) = yield [query]
        network_tokens += query.network_tokens
        computed = (place,) if cached else ()
        candidates.append(int(answer[drawn][0, 0]))
        logprobs.append(float(answer[drawn][0, 1]))
        written: dict[int, int] | None = {at: candidates[at]}
        if intervention:
            chosen = {at: candidates[at]}
            step = Step(at + 1, chosen, {at: logprobs[at]}, frozenset({at}), (at,), answer)
            written = intervention.write(step)
        tokens.append(candidates[at] if written is None else written[at])
        ids.append(tokens[at])
        if written is None:
            break
    made = len(tokens)
    canvas = Canvas(tuple(ids), tuple(range(len(prompt), len(ids))), name)
    logs = tuple(logprobs)
    return Decoded(
        *(canvas, tuple(tokens), tuple(range(1, made + 1)), tuple(candidates), logs, logs),
        *(made, made, network_tokens),
    )


# ---------------------------------------------------------------------- work for an engine


@dataclass(frozen=True)
class Decoding:
    """A canvas to be filled in, as work for an engine; see `decode`."""

    canvas: Canvas
    schedule: Schedule
    entry: Checkpoint
    intervention: Intervention | None = None
    cached: bool = False
    watcher: Watcher | None = None

    @property
    def kv_cache_tokens(self) -> int:
        """All of the canvas, where keys and values are kept."""
        kept = self.cached or self.schedule.cache != "none"
        return len(self.canvas.ids) if kept else 0

    def steps(self) -> MultiStep[Decoded]:
        """Fills the canvas in."""
        return self._filled(self.schedule)

    def brief(self) -> MultiStep[Decoded]:
        """Fills it in at once, or block by block."""
        return self._filled(self.schedule.brief())

    def passes(self) -> list[list[Pass]]:
        """As many as the schedule makes at most, each as if nothing were kept within its block."""
        if self.entry.block:
            return [[own] for own in self._passes_of_blocks()]
        (query,) = next(self.steps())
        own = Pass(len(query.ids), query.network_tokens, len(query.positions))
        return [[own]] * self.schedule.made(len(self.canvas.places))

    def _filled(self, schedule: Schedule) -> MultiStep[Decoded]:
        how = self.intervention, self.cached, self.watcher
        return decode(self.canvas, schedule, self.entry, *how)

    def _passes_of_blocks(self) -> Iterator[Pass]:
        """The first one takes all that stands before its block, others the block where the rest is
        kept; one more keeps each block that is finished, or gives the next one's first token.
        """
        plans = layout(self.canvas, self.schedule, self.entry)
        kept = self.cached or self.schedule.cache != "none"
        for number, plan in enumerate(plans):
            fed = plan.end - plan.begin if kept else plan.end
            ends = number + 1 == len(plans) or plans[number + 1].begin != plan.begin
            extra = int(ends and number + 1 < len(plans) and (kept or self.entry.shift > 0))
            made = self.schedule.made_in(plan.quota, plan.steps, len(plan.masks))
            for step in range(made + extra):
                begun = number or step
                yield Pass(plan.end, fed if begun else plan.end, len(plan.masks))


@dataclass(frozen=True)
class Continuation:
    """A text to be continued by a causal model, as work for an engine; see `proceed`."""

    prompt: Sequence[int]
    length: int
    schedule: Schedule
    entry: Checkpoint
    name: str
    cached: bool
    intervention: Intervention | None = None

    @property
    def kv_cache_tokens(self) -> int:
        """The prompt and all that may be written, where keys and values are kept."""
        return len(self.prompt) + self.length if self.cached else 0

    def steps(self) -> MultiStep[Decoded]:
        """Continues the text."""
        return self._written(self.length)

    def brief(self) -> MultiStep[Decoded]:
        """Continues it by a token."""
        return self._written(1)

    def passes(self) -> list[list[Pass]]:
        """One for each token, as if none ended the text and nothing were kept."""
        first = len(self.prompt)
        return [[Pass(first + n, first + n, 1)] for n in range(self.length)]

    def _written(self, length: int) -> MultiStep[Decoded]:
        return proceed(
            *(self.prompt, length, self.schedule, self.entry, self.name, self.cached),
            self.intervention,
        )


def decode_all(
    engine: AnyEngine,
    canvases: Sequence[Canvas],
    schedules: Sequence[Schedule],
    interventions: Sequence[Intervention | None] = (),
    beside: int = 0,
    watchers: Sequence[Watcher | None] = (),
) -> list[Decoded]:
    """Fills in canvases side by side; equal ones go through the network once.

    Args:
        engine: over a masked model.
        canvases, schedules, interventions, watchers: one of each a canvas; no interventions, no
            watchers: none at all.
        beside: how many of the last ones are needed beside the others; see `AnyEngine.run`.

    Raises:
        ProbeError: keys and values are to be kept by a model that has none.
    """
    if any(schedule.cache != "none" for schedule in schedules) and not engine.has_kv_cache:
        raise ProbeError(
            f"'{engine.entry.name}' has no keys and values to keep",
            expected="--cache none, or a checkpoint with weights",
        )
    hooks, eyes = interventions or [None] * len(canvases), watchers or [None] * len(canvases)
    works = [
        Decoding(canvas, schedule, engine.entry, hook, _keeps_blocks(engine, schedule), eye)
        for canvas, schedule, hook, eye in zip(canvases, schedules, hooks, eyes, strict=True)
    ]
    own = len(works) - beside
    return engine.run(works[:own], works[own:])


def _keeps_blocks(engine: AnyEngine, schedule: Schedule) -> bool:
    """Whether keys and values of finished blocks are kept; guided passes keep none."""
    return bool(engine.entry.block) and engine.has_kv_cache and not schedule.guidance


def proceed_all(
    engine: AnyEngine,
    prompts: Sequence[Sequence[int]],
    length: int | Sequence[int],
    schedules: Sequence[Schedule],
    names: Sequence[str],
    interventions: Sequence[Intervention | None] = (),
) -> list[Decoded]:
    """Continues prompts by a causal model side by side; see `proceed` and `decode_all`.

    `length` is of each prompt, or of all.
    """
    hooks = interventions or [None] * len(prompts)
    lengths = [length] * len(prompts) if isinstance(length, int) else length
    each = zip(prompts, lengths, schedules, names, hooks, strict=True)
    works = [
        Continuation(prompt, own, schedule, engine.entry, name, engine.has_kv_cache, hook)
        for prompt, own, schedule, name, hook in each
    ]
    return engine.run(works)
