"""The catalog: which probes, reports, export formats and objectives there are, by listing folders.

Nothing is registered: a probe is a folder with a `probe.py`; what its folder holds beside that is
found by its name. Listings read the first docstring line from the source, so that no probe is
imported for them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
from collections.abc import Iterable
from dataclasses import replace
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType

from mdlm_probe.core import contract
from mdlm_probe.core.columns import MODEL, RUN, Column, Observation
from mdlm_probe.core.columns import coordinates as coordinates_of
from mdlm_probe.core.contract import Part
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE
from mdlm_probe.core.options import Traits, traits_of

FOLDERS: dict[Part, str] = {"format": "reports/exports/formats", "objective": "tuning/objectives"}
"""Where what isn't a probe's is, each in a file of its own."""

JUDGE = "judge"
"""Verdicts have rows, tables and examples like a probe's, but a command of their own."""
TUNE = "tune"
"""The run of a study that trains an adapter, for other runs of it to measure."""


def names(part: Part) -> list[str]:
    """Names of the probes (or formats) that have this part."""
    return sorted(_paths(part))


def first_line(part: Part, name: str) -> str:
    """The first line of a module's docstring: for a probe, the question it answers."""
    return (ast.get_docstring(_parsed(_paths(part)[name])) or "").partition("\n")[0]


def judged() -> list[str]:
    """Names of the probes whose answers judges compare: those that declare `JUDGED`."""
    return [name for name in names("probe") if "JUDGED" in _declared("probe", name)]


def _declared(part: Part, name: str) -> set[str]:
    """Names that a module assigns, read from its source."""
    body = _parsed(_paths(part)[name]).body
    targets = [t for node in body if isinstance(node, ast.Assign) for t in node.targets]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def questions() -> list[tuple[str, str]]:
    """The probes, each with the question that it answers."""
    return first_lines("probe")


def first_lines(part: Part) -> list[tuple[str, str]]:
    """Names of the probes (or formats) that have this part, each with its first line."""
    return [(name, first_line(part, name)) for name in names(part)]


@lru_cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def load(part: Part, name: str) -> ModuleType:
    """A module by what it is and by its probe's or format's name.

    Raises:
        ProbeError: there is none of that name; the nearest one is suggested. Or it doesn't keep the
            contract.
    """
    known = _paths(part)
    if name not in known:
        raise unknown(part, name, names(part))
    path = known[name].relative_to(PACKAGE.parent).with_suffix("")
    module = importlib.import_module(".".join(path.parts))
    _checked(part, name, module, frozenset(vars(module)))
    return module


@lru_cache
def _checked(part: Part, name: str, module: ModuleType, own: frozenset[str]) -> None:
    """Checks a module's contract once, and again only where it has other names than then."""
    contract.check(part, name, module)


def charts(name: str) -> ModuleType:
    """The module with a probe's CHARTS, and what is said of them: its charts.py, or its report."""
    return load("charts" if name in _paths("charts") else "report", name)


def columns(name: str) -> tuple[Column, ...]:
    """All columns of the rows of a probe, or of verdicts: of all kinds, each name once."""
    found: dict[str, Column] = {}
    for kind in observations(name):
        for column in kind.columns:
            found.setdefault(column.name, column)
    return tuple(found.values())


def observations(name: str) -> tuple[Observation, ...]:
    """The kinds of observation of a probe, or of verdicts, with all columns; the main one first."""
    if name == JUDGE:
        return (Observation("", "", tuple(load("columns", JUDGE).COLUMNS)),)
    return observations_of(load("probe", name))


def csv_names(name: str, measurement: str) -> dict[str, str]:
    """The CSVs of a measurement by kind of observation, the main one first.

    Args:
        name: the probe's; of one that isn't known the main one is told.
        measurement: PROBE__MODEL. Others than the main kind are in PROBE-KIND__MODEL.csv.
    """
    known = name in (*names("probe"), JUDGE)
    main, *others = [kind.name for kind in observations(name)] if known else [""]
    probe, mark, model = measurement.partition("__")
    return {main: f"{measurement}.csv"} | {
        kind: f"{probe}-{kind}{mark}{model}.csv" for kind in others
    }


def columns_of_type(name: str, kind: type) -> frozenset[str]:
    """The columns of a probe's rows, or of verdicts, that are of a type; none of other names."""
    if name != JUDGE and name not in names("probe"):
        return frozenset()
    return frozenset(column.name for column in columns(name) if column.type is kind)


def coordinates(name: str) -> tuple[Column, ...]:
    """The columns of a probe's rows, or of verdicts, that tell what was asked."""
    if name == JUDGE:
        return tuple(load("columns", JUDGE).COORDINATES)
    return coordinates_of(load("probe", name).Cell)


def traits(name: str) -> dict[str, Traits]:
    """The traits of a probe's options, or of those of verdicts, by the option's name."""
    return load("columns", JUDGE).OPTIONS if name == JUDGE else traits_of(load("probe", name).plan)


def observations_of(probe: ModuleType) -> tuple[Observation, ...]:
    """A probe's kinds of observation, with all columns: model, coordinates, own ones, run."""
    first = (MODEL, *coordinates_of(probe.Cell))
    found = contract.value("probe", probe, "OBSERVATIONS") or (
        Observation("", "", contract.value("probe", probe, "COLUMNS")),
    )
    return tuple(replace(kind, columns=(*first, *kind.columns, RUN)) for kind in found)


@cache
def _paths(part: Part) -> dict[str, Path]:
    """Files by name, listed once: an export asks for declarations hundreds of times."""
    if part in FOLDERS:
        return {_typed(path.stem): path for path in PACKAGE.glob(f"{FOLDERS[part]}/[!_]*.py")}
    found = {path.parent.name: path for path in PACKAGE.glob(f"probes/[!_]*/{part}.py")}
    own = PACKAGE / "runs" / "judges" / f"{part}.py"
    return found | ({JUDGE: own} if own.exists() else {})


def _typed(stem: str) -> str:
    """A file's name as people type it."""
    return stem.replace("_", "-")


def unknown(what: str, name: str, known: Iterable[str]) -> ProbeError:
    """The error for a name that isn't known, with the nearest right one."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return ProbeError(
        f"unknown {what} '{name}'",
        expected="one of " + ", ".join(known),
        hint=f"did you mean '{near[0]}'?" if near else "",
    )
