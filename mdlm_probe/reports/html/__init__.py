"""The page: one self-contained HTML file of a run or a study, and the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdlm_probe.analysis import charts
from mdlm_probe.core import files, run_folder
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import probe_report
from mdlm_probe.reports.html import page_template
from mdlm_probe.reports.html.probe_sections import ReportedRun, sections

PAGE = "report.html"


def read(folder: Path) -> list[ReportedRun]:
    """The runs of a folder, with their tables and figures; a study's in its own order.

    A study's run that has no rows yet has no tables either, and says so in its notes.

    Raises:
        ProbeError: no run, or none with rows that a report can read.
    """
    folders = run_folder.run_folders(folder)
    found, empty = [], []
    for name, path in folders.items():
        entries = run_folder.read_run(path)
        try:
            made, notes = probe_report.make(path)
        except ProbeError as error:
            if not name:
                raise
            empty.append(error)
            made, notes = {}, [error.found]
        found.append(ReportedRun(name, path, entries, made, notes))
    if len(empty) == len(found):
        raise empty[0]
    return found


def write(folder: Path, runs: list[ReportedRun] | None = None) -> list[Path]:
    """Writes the tables and figures of every run, and FOLDER/report.html; returns the paths.

    Equal rows make an equal page.

    Args:
        folder: of a run or a study.
        runs: what `read` made of it, where that is known.

    Raises:
        ProbeError: no run, rows that a report can't read, or a folder that can't be written.
    """
    runs = read(folder) if runs is None else runs
    paths = [path for run in runs for path in probe_report.save(run.folder, run.made)]
    text = page(folder, runs)
    path = folder / PAGE
    try:
        files.replace(path, text)
    except OSError as error:
        raise files.unusable(path, error) from error
    return [*paths, path]


def page(folder: Path, runs: list[ReportedRun]) -> str:
    """The page as text."""
    study = run_folder.read_study(folder)
    models = _models(runs)
    colours = charts.colours(models)
    found = [section for run in runs for section in sections(run, colours)]
    name = str(study.get("study") or folder.resolve().name)
    return page_template.render(
        name, colours, found, _states(study, runs), str(study.get("source") or "")
    )


def _models(runs: list[ReportedRun]) -> list[str]:
    """All models of the page, in the order of the runs."""
    frames = [made.frame for run in runs for made in run.made.values()]
    names = [str(name) for frame in frames if "model" in frame for name in frame["model"].unique()]
    return list(dict.fromkeys(names))


def _states(study: dict[str, Any], runs: list[ReportedRun]) -> list[tuple[str, str, str]]:
    """Runs of a study that aren't finished: name, state, and why."""
    known = {
        name: run for name, run in study.get("runs", {}).items() if run.get("status") != "finished"
    }
    found = {
        name: (str(run.get("status")), str(run.get("error") or "")) for name, run in known.items()
    }
    for run in runs:
        if not run.made:
            found.setdefault(run.name, ("without rows", "; ".join(run.notes)))
    return [(name, *state) for name, state in found.items()]
