"""Odd values, and ways to put them where ordinary ones stood: bytes, JSON, YAML, CSV."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

LAUGHS = "a: &a [x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
"""Ten lines that stand for a billion values."""

YAML = (
    *("!!python/object/apply:os.getcwd []", "!!python/name:os.system", "!unknown x", "!!int abc"),
    *(
        "!!float x",
        "!!timestamp x",
        "!!binary x",
        "!!bool x",
        "!!null x",
        "!!set {a, b}",
        "!!map x",
    ),
    *("? [a, b]\n: c", "? {a: b}\n: c", "[" * 3000, "{a: " * 200 + "}" * 200, "- " * 500 + "x"),
    *(
        "&a [*a]",
        "&a {b: *a}",
        "*unknown",
        "<<: *a",
        "<<: {a: b}",
        "a: b: c",
        "\ta: b",
        "%YAML 9.9",
    ),
    *(
        "---\n---\n",
        "...",
        '"\\x00"',
        "'",
        '"',
        "|",
        ">",
        "9" * 10_000,
        "1" + ":59" * 3000,
        "0b" + "1" * 9999,
    ),
    *(
        "0x" + "f" * 9999,
        "1e99999",
        ".inf",
        ".nan",
        "-.inf",
        "~",
        "yes",
        "2001-99-99",
        "0o9",
        "=",
        "@",
        "`",
    ),
    *(
        LAUGHS,
        "a: 1\na: 2",
        "\x00",
        "\ufeff",
        "\x85",
        "\u2028",
        "💥",
        "{{ x }}",
        "[a, b",
        "{a: 1, a: 2}",
    ),
)
"""Pieces of YAML that are wrong, or stand for what nobody expects."""

TEXTS = (
    *(
        "",
        " ",
        "\n",
        "\x00",
        "\x1b[31m",
        "\ud800",
        "\ufeff",
        "💥" * 3,
        "x" * 100_000,
        "NaN",
        "None",
        "null",
    ),
    *("../../../etc/passwd", "/dev/null", ".", "..", "~", "-", "--", "-1", "0", "1", "7.5"),
    *(
        "1e400",
        "inf",
        "nan",
        "9" * 5000,
        "²",
        "٣",
        "0x10",
        "1,2",
        ",",
        ",,",
        "1,",
        "a=b",
        "=",
        "==",
        "{",
        "}",
    ),
    *(
        "{a.__class__}",
        "{0}",
        "{prompt:99999999999}",
        "%s",
        "%n",
        "{{ 1 }}",
        "$(id)",
        "`id`",
        "'; --",
        "<script>",
    ),
    *(
        "=cmd|'/c calc'!A0",
        "@x",
        "+1",
        "http://me:pass@host/v1",
        "file:///etc/passwd",
        "all",
        "none",
        "auto",
    ),
)

VALUES = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        7.5,
        1e308,
        -1e308,
        10**9,
        10**18,
        -(10**18),
        2**31,
        2**63,
        2**64,
    ),
    *(
        10**400,
        float("inf"),
        float("nan"),
        float("-inf"),
        [],
        {},
        [[]],
        [None],
        {"": ""},
        {"a": {"b": []}},
    ),
    *([1, "a", None], ["x"] * 50, *TEXTS),
)


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, doubled, put in or taken out."""
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice([1, 2, 8, 64, 1024]))
        way = rng.randrange(6)
        if way == 0 and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        elif way == 1:
            data = data[:at]
        elif way == 2:
            data = data[:end] + data[at:]
        elif way == 3:
            data = data[:at] + data[end:]
        elif way == 4:
            data = data[:at] + rng.randbytes(rng.randint(1, 16)) + data[at:]
        else:
            data = data[:at] + rng.choice(TEXTS).encode("utf-8", "replace") + data[at:]
    return data


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where a value and all within it stand."""
    below = value.items() if isinstance(value, dict) else ()
    below = enumerate(value) if isinstance(value, list) else below
    return [at, *(place for key, part in below for place in places(part, (*at, key)))]


def damaged_json(rng: random.Random, value: Any) -> Any:
    """A value with one to three odd ones in it, or without some that were there."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        *above, last = rng.choice(places(value)[1:] or [(None,)])
        holder = value
        for key in above:
            holder = holder[key]
        if last is None:
            return rng.choice(VALUES)
        way = rng.randrange(5)
        if way == 0:
            del holder[last]
        elif way == 1 and isinstance(holder, dict):
            holder[str(rng.choice(TEXTS))] = holder.pop(last)
        elif way == 2:
            holder[last] = [holder[last]]
        else:
            holder[last] = copy.deepcopy(rng.choice(VALUES))
    return value


def written_json(rng: random.Random, value: Any) -> bytes:
    """JSON of a damaged value, or damaged JSON of it, or neither."""
    if rng.random() < 0.05:
        deep = b"[" * 100_000
        return rng.choice([deep, b'{"a":' * 100_000, b"", b"\xff\xfe", b"nul", b"9" * 5000])
    if rng.random() < 0.7:
        return json.dumps(damaged_json(rng, value)).encode()
    return damaged_bytes(rng, json.dumps(value).encode())


def damaged_yaml(rng: random.Random, text: str) -> bytes:
    """YAML with odd pieces in place of values or lines, or damaged as bytes."""
    lines = text.splitlines()
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        head, colon, _ = lines[at].partition(":")
        way = rng.randrange(6)
        odd = rng.choice([*YAML, *map(str, TEXTS)])
        if way in (0, 1, 2) and colon:
            lines[at] = f"{head}: {odd}"
        elif way == 3:
            lines[at] = odd
        elif way == 4:
            lines.insert(at, rng.choice(lines))
        else:
            del lines[at]
        lines = lines or [""]
    data = "\n".join(lines).encode("utf-8", "surrogatepass")
    return damaged_bytes(rng, data) if rng.random() < 0.15 else data


def damaged_csv(rng: random.Random, data: bytes) -> bytes:
    """A CSV with an odd cell, head or line, or damaged as bytes."""
    if rng.random() < 0.3:
        return damaged_bytes(rng, data)
    lines = [line.split(b",") for line in data.split(b"\n")]
    for _ in range(rng.randint(1, 3)):
        line = rng.choice([line for line in lines if line] or [[b""]])
        at = rng.randrange(len(line))
        odd = str(rng.choice([7, -1, 0.5, "inf", "-inf", "nan", 10**400, *TEXTS]))
        way = rng.randrange(5)
        if way == 0:
            del line[at]
        elif way == 1:
            line.insert(at, odd.encode("utf-8", "replace"))
        else:
            line[at] = odd.encode("utf-8", "replace")
    return b"\n".join(map(b",".join, lines))
