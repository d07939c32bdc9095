"""What run.json says of a measurement: which fields are of which kind, for those that are read."""

from __future__ import annotations

import re
from typing import Any

NAME = re.compile(r"[^/\\\x00-\x1f]{1,200}")
"""Names of measurements: each is the name of a file."""

MACHINE = {"libraries": {}, "cores": int, "cpu": str, "platform": str, "python": str, "commit": str}
ENTRY = {"name": str, "kind": str, "source": str, "context": int, "line": str}
MODEL: dict[str, Any] = {
    "name": str,
    "weight_hash": str,
    "dtype": str,
    "commit": str,
    "revision": str,
    "parameters": int,
    "files": {},
    "entry": ENTRY,
}
CONFIG: dict[str, Any] = {
    "probe": str,
    "model": str,
    "judge": str,
    "shard": str,
    "source": str,
    "options": {},
    "sources": {},
    "load": {"adapter": str, "revision": str},
    "of": {},
}
SHAPE: dict[str, Any] = {
    "status": str,
    "cells": int,
    "whole": int,
    "size": int,
    "sizes": {},
    "ended": str,
    "run": str,
    "config": CONFIG,
    "model": MODEL,
    "scorer": MODEL,
    "training": {"training": str, "step": int},
    "refused": {},
    "usage": {},
    "sessions": [{"machine": MACHINE, "version": str, "started": str}],
    "events": [str],
    "compared": [str],
}
"""Kinds of fields by name, where they are there; {} is any mapping. Others may be anything."""

KINDS = {dict: "a mapping", list: "a list", str: "a text", int: "a whole number"}


def fault(name: str, entry: Any) -> str:
    """What is wrong with a measurement's entry in run.json; "" for nothing."""
    if not NAME.fullmatch(name) or name.startswith("."):
        return "its name can't be a file's"
    return _fault(entry, SHAPE, "")


def _fault(value: Any, shape: Any, at: str) -> str:
    kind: type[Any] = shape if isinstance(shape, type) else type(shape)
    if not isinstance(value, kind) or isinstance(value, bool):
        return f"{at or 'its entry'} is {str(value)[:40]!r}, not {KINDS[kind]}"
    inner: list[tuple[Any, Any, str]] = []
    if kind is dict and shape:
        there = sorted(shape.keys() & value.keys())
        inner = [(value[name], shape[name], f"{at}.{name}".strip(".")) for name in there]
    elif kind is list:
        inner = [(one, shape[0], f"{at}[{place}]") for place, one in enumerate(value)]
    return next((found for part in inner if (found := _fault(*part))), "")
