"""The unmasking loop: a canvas of masks filled in over several steps.

In each step the network scores the masks of the active block, an order strategy chooses which of
them are committed, an intervention may have a say, and tokens are written. The output layer runs at
those masks only, and a canvas that is whole takes part in no pass. See `schedules` for what is
published, and what was chosen here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas, Decoded, Intervention, Step
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.multi_step import Found, MultiStep
from mdlm_probe.engine.queries import Guidance, Query, Readout
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.engine.engine import Answer, Engine
    from mdlm_probe.models._checkpoint import Checkpoint


class _Filling:
    """A canvas while it is filled in."""

    def __init__(self, canvas: Canvas, schedule: Schedule, entry: Checkpoint) -> None:
        self.canvas, self.schedule, self.entry = canvas, schedule, entry
        size = len(canvas.places)
        self.ids = list(canvas.ids)
        self.tokens: list[int] = [self.ids[place] for place in canvas.places]
        self.masked = dict.fromkeys(range(size))
        self.steps, self.candidates = [0] * size, [-1] * size
        self.logprobs, self.confidences = [float("nan")] * size, [float("nan")] * size
        self.priorities = [] if schedule.rule.measure else schedule.priorities(size)
        self.held = KVCache() if schedule.cache != "none" else None
        self.passes = self.made = self.fed = self.decided = self._whole = 0
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
        args = (rule.measure or "probability", schedule.temperature, seed)
        args = (*args, self._never, self._last, rule.dream)
        places = self.canvas.places
        fresh: tuple[int, ...] = ()
        if self.held is not None and self._block == block:
            first = places[block[0]] - self.entry.shift
            dual = schedule.cache == "dual"
            fresh = tuple(range(first, places[block[-1]] + 1 if dual else len(self.ids)))
        self._block = block
        return Query(
            tuple(self.ids),
            tuple(places[i] for i in asked),
            (Readout("candidates", args), *extra),
            self.canvas.name,
            guidance=self._guidance,
            held=self.held,
            fresh=fresh,
        )

    def choose(self, asked: Sequence[int], amount: int, answer: Answer) -> dict[int, int]:
        """The masks that a step commits, left to right, with their tokens; remembers what of."""
        tokens, logprobs, confidences = answer[0].T
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
        parts = (self.tokens, self.steps, self.candidates, self.logprobs, self.confidences)
        return Decoded(self.canvas, *map(tuple, parts), self.passes, self.decided, self.fed)


def decode(
    canvas: Canvas, schedule: Schedule, entry: Checkpoint, intervention: Intervention | None = None
) -> MultiStep[Decoded]:
    """Fills in a canvas.

    Args:
        canvas: its masks are filled in, block by block.
        schedule: in which order, and in how many steps.
        entry: the model's: mask, ends of text.
        intervention: called between choice and commit of every step, or None.
    """
    filling = _Filling(canvas, schedule, entry)
    size = len(canvas.places)
    for block, steps in zip(schedule.blocks(size), schedule.block_steps(size), strict=True):
        masks, step = sum(mask in filling.masked for mask in block), 0
        while left := [mask for mask in block if mask in filling.masked]:
            amount, step = schedule.amount(step, steps, masks, len(left)), step + 1
            if not amount:
                continue
            asked = filling.asked(left, amount)
            extra = intervention.readouts(filling.made + 1, asked) if intervention else ()
            query = filling.query(asked, block, extra)
            (answer,) = yield [query]
            filling.fed += query.fed
            filling.passes += 2 if schedule.guidance else 1
            filling.made += 1
            tokens = filling.choose(asked, amount, answer)
            if intervention:
                found = {mask: tuple(a[at] for a in answer[1:]) for at, mask in enumerate(asked)}
                logprobs = {mask: filling.logprobs[mask] for mask in tokens}
                masked = frozenset(filling.masked)
                tokens = intervention.write(Step(filling.made, tokens, logprobs, masked, found))
                if tokens is None:
                    return filling.decoded()
            filling.write(tokens)
            if filling.is_decided() and schedule.stop:
                return filling.decoded()
    return filling.decoded()


def proceed(
    prompt: Sequence[int],
    length: int,
    schedule: Schedule,
    entry: Checkpoint,
    name: str,
    holds: bool,
    intervention: Intervention | None = None,
) -> MultiStep[Decoded]:
    """Continues a text by a causal model, a token a step, until an end of text.

    Args:
        prompt: token ids.
        length: most tokens to write.
        schedule: its temperature, seed, and rule for ends of text (`eos_inf`).
        entry, name: the model's; the cell's key.
        holds: whether keys and values are kept between steps. The tokens are the same.
        intervention: called before every token is written; it may end the text after that token
            (None), and change nothing else.
    """
    ids, held = list(prompt), KVCache() if holds else None
    never = schedule.never(entry.eos_ids)
    tokens, logprobs, fresh, fed = [], [], (), 0
    while len(tokens) < length and (not tokens or tokens[-1] not in entry.eos_ids):
        seed = seed_of(schedule.seed, len(tokens) + 1) if schedule.temperature else 0
        drawn = Readout("candidates", ("probability", schedule.temperature, seed, never))
        query = Query(tuple(ids), (len(ids),), (drawn,), name, held=held, fresh=fresh)
        ((found,),) = yield [query]
        fed += query.fed
        fresh = (len(ids),) if holds else ()
        at, token = len(tokens), int(found[0, 0])
        logprobs.append(float(found[0, 1]))
        tokens.append(token)
        ids.append(token)
        step = Step(at + 1, {at: token}, {at: logprobs[at]}, frozenset({at}), {})
        if intervention and intervention.write(step) is None:
            break
    made = len(tokens)
    places = tuple(range(len(prompt), len(ids)))
    steps = tuple(range(1, made + 1))
    canvas = Canvas(tuple(ids), places, name)
    written, logs = tuple(tokens), tuple(logprobs)
    return Decoded(canvas, written, steps, written, logs, logs, made, made, fed)


# ---------------------------------------------------------------------- many at once


def decode_all(
    engine: Engine | DryRun,
    canvases: Sequence[Canvas],
    schedules: Sequence[Schedule],
    interventions: Sequence[Intervention | None] = (),
) -> list[Decoded]:
    """Fills in canvases side by side; equal ones go through the network once.

    Args:
        engine: a Counter takes the passes of whole canvases, and nothing is found.
        canvases, schedules, interventions: one of each a canvas; no interventions: none at all.

    Raises:
        ProbeError: keys and values are to be kept by a model that has none.
    """
    _check_cache(engine, schedules)
    hooks = interventions or [None] * len(canvases)
    begun = [
        decode(canvas, schedule, engine.entry, hook)
        for canvas, schedule, hook in zip(canvases, schedules, hooks, strict=True)
    ]
    if hasattr(engine, "repeat"):
        made = [s.made(len(c.places)) for c, s in zip(canvases, schedules, strict=True)]
        return _count(engine, begun, made)
    held = any(schedule.cache != "none" for schedule in schedules)
    return in_waves(engine, begun, [len(c.ids) for c in canvases] if held else [])


def proceed_all(
    engine: Engine | DryRun,
    prompts: Sequence[Sequence[int]],
    length: int,
    schedules: Sequence[Schedule],
    names: Sequence[str],
    interventions: Sequence[Intervention | None] = (),
) -> list[Decoded]:
    """Continues prompts by a causal model side by side; see `proceed` and `decode_all`."""
    hooks = interventions or [None] * len(prompts)
    begun = [
        proceed(prompt, length, schedule, engine.entry, name, engine.holds, hook)
        for prompt, schedule, name, hook in zip(prompts, schedules, names, hooks, strict=True)
    ]
    if hasattr(engine, "repeat"):
        return _count(engine, begun, [length] * len(prompts))
    return in_waves(engine, begun, [len(prompt) + length for prompt in prompts])


def in_waves(engine: Engine, begun: Sequence[MultiStep[Found]], held: Sequence[int]) -> list[Found]:
    """Runs courses side by side, as many at a time as keys and values fit in memory.

    Args:
        engine: not a Counter.
        begun: the courses.
        held: tokens whose keys and values each keeps at most; none: they keep none.
    """
    room = engine.held_tokens if held and engine.holds else 0
    waves: list[list[MultiStep[Found]]] = [[]]
    taken = 0
    for course, tokens in zip(begun, held or [0] * len(begun), strict=True):
        if waves[-1] and room and taken + tokens > room:
            waves.append([])
            taken = 0
        waves[-1].append(course)
        taken += tokens
    return [found for wave in waves for found in multi_step.run(engine, wave)]


def _count(engine: DryRun, begun: Sequence[MultiStep[Decoded]], made: Sequence[int]) -> list:
    """Counts the first steps, and the others as so many like them."""
    first = [next(course)[0] for course in begun]
    engine.ask(first)
    engine.repeat(first, [number - 1 for number in made])
    return []


def _check_cache(engine: Engine | DryRun, schedules: Sequence[Schedule]) -> None:
    """Refuses to keep keys and values of a model that has none."""
    if any(schedule.cache != "none" for schedule in schedules) and not engine.holds:
        raise ProbeError(
            f"'{engine.entry.name}' has no keys and values to keep",
            expected="--cache none, or a checkpoint with weights",
        )
