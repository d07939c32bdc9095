"""Exports: a run's rows, tables and figures for other tools.

A format is a file in `formats`, and needs no other registration. One that makes files has
`files(runs, request)`, which returns contents by path; one that tracks runs elsewhere has
`send(runs, request)`, which returns what to tell the user. Equal input gives equal files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import run_folders
from mdlm_probe.reports import probe_report
from mdlm_probe.reports.exports.export_folder import write
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest, Lacking

__all__ = ["ExportRequest", "ExportedRun", "export", "load"]


def export(
    folder: Path, to: Sequence[str], request: ExportRequest, probes: Sequence[str] = ()
) -> list[str]:
    """Exports a run's or a study's folder; returns what to tell the user, one line each.

    Args:
        folder: of a run or of a study.
        to: formats.
        request: what of it, and where to.
        probes: those to export; none: all.

    Where nothing is there for one of several formats, the others are made, and a line says so.

    Raises:
        ProbeError: no run, no such format or probe, nothing to export, a file that isn't ours or
            was changed, a missing package, or a service that can't be reached.
    """
    modules = {name: catalog.load("format", name) for name in to}
    _check_only(modules, request)
    runs, said = load(folder, probes)
    by_format, lacking = _made(modules, runs, request)
    places: dict[Path, dict[str, bytes]] = {}
    for name, found in by_format.items():
        place = folder if value("format", modules[name], "BESIDE") else request.folder
        places.setdefault(place, {}).update(found)
    sent = any(value("format", module, "send") for module in modules.values())
    if lacking and not by_format and not sent:
        raise next(iter(lacking.values()))
    for place, made in places.items():
        said += [f"wrote {path}" for path in write(place, made)]
    said += [f"no {name}: {error.found}; {error.hint}" for name, error in lacking.items()]
    for module in modules.values():
        if value("format", module, "send"):
            said += module.send(runs, request)
    if request.push and "card" in by_format:
        from mdlm_probe.reports.exports.hub_push import push

        said += push(by_format["card"], request.push)
    if request.push_dataset and "datapackage" in by_format:
        from mdlm_probe.reports.exports import hub_dataset

        (package,) = by_format["datapackage"].values()
        to = request.push_dataset
        said += hub_dataset.push(folder, runs, package, to, public=request.public)
    return said


def _check_only(modules: dict[str, ModuleType], request: ExportRequest) -> None:
    """Refuses rows alone where no format holds rows."""
    rows = any(value("format", module, "ROWS") for module in modules.values())
    if not request.tables and not rows:
        known = {name: catalog.load("format", name) for name in catalog.names("format")}
        both = [name for name, module in known.items() if value("format", module, "ROWS")]
        raise ProbeError(
            f"--only rows leaves nothing for {', '.join(modules)}: no rows are in there",
            expected=f"--only with {' or '.join(both)}, which have rows and tables",
            hint=f"leave --only out, or ask for --to {','.join(both)}",
            option="only",
        )


def _made(
    modules: dict[str, ModuleType], runs: Sequence[ExportedRun], request: ExportRequest
) -> tuple[dict[str, dict[str, bytes]], dict[str, Lacking]]:
    """Contents by format and path, and the formats that there is nothing for."""
    made: dict[str, dict[str, bytes]] = {}
    lacking: dict[str, Lacking] = {}
    for name, module in modules.items():
        if value("format", module, "files"):
            try:
                made[name] = module.files(runs, request)
            except Lacking as error:
                lacking[name] = error
    return made, lacking


def load(folder: Path, probes: Sequence[str] = ()) -> tuple[list[ExportedRun], list[str]]:
    """The runs of a folder, and what a reader should know: what is unfinished or left out.

    Raises:
        ProbeError: there is none with rows, or none of these probes.
    """
    runs: list[ExportedRun] = []
    notes: list[str] = []
    failed: list[ProbeError] = []
    for name, path in run_folders(folder).items():
        try:
            made, found = probe_report.make(path)
        except ProbeError as error:
            failed.append(error)
            notes.append(f"{name} left out: {error.found}")
            continue
        notes += found
        entries = {n: e for one in made.values() for n, e in one.entries.items()}
        runs.append(ExportedRun(name, path, entries, made))
    if not runs:
        raise failed[0]
    known = list(dict.fromkeys(probe for run in runs for probe in run.made))
    for probe in probes:
        if probe not in known:
            raise catalog.unknown("probe of this run", probe, known)
    if probes:
        runs = [
            replace(run, made={probe: one for probe, one in run.made.items() if probe in probes})
            for run in runs
        ]
    return [run for run in runs if run.made], notes
