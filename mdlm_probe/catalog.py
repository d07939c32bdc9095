"""The catalog: which probes and reports there are, by listing their folders. Nothing is registered.

Listings read the first docstring line from the source, so that no probe is imported for them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from mdlm_probe.errors import ProbeError


def names(room: str) -> list[str]:
    """The modules of a room such as "probes": every file without a leading underscore."""
    return sorted(p.stem for p in (Path(__file__).parent / room).glob("[!_]*.py"))


def first_line(room: str, name: str) -> str:
    """The first line of a module's docstring: for a probe, the question it answers."""
    source = (Path(__file__).parent / room / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def load(room: str, name: str) -> ModuleType:
    """A module of a room by name.

    Raises:
        ProbeError: there is none of that name; the nearest one is suggested.
    """
    if name not in names(room):
        raise unknown(room.removesuffix("s"), name, names(room))
    return importlib.import_module(f"mdlm_probe.{room}.{name}")


def unknown(what: str, name: str, known: Iterable[str]) -> ProbeError:
    """The error for a name that isn't known, with the nearest right one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return ProbeError(
        f"unknown {what} '{name}'",
        expected="one of " + ", ".join(known),
        hint=f"did you mean '{near[0]}'?" if near else "",
    )
