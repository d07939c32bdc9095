"""Texts written for lm-eval: its generation arguments as our schedules, its stop texts obeyed."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers, loop, presets
from mdlm_probe.decoding.canvas import Canvas, Observer, Step
from mdlm_probe.decoding.layout import laid_out
from mdlm_probe.decoding.rules import RULES, SETTINGS, LastBlock, Order, RuleSettings
from mdlm_probe.decoding.schedule import Cache, Eos, Schedule, check

if TYPE_CHECKING:
    from mdlm_probe.decoding.canvas import Decoded
    from mdlm_probe.engine.engine import Engine
    from mdlm_probe.models._border import Border

LENGTH = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens", "length")
"""Names of the most tokens to write; the first one given counts."""
DEFAULT_LENGTH = 256
"""Tokens to write where nobody says: lm-eval's own default."""
NUMBERS: dict[str, type] = {
    **dict.fromkeys((*LENGTH, "steps", "block", "top_k"), int),
    **dict.fromkeys(("temperature", "threshold", "guidance"), float),
    **dict.fromkeys(("top_p", "alg_temp", "eps"), float),
    **dict.fromkeys(("factor", "entropy_bound", "edit_threshold"), float),
}
CHOICES = {"order": Order, "eos": Eos, "cache": Cache, "last_block": LastBlock}
KNOWN = (*NUMBERS, *CHOICES, "until", "do_sample")
HABITS = {"top_p": (1.0,), "top_k": (0, 1, 50), "num_beams": (1,)}
"""Values that change nothing here: tasks name them out of habit. Settings of rules count where the
user or a preset gives them, no task."""


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """How a text is to be written.

    Attributes:
        most: tokens that are kept of what is written.
        length: masks of the canvas: `most`, rounded up to whole blocks.
        schedule: without a seed.
        until: texts before which the answer ends.
    """

    most: int
    length: int
    schedule: Schedule
    until: tuple[str, ...]

    def row(self) -> dict[str, Any]:
        """All that changes the text, as a name is made of it."""
        found = asdict(self)
        if self.schedule.rule_settings == RuleSettings():  # answers from before there were any
            del found["schedule"]["rule_settings"]
        return found


@dataclass(frozen=True, slots=True)
class WritingRequest:
    """A text that is to be written.

    Attributes:
        context: the tokens before it.
        options: how.
        seed: of its schedule.
        name: for error messages.
    """

    context: tuple[int, ...]
    options: WritingOptions
    seed: int
    name: str


@dataclass(frozen=True, slots=True)
class Written:
    """A text that was written, the tokens it was cut from, and the passes it took."""

    text: str
    tokens: int
    passes: int


def check_generation_arguments(given: Mapping[str, Any]) -> None:
    """Refuses generation arguments of the user's that would have no effect.

    Raises:
        ProbeError: naming the argument, with the nearest right one.
    """
    for name in given:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            raise ProbeError(
                f"--gen_kwargs has '{name}', which changes nothing here",
                expected=", ".join(KNOWN),
                hint=f"did you mean '{near[0]}'?" if near else "",
                option="gen_kwargs",
            )
    writing_options(given, {}, "masked", given)


def ignored(given: Mapping[str, Any], user: Container[str] = ()) -> list[str]:
    """Arguments of a task that have no effect here, and would have one elsewhere.

    Args:
        given: the task's arguments, and over them the user's.
        user: names of the arguments that are the user's.
    """
    return sorted(
        name
        for name, value in given.items()
        if not _counts(name, user) and value is not None and value not in HABITS.get(name, ())
    )


def _counts(name: str, user: Container[str]) -> bool:
    return name in KNOWN and (name not in SETTINGS or name in user)


def writing_options(
    given: Mapping[str, Any],
    preset: Mapping[str, Any],
    kind: str,
    user: Container[str] = (),
    own_block: int = 0,
) -> WritingOptions:
    """What generation arguments ask for.

    Args:
        given: the task's arguments, and over them the user's.
        preset: settings that go before the task's and after the user's; see `presets`. Where the
            user says the length, its steps and block are cut to fit.
        kind: of the model. Of a schedule, temperature and `eos` alone count for causal ones.
        user: names of the arguments that are the user's.
        own_block: the block of a block-causal model; 0: none.

    Raises:
        ProbeError: a value of the wrong kind, or a schedule that no canvas of this length has.
    """
    named = {n: value for n, value in given.items() if _counts(n, user) and value is not None}
    read = {name: _read(name, value) for name, value in named.items()}
    own = {name: value for name, value in read.items() if name in user}
    most = _length(own) or _length(preset) or _length(read) or DEFAULT_LENGTH
    fitted = presets.fitted(preset, most, own_block if preset else 0)
    found = {n: v for n, v in (read | fitted | own).items() if n not in LENGTH}
    until = _until(found.pop("until", None))
    if found.pop("do_sample", None) is False:
        found["temperature"] = 0.0
    if (block := found.pop("block", 0)) < 0:
        raise ProbeError(f"block is {block}", expected="1 or more, or 0 for one block")
    if "block" not in named and "block" not in preset:
        whole = RULES[found.get("order", "low_confidence")].dream
        block = own_block or (0 if whole else min(answers.BLOCK, most))
    block = block or most
    length = most if kind == "causal" else -(-most // block) * block
    steps = found.pop("steps", length)
    rule_settings = RuleSettings.of(found)
    found = {n: v for n, v in found.items() if n not in SETTINGS}
    schedule = Schedule(steps, block, **found, rule_settings=rule_settings)
    if kind == "masked":
        check(length, schedule)
    return WritingOptions(most, length, schedule, until)


def _length(values: Mapping[str, Any]) -> int | None:
    """Most tokens to write, by the first name that says so."""
    found = next((values[name] for name in LENGTH if name in values), None)
    if found is not None and found < 1:
        raise ProbeError(f"max_gen_toks is {found}", expected="1 or more")
    return found


def _read(name: str, value: Any) -> Any:
    """A value of the kind that its name asks for."""
    if name in NUMBERS:
        kind = NUMBERS[name]
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if fits and kind(value) == value:
            return kind(value)
        raise ProbeError(
            f"{name} is {value!r}", expected="a whole number" if kind is int else "a number"
        )
    if name in CHOICES and value not in typing.get_args(CHOICES[name]):
        raise ProbeError(f"{name} is {value!r}", expected=", ".join(typing.get_args(CHOICES[name])))
    return value


def _until(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value or []
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ProbeError(f"until is {value!r}", expected="a text, or a list of texts")
    return tuple(text for text in texts if text)


def write(engine: Engine, asked: Sequence[WritingRequest]) -> list[Written]:
    """Texts after contexts, written side by side, all with the options of the first."""
    options = asked[0].options
    own = [replace(options.schedule, seed=one.seed) for one in asked]
    # what may be edited yet is no end: then stop texts are looked for afterwards
    ends = bool(options.until) and not options.schedule.rule_settings.edits
    pens = [_Writer(engine.border, options.until) if ends else None for _ in asked]
    if engine.entry.kind == "causal":
        contexts, names = [one.context for one in asked], [one.name for one in asked]
        found = loop.proceed_all(engine, contexts, options.length, own, names, pens)
    else:
        found = loop.decode_all(engine, [_canvas(engine, one) for one in asked], own, pens)
    return [_written(engine, decoded, options) for decoded in found]


def _canvas(engine: Engine, asked: WritingRequest) -> Canvas:
    begin, length = len(asked.context), asked.options.length
    ids = asked.context + (engine.entry.mask,) * length
    last_block = asked.options.schedule.rule_settings.last_block
    places = tuple(range(begin, begin + length))
    return laid_out(ids, places, engine.entry, asked.name, last_block)


def _written(engine: Engine, decoded: Decoded, options: WritingOptions) -> Written:
    answer = answers.cut(engine.border, engine.entry, decoded.tokens[: options.most], decoded)
    return Written(before(answer.text, options.until), len(answer.ids), decoded.passes)


def before(text: str, until: Sequence[str]) -> str:
    """A text up to the first of the texts that end it."""
    return text[: min([text.find(end) for end in until if end in text], default=len(text))]


class _Writer(Observer):
    """Ends an answer once a stop text stands in the part that nothing can change any more."""

    def __init__(self, border: Border, until: Sequence[str]) -> None:
        self._border, self._until = border, until
        self._tokens: dict[int, int] = {}

    def write(self, step: Step) -> dict[int, int] | None:
        whole: list[int] = []
        while len(whole) in self._tokens:
            whole.append(self._tokens[len(whole)])
        text = self._border.decode(whole) if whole else ""
        if any(end in text for end in self._until):
            return None
        self._tokens |= step.chosen
        return step.chosen
