"""Sections of the page: a probe of a run, with all that is shown of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from mdlm_probe.analysis.chart_data import ALL
from mdlm_probe.analysis.chart_rows import Source
from mdlm_probe.analysis.observed import Observed, values, where
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.run_folder import probe_of
from mdlm_probe.reports import pictures
from mdlm_probe.reports.html import examples, published_values, run_facts
from mdlm_probe.reports.html.page_charts import PageChart, page_chart
from mdlm_probe.reports.html.page_tables import PageTable, page_table
from mdlm_probe.reports.html.run_facts import Entries, Facts
from mdlm_probe.reports.percent import in_percent
from mdlm_probe.reports.pictures import Style
from mdlm_probe.reports.probe_report import ProbeReport

FEW = 300
"""Rows of a table that are shown; the CSV has them all."""
TASKS = 40
"""Tasks that can be picked one by one, at most."""


@dataclass(frozen=True)
class ReportedRun:
    """A run folder as it was read.

    Attributes:
        name: its name within the study; "" where it is the whole.
        folder: where it is.
        entries: what run.json says.
        made: tables and charts by probe.
        notes: what a reader should know.
    """

    name: str
    folder: Path
    entries: Entries
    made: dict[str, ProbeReport]
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """What the page shows of a probe.

    Attributes:
        id: of its place in the page.
        title, question: the run's or the probe's name, and what it asks.
        read: how to read it.
        masks: how many masks were used, in words.
        facts: what was run.
        charts: interactive figures.
        tables: printed ones of the report.
        published: figures of papers beside ours; None where there are none.
        unrun: those of models that weren't run; None likewise.
        says: what a paper says without figures.
        what: of what the tasks are, such as "set"; "" where none can be picked.
        tasks: that can be picked.
        examples: single items, for the page's script.
        files: names and relative addresses of what lies beside the page.
    """

    id: str
    title: str
    question: str
    read: str
    masks: str
    facts: Facts
    charts: list[PageChart]
    tables: list[PageTable]
    published: PageTable | None
    unrun: PageTable | None
    says: str
    what: str
    tasks: list[str]
    examples: list[dict[str, Any]] = field(default_factory=list)
    files: list[tuple[str, str]] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """What the page's script needs of it."""
        charts = {chart.chart.slug: chart.data for chart in self.charts}
        return {"charts": charts, "examples": self.examples}


def sections(run: ReportedRun, models: Sequence[str], style: Style = "screen") -> list[Section]:
    """The sections of a run, one per probe; what judges the rows of others comes last.

    Args:
        run: what was read.
        models: all of the page, in the order of their colours.
        style: of the pictures beside the page.
    """
    return [_section(run, probe, run.made[probe], models, style) for probe in order(run)]


def order(run: ReportedRun) -> list[str]:
    """The probes of a run as the page has them."""
    return sorted(run.made, key=lambda probe: probe not in catalog.names("probe"))


def section_id(run: str, probe: str) -> str:
    """The id of a section in the page."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", f"{run}-{probe}" if run else probe)


def section_title(run: str, probe: str) -> str:
    """The title of a section."""
    return probe if run in ("", probe) else f"{probe} ({run})"


def _section(
    run: ReportedRun, probe: str, made: ProbeReport, models: Sequence[str], style: Style
) -> Section:
    module = catalog.charts(probe)
    entries = {name: entry for name, entry in run.entries.items() if probe_of(name, entry) == probe}
    about = (*(f"{name} " for name in entries), f"{probe}__", f"{probe}: ")
    notes = [note for note in run.notes if note.startswith(about)]
    task = value("charts", module, "TASK")
    sources = _sources(module, probe, made, task)
    found = [page_chart(data.chart, sources, models, made.masks) for data in made.charts.values()]
    shown = _examples(run.folder, probe, made.frame, entries, notes.append)
    meanings = {column.name: column.meaning for column in catalog.columns(probe)}
    return Section(
        id=section_id(run.name, probe),
        title=section_title(run.name, probe),
        question=_question(probe),
        read=value("charts", module, "READ"),
        masks=made.masks,
        facts=run_facts.facts(made.frame, entries, notes),
        charts=[chart for chart in found if chart],
        tables=[
            page_table(name, table, meanings, in_percent(probe, name, table))
            for name, whole in made.tables.items()
            if name in made.printed and len(table := whole.head(FEW))
        ],
        published=published_values.table(module, made.tables),
        unrun=published_values.table(module, made.tables, run=False),
        says=value("charts", module, "SAYS"),
        what=task if len(sources) > 1 else "",
        tasks=[name for name in sources if name != ALL],
        examples=shown,
        files=_files(run, probe, made, style),
    )


def _question(probe: str) -> str:
    part: catalog.Part = "probe" if probe in catalog.names("probe") else "report"
    return catalog.first_line(part, probe)


def _sources(module: ModuleType, probe: str, made: ProbeReport, task: str) -> dict[str, Source]:
    """The tables of all tasks together, and those of each task."""
    tables = value("charts", module, "task_tables") or catalog.load("report", probe).tables
    found: dict[str, Source] = {ALL: (made.tables, made.frame)}
    names = values(made.frame, task)
    if not 1 < len(names) <= TASKS:
        return found
    for name in names:
        rows = where(made.frame, task, name)
        found[str(name)] = (tables(rows), rows)
    return found


def _examples(
    folder: Path,
    probe: str,
    frame: Observed,
    entries: Entries,
    note: Callable[[str], None],
) -> list[dict[str, Any]]:
    found = examples.of(folder, probe, frame, entries, note=note)
    return [
        asdict(example) | {"parts": [{"kind": part.kind, **asdict(part)} for part in example.parts]}
        for example in found
    ]


def _files(run: ReportedRun, probe: str, made: ProbeReport, style: Style) -> list[tuple[str, str]]:
    """What `probe_report.save` writes, by its address from the page."""
    stems = pictures.stems(probe, list(made.charts), style)
    names = [f"{stem}.{end}" for stem in stems for end in pictures.ENDS]
    names += [f"{probe}-{name}.csv" for name in made.tables]
    return [(name, f"{run.name}/{name}" if run.name else name) for name in names]
