"""Options of plans: what they say of themselves, and checks of the numbers and lists given."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
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
    """

    offers: str = ""
    material: bool = False
    amount: bool = False
    uncompared: bool = False


AMOUNT = Traits(amount=True)
UNCOMPARED = Traits(uncompared=True)


def traits_of(plan: Callable[..., Any]) -> dict[str, Traits]:
    """The traits of every keyword of a plan."""
    hints = typing.get_type_hints(plan, include_extras=True)
    marks = {name: typing.get_args(hint) for name, hint in hints.items() if name != "return"}
    return {
        name: next((mark for mark in found if isinstance(mark, Traits)), Traits())
        for name, found in marks.items()
    }


def check_least(least: int, **given: float | tuple[int, ...]) -> None:
    """Refuses numbers that aren't `least` or more, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, value in given.items():
        values = value if isinstance(value, tuple) else (value,)
        if too_small := [number for number in values if not number >= least]:
            found = f"--{name.replace('_', '-')} has {min(too_small)}"
            raise ProbeError(found, expected=f"{least} or more", option=name)


def check_once(**given: tuple[Any, ...]) -> None:
    """Refuses lists that name a value twice, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, values in given.items():
        if len(set(values)) < len(values):
            raise ProbeError(
                f"--{name} names a value twice", expected="each value once", option=name
            )
