"""How wide text is in the charts' font: for lines that fit, and legends that don't run out."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is part of vl-convert; the others are as wide, where a page or an SVG lacks it."""

_WIDTHS = {
    191: "'",
    222: "ijl",
    278: " !,./:;I[]\\ft",
    260: "|",
    333: "()-`r{}",
    355: '"',
    389: "*",
    469: "^",
    500: "Jckvsxyz",
    556: "#$0123456789?L_abdeghnopqu",
    584: "+<=>~",
    611: "FTZ",
    667: "&ABEKPSVXY",
    722: "CDHNRUw",
    778: "GOQ",
    833: "Mm",
    889: "%",
    944: "W",
    1015: "@",
}
_OF = {letter: width for width, letters in _WIDTHS.items() for letter in letters}
OTHER, WIDE = 600, 1000
"""Thousandths of the size: of a letter that isn't listed, and of East Asian ones."""


def width(text: str, size: float) -> float:
    """The width of a text, in the unit of `size`."""
    return size * _thousandths(text) / 1000


@lru_cache(2**14)
def _thousandths(text: str) -> int:
    """Charts have the same titles, and lines are tried at many widths: each is summed up once."""
    return sum(map(_of, text))


def _of(letter: str) -> int:
    return _OF.get(letter) or (WIDE if unicodedata.east_asian_width(letter) in "WF" else OTHER)


def wrapped(text: str, size: float, most: float) -> list[str]:
    """A text in lines of at most this width; a word that is wider has a line of its own."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= most:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines or [""]


def balanced(text: str, size: float, most: float) -> list[str]:
    """A text in as few lines of at most this width as it takes, all about equally long."""
    lines = wrapped(text, size, most)
    while most > 0:
        most -= size / 2
        narrower = wrapped(text, size, most)
        if len(narrower) > len(lines):
            break
        lines = narrower
    return lines


def rows_of(widths: Sequence[float], most: float) -> list[list[int]]:
    """Places of entries, put into rows of at most this width one after the other."""
    rows: list[list[int]] = [[]]
    used = 0.0
    for place, wide in enumerate(widths):
        if rows[-1] and used + wide > most:
            rows.append([])
            used = 0.0
        rows[-1].append(place)
        used += wide
    return rows
