"""The page's section on what a study's tunings changed."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.chart_data import ALL
from mdlm_probe.reports import pictures
from mdlm_probe.reports.html.page_charts import page_chart
from mdlm_probe.reports.html.page_tables import page_table
from mdlm_probe.reports.html.probe_sections import Section
from mdlm_probe.reports.html.run_facts import Facts
from mdlm_probe.reports.pictures import Style
from mdlm_probe.reports.remedies import Remedies
from mdlm_probe.reports.remedy_charts import CHARTS, NAME, READ

TITLES = {
    "arms": "What was trained",
    "changes": "What it changed: the same items before and after",
    "published": "The papers' own measures before and after",
}
"""Of the tables."""


def section(found: Remedies, style: Style) -> Section:
    """The section; its charts and tables are those of the files beside the page."""
    tables = found.tables
    charts = [page_chart(chart, {ALL: (tables, pd.DataFrame())}, ()) for chart in CHARTS]
    shown = [chart for chart in charts if chart]
    names = [
        f"{stem}.{end}"
        for stem in pictures.stems(NAME, [chart.chart.name for chart in shown], style)
        for end in pictures.ENDS
    ]
    names += [f"{NAME}-{name}.csv" for name in tables]
    return Section(
        id=NAME,
        title="Did it help?",
        question="What the study's tunings changed.",
        read=READ,
        masks="",
        facts=Facts((), (), (), found.notes),
        charts=shown,
        tables=[
            page_table(title, tables[name]) for name, title in TITLES.items() if name in tables
        ],
        published=None,
        unrun=None,
        says="",
        what="",
        tasks=[],
        files=[(name, name) for name in names],
    )
