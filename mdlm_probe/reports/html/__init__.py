"""The page: one self-contained HTML file of a run or a study, and the files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdlm_probe.analysis.chart_style import PAGE as ON_PAGE
from mdlm_probe.analysis.chart_style import model_colours
from mdlm_probe.analysis.observed import values
from mdlm_probe.core import run_folder
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole
from mdlm_probe.core.secrets import redacted
from mdlm_probe.reports import over_training, probe_report, remedy_charts
from mdlm_probe.reports.html import page_template, remedies_section, summary, training_section
from mdlm_probe.reports.html.probe_sections import ReportedRun, sections
from mdlm_probe.reports.pictures import Style
from mdlm_probe.reports.probe_report import ProbeReport
from mdlm_probe.reports.remedies import Remedies, remedies

PAGE = "report.html"


def read(folder: Path) -> list[ReportedRun]:
    """The runs of a folder, with their tables and charts; a study's in its own order.

    A study's run that has no rows yet has no tables either, and says so in its notes.

    Raises:
        ProbeError: no run, or none with rows that a report can read.
    """
    folders, models = run_folder.run_folders(folder), probe_report.models_of(folder)
    found, empty = [], []
    for name, path in folders.items():
        entries: dict[str, dict[str, Any]] = {}
        try:
            made, notes = probe_report.make(path, models)
            entries = {n: e for one in made.values() for n, e in one.entries.items()}
        except ProbeError as error:
            if not name:
                raise
            empty.append(error)
            made, notes = {}, [error.found]
        found.append(ReportedRun(name, path, entries, made, notes))
    if len(empty) == len(found):
        raise empty[0]
    return found


def write(
    folder: Path,
    runs: list[ReportedRun] | None = None,
    style: Style = "screen",
    helped: Remedies | None = None,
) -> list[Path]:
    """Writes the tables and pictures of every run, and FOLDER/report.html; returns the paths.

    Equal rows make an equal page.

    Args:
        folder: of a run or a study.
        runs: what `read` made of it, where that is known.
        helped: what `changed` made of that, likewise.
        style: of the pictures beside the page.

    Raises:
        ProbeError: no run, rows that a report can't read, or a folder that can't be written.
    """
    runs = read(folder) if runs is None else runs
    paths = [path for run in runs for path in probe_report.save(run.folder, run.made, style)]
    helped = changed(folder, runs) if helped is None else helped
    if helped:
        paths += remedy_charts.save(folder, helped.tables, style)
        for title, table in helped.tables.items():
            paths.append(folder / f"{remedy_charts.NAME}-{title}.csv")
            write_whole(paths[-1], table.to_csv(index=False, float_format="%.6g"))
    if steps := over_training.of_reports({run.name: run.made for run in runs}):
        paths += over_training.save(folder, steps, style)
    text = page(folder, runs, style, helped)
    path = folder / PAGE
    write_whole(path, text)
    return [*paths, path]


def changed(folder: Path, runs: list[ReportedRun]) -> Remedies | None:
    """What the tunings of a study changed; None where there are none."""
    return remedies(folder, {run.name: run.made for run in runs})


def page(
    folder: Path,
    runs: list[ReportedRun],
    style: Style = "screen",
    helped: Remedies | None = None,
) -> str:
    """The page as text."""
    study = run_folder.read_study(folder)
    models = probe_report.models_of(folder)
    shown = {name for run in runs for made in run.made.values() for name in _models(made)}
    colours = {name: c for name, c in model_colours(models, ON_PAGE).items() if name in shown}
    found = [remedies_section.section(helped, style)] if helped else []
    if steps := over_training.of_reports({run.name: run.made for run in runs}):
        found.append(training_section.section(steps, style))
    found += [section for run in runs for section in sections(run, models, style)]
    name = str(study.get("study") or folder.resolve().name)
    return page_template.render(
        name,
        colours,
        summary.summary(runs),
        found,
        _states(study, runs),
        redacted(str(study.get("source") or "")),
    )


def _models(made: ProbeReport) -> list[str]:
    """The models of a probe's rows, and those that they are compared with."""
    return [str(name) for column in ("model", "against") for name in values(made.frame, column)]


def _states(study: dict[str, Any], runs: list[ReportedRun]) -> list[tuple[str, str, str]]:
    """Runs of a study that aren't finished: name, state, and why."""
    known = {
        name: run for name, run in study.get("runs", {}).items() if run.get("status") != "finished"
    }
    found = {
        name: (str(run.get("status")), redacted(str(run.get("error") or "")))
        for name, run in known.items()
    }
    for run in runs:
        if not run.made:
            found.setdefault(run.name, ("without rows", "; ".join(run.notes)))
    return [(name, *state) for name, state in found.items()]
