"""Checks of the numbers and lists that users give as options."""

from __future__ import annotations

from typing import Any

from mdlm_probe.core.errors import ProbeError

COUNTS = ("limit", "orders", "steps", "ig_steps")
"""Options that count something there must be one of; others may be 0."""


def check(**given: int | tuple[int, ...]) -> None:
    """Refuses numbers that are too small, by the option's name.

    Raises:
        ProbeError: a negative number, or 0 where something is counted.
    """
    for name, value in given.items():
        check_least(1 if name in COUNTS else 0, **{name: value})


def check_least(least: int, **given: float | tuple[int, ...]) -> None:
    """Refuses numbers that aren't `least` or more, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, value in given.items():
        values = value if isinstance(value, tuple) else (value,)
        if too_small := [number for number in values if not number >= least]:
            found = f"--{name.replace('_', '-')} has {min(too_small)}"
            raise ProbeError(found, expected=f"{least} or more")


def check_once(**given: tuple[Any, ...]) -> None:
    """Refuses lists that name a value twice, by the option's name.

    Raises:
        ProbeError: naming the option.
    """
    for name, values in given.items():
        if len(set(values)) < len(values):
            raise ProbeError(f"--{name} names a value twice", expected="each value once")
