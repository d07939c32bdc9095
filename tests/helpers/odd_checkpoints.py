"""Checkpoints with one file damaged or made to do harm, by a seed: for campaigns that look for
tracebacks and hangs.

    change, folder = damaged(whole, tmp_path / "m", seed)     # a copy of a whole checkpoint
"""

import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any

VALUES = (
    *(None, True, False, -1, 0, 1, 2**31, 10**9, 10**40, 1e308, float("nan"), 1.5),
    *("x", "", "é", "../x", [], {}, [[]], [None], ["a"], {"a": 1}),
)
TEXTS = {"chat_template.jinja": "{{ messages }}", "added_tokens.json": '{"<x>": 3}'}
"""Files that a checkpoint may lack, as they are before they are damaged."""
DEEP = ("[" * 100_000, '{"a":' * 100_000)


def damaged(whole: Path, folder: Path, seed: int) -> tuple[str, Path]:
    """A copy of a checkpoint in which one file is damaged, and a name for what was done."""
    rng = random.Random(seed)
    shutil.copytree(whole, folder)
    names = sorted({p.name for p in folder.iterdir()} | TEXTS.keys())
    file = folder / rng.choice(names)
    if not file.exists():
        file.write_text(TEXTS[file.name])
    weights = file.suffix == ".safetensors"
    ways = ("bytes", "cut", "empty", *(() if file.suffix == ".txt" else ("deep", "encoding")))
    way = rng.choice(ways if file.suffix in (".jinja", ".txt") else (*ways, *("value",) * 5))
    raw = file.read_bytes()
    if weights and way in ("value", "deep", "encoding"):
        length = struct.unpack("<Q", raw[:8])[0]
        head = _damage(raw[8 : 8 + length], way, rng)
        file.write_bytes(struct.pack("<Q", len(head)) + head + raw[8 + length :])
    else:
        file.write_bytes(_damage(raw, way, rng))
    return f"{way} of {file.name}, seed {seed}", folder


def _damage(raw: bytes, way: str, rng: random.Random) -> bytes:
    if way == "value":
        told = json.loads(raw)
        for _ in range(rng.choice((1, 1, 2))):
            _change(told, rng)
        return json.dumps(told).encode()
    if way == "bytes":
        changed = bytearray(raw)
        for _ in range(5 * bool(raw)):
            changed[rng.randrange(min(len(raw), 3000))] = rng.randrange(256)
        return bytes(changed)
    if way == "encoding":
        return raw.decode("latin-1").encode("utf-16")
    if way == "deep":
        return rng.choice(DEEP).encode()
    return raw[: rng.randrange(len(raw))] if way == "cut" and raw else b""


def _change(told: Any, rng: random.Random) -> None:
    """Puts something else somewhere into what a JSON file holds, or takes something away."""
    while isinstance(told, dict | list) and told:
        at = rng.choice(list(told) if isinstance(told, dict) else range(len(told)))
        if not isinstance(told[at], dict | list) or not told[at] or rng.random() < 0.5:
            break
        told = told[at]
    if not told:
        return
    if rng.random() < 0.25:
        told.pop(at)
    else:
        told[at] = rng.choice(VALUES)
