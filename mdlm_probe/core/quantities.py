"""Quantities as people read them: 3.2 billion tokens, 1.9e18 operations, 34 GiB, 12 days."""

from __future__ import annotations

DAY, YEAR = 86400.0, 365.25 * 86400
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
WORDS = ("million", "billion", "trillion")


def in_words(count: float) -> str:
    """A count: all digits below a million; from there on two or three of them, and a word."""
    if round(count) < 10**6:
        return f"{count:,.0f}"
    for power, word in enumerate(WORDS, 2):
        scaled = count / 1000**power
        # 999.9 million is a billion, not a thousand million
        if round(scaled) < 1000 or word == WORDS[-1]:
            break
    return f"{scaled:.1f} {word}" if scaled < 9.95 else f"{scaled:,.0f} {word}"


def operations(number: float) -> str:
    """Floating-point operations, in the notation in which they are published: 1.9e18."""
    digits, _, power = f"{number:.1e}".partition("e")
    return f"{digits}e{int(power)}"


def prefixed(value: float) -> tuple[str, str]:
    """Three digits of a number, and the prefix of a unit that makes it so: ("989", "T")."""
    for prefix in PREFIXES:
        if abs(value) < 1000 or prefix == PREFIXES[-1]:
            return (f"{value:.3g}" if prefix else f"{value:.0f}"), prefix
        value /= 1000
    raise AssertionError


def short(value: float) -> str:
    """A number with its prefix: 1.23k."""
    return "".join(prefixed(value))


def tokens_per_second(rate: float) -> str:
    """A speed of tokens: 1.23k tokens/s."""
    return f"{short(rate)} tokens/s"


def flops(rate: float) -> str:
    """A speed of operations: 989 TFLOP/s."""
    return f"{' '.join(prefixed(rate))}FLOP/s"


def memory(size: float) -> str:
    """Bytes in GiB, two or three digits of them."""
    gib = size / 2**30
    return f"{gib:.0f} GiB" if gib >= 9.95 else f"{gib:.2g} GiB"


def duration(seconds: float) -> str:
    """A time in the unit that gives it two or three digits, from seconds to years."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 4 * DAY:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / DAY:.0f} days" if seconds < 2 * YEAR else f"{seconds / YEAR:,.0f} years"


def hours(seconds: float) -> str:
    """A time in hours, two or three digits of them: what is paid for by the hour."""
    found = seconds / 3600
    return f"{found:,.0f}" if found >= 9.95 else f"{found:.2g}"
