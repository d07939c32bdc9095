"""Text and tables as Markdown shows them, letter by letter."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

SPECIAL = {
    **{character: f"\\{character}" for character in "\\`*_[]|~$#"},
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "\n": " ",
    "\r": " ",
}


def escape(text: str) -> str:
    """A text as Markdown shows it, letter by letter."""
    return "".join(SPECIAL.get(character, character) for character in text)


def line(cells: Iterable[str]) -> str:
    """Cells between pipes."""
    return "| " + " | ".join(cells) + " |"


def grid(
    heads: Sequence[str], rows: Sequence[Sequence[str]], text: Collection[str] = ()
) -> list[str]:
    """A table's lines; columns with these heads are text, to the left, the others numbers."""
    rule = [":---" if head in text else "---:" for head in heads]
    return [line(map(escape, heads)), line(rule), *(line(map(escape, row)) for row in rows), ""]
