"""Options of plans: what they say of themselves, and checks of the numbers and lists given."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from mdlm_probe.core.errors import ProbeError


@dataclasses.dataclass(frozen=True)
class Traits:
    """What is to be known of a plan's option: `Annotated[str, "its help", Traits(...)]`.

    Attributes:
        offers: what the shell completes it with: a name in `cli.completions.OFFERS`, or "".
        material: whether it names what is asked: a checkpoint's own defaults, which are made for
            what ships, don't suit material of the user's own.
        amount: whether it only says how much is measured: runs of different amounts can be
            compared.
        uncompared: whether it changes no number, or only by what its digest in `sources` says.
        later: whether runs that began before there was such a choice resume: run.json names it
            only where it isn't at its default.
    """

    offers: str = ""
    material: bool = False
    amount: bool = False
    uncompared: bool = False
    later: bool = False


AMOUNT = Traits(amount=True)
UNCOMPARED = Traits(uncompared=True)


def traits_of(plan: Callable[..., Any]) -> dict[str, Traits]:
    """The traits of every keyword of a plan."""
    return dict(_traits_of(plan))


@functools.lru_cache
def _traits_of(plan: Callable[..., Any]) -> dict[str, Traits]:
    """Found once for each plan: annotations are text, compiled whenever they are asked for."""
    hints = typing.get_type_hints(plan, include_extras=True)
    marks = {name: typing.get_args(hint) for name, hint in hints.items() if name != "return"}
    return {
        name: next((mark for mark in found if isinstance(mark, Traits)), Traits())
        for name, found in marks.items()
    }


def recorded(plan: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """A plan's options as run.json has them: without those added later that are at their default.

    Args:
        plan: whose options.
        options: all of them, by name.
    """
    usual, traits = inspect.signature(plan).parameters, traits_of(plan)
    return {
        name: value
        for name, value in options.items()
        if not (name in traits and traits[name].later and value == usual[name].default)
    }


# ---------------------------------------------------------------------- checks


def check_least(least: float, /, **given: float | tuple[float, ...]) -> None:
    """Refuses numbers that are below `least`, or no finite number, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    check_range(least, math.inf, f"{least:g} or more", **given)


def check_positive(**given: float | tuple[float, ...]) -> None:
    """Refuses numbers that aren't above 0, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, values in _numbers(given):
        for number in values:
            if not (number > 0 and math.isfinite(number)):
                expected = "more than 0" if isinstance(number, float) else "1 or more"
                raise wrong(name, number, expected)


def check_range(
    low: float, high: float, expected: str, hint: str = "", /, **given: float | tuple[float, ...]
) -> None:
    """Refuses numbers that aren't in a range, or no finite number, by the option's name.

    Args:
        low, high: the least and the largest that are allowed.
        expected, hint: for the error.
        given: the numbers of each option.

    Raises:
        ProbeError: naming the option.
    """
    for name, values in _numbers(given):
        bad = [value for value in values if not (low <= value <= high and _finite(value))]
        if bad:
            raise wrong(name, min(bad), expected, hint)


def check_once(**given: tuple[Any, ...]) -> None:
    """Refuses lists that name a value twice, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, values in given.items():
        if len(set(values)) < len(values):
            found = f"{flag(name)} names a value twice"
            raise ProbeError(found, expected="each value once", option=name)


def fitting(
    name: str, given: tuple[int, ...], usual: tuple[int, ...], most: int, room: str
) -> list[int]:
    """The numbers of an option, sorted: those a user gave, or as many of the usual ones as fit.

    Args:
        name: the option's.
        given: by the user; () for the usual ones.
        usual: positive, each once.
        most: the largest that fits.
        room: the option that leaves no more room.

    Raises:
        ProbeError: a given number that is below 1 or beyond `most`, or stands twice.
    """
    check_once(**{name: given})
    check_least(1, **{name: given})
    if max(given, default=0) > most:
        raise wrong(name, max(given), f"at most {most}, as {flag(room)} leaves")
    return sorted(given or (number for number in usual if number <= most))


def flag(name: str) -> str:
    """An option as it is typed."""
    return "--" + name.replace("_", "-")


def wrong(name: str, value: float, expected: str, hint: str = "") -> ProbeError:
    """The error for a number that an option doesn't take."""
    shown = f"{value:g}" if isinstance(value, float) else value
    return ProbeError(f"{flag(name)} has {shown}", expected=expected, hint=hint, option=name)


def _numbers(
    given: dict[str, float | tuple[float, ...]],
) -> Iterator[tuple[str, tuple[float, ...]]]:
    for name, value in given.items():
        yield name, value if isinstance(value, tuple) else (value,)


def _finite(value: float) -> bool:
    """Whether a number is one that a machine counts with: whole ones have 64 bits."""
    return abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value)
