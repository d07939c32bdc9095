"""Tables that fit a terminal: what is the same in all rows is said once, the rest is folded under
the columns that tell rows apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

GAP = 2
"""Characters between columns."""


class Block(NamedTuple):
    """Columns of a table that stand side by side."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def fitted(
    heads: Sequence[str], rows: Sequence[Sequence[str]], width: int
) -> tuple[list[Block], dict[str, str]]:
    """A table in blocks that are no wider than the screen, and what all its rows have in common.

    A table that fits is one block, and nothing is left out. Else columns with one value in all rows
    become that value, and the others are folded; each block begins with the first columns that tell
    all rows apart. A block of those and one more may be wider.

    Args:
        heads, rows: the table.
        width: of the screen, in characters.
    """
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(heads)
    sizes = [max(map(len, (head, *column))) for head, column in zip(heads, columns, strict=True)]
    if _wide(sizes) <= width or not rows:
        return [Block(tuple(heads), tuple(map(tuple, rows)))], {}
    same = {i for i, column in enumerate(columns) if len(rows) > 1 and len({*column}) == 1}
    left = [i for i in range(len(heads)) if i not in same] or [0]
    keys = _keys([columns[i] for i in left])
    first, rest = left[:keys], left[keys:]
    blocks, current = [], list(first)
    for i in rest:
        if len(current) > len(first) and _wide([sizes[j] for j in (*current, i)]) > width:
            blocks.append(current)
            current = list(first)
        current.append(i)
    blocks.append(current)
    common = {heads[i]: columns[i][0] for i in sorted(same) if columns[i][0] not in ("", "-")}
    return [
        Block(tuple(heads[i] for i in one), tuple(tuple(row[i] for i in one) for row in rows))
        for one in blocks
    ], common


def _wide(sizes: Sequence[int]) -> int:
    return sum(sizes) + GAP * (len(sizes) - 1)


def _keys(columns: Sequence[Sequence[str]]) -> int:
    """How many of the first columns tell all rows apart; one, where not even all do."""
    for number in range(1, len(columns)):
        if len({*zip(*columns[:number], strict=True)}) == len(columns[0]):
            return number
    return 1
