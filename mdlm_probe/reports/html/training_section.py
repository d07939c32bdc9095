"""The page's section on checkpoints of a training: each headline against the step."""

from __future__ import annotations

from mdlm_probe.analysis.chart_data import ALL
from mdlm_probe.reports import pictures
from mdlm_probe.reports.html.page_charts import page_chart
from mdlm_probe.reports.html.probe_sections import Section
from mdlm_probe.reports.html.run_facts import Facts
from mdlm_probe.reports.over_training import NAME, READ, OverTraining
from mdlm_probe.reports.pictures import Style


def section(found: OverTraining, style: Style) -> Section:
    """The section; its charts are those of the files beside the page."""
    source = {ALL: (found.tables, found.table)}
    charts = [page_chart(chart, source, ()) for chart in found.charts.values()]
    shown = [chart for chart in charts if chart]
    stems = pictures.stems(NAME, [chart.chart.name for chart in shown], style)
    names = [*(f"{stem}.{end}" for stem in stems for end in pictures.ENDS), f"{NAME}.csv"]
    return Section(
        id=NAME,
        title="Over training",
        question="How does each main figure change from checkpoint to checkpoint?",
        read=READ,
        masks="",
        facts=Facts((), (), (), ()),
        charts=shown,
        tables=[],
        published=None,
        unrun=None,
        says="",
        what="",
        tasks=[],
        files=[(name, name) for name in names],
    )
