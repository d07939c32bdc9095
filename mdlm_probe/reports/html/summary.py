"""The page's summary: each probe's headlines in words, and which of them stand out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mdlm_probe.analysis import headlines, observed
from mdlm_probe.analysis.headlines import Headline, HeadlineValue
from mdlm_probe.core import catalog
from mdlm_probe.reports.html import probe_sections
from mdlm_probe.reports.html.probe_sections import ReportedRun
from mdlm_probe.reports.probe_report import ProbeReport


@dataclass(frozen=True)
class SummaryLine:
    """What is said of a model.

    Attributes:
        model: its name.
        said: the figure in a sentence, or why there is none.
        interval: the 95 % interval and n, in words; "" where there is no figure.
        setting: of which rows it is; "" where all lines are alike.
        out: whether it stands out.
    """

    model: str
    said: str
    interval: str
    setting: str
    out: bool


@dataclass(frozen=True)
class SummaryPart:
    """A headline of a run.

    Attributes:
        section: the id of its probe's section.
        title: the section's.
        name, meaning: the headline's.
        none: which value says that there is no effect, in words; "" where none does.
        setting: of which rows all figures are; "" where the lines differ.
        lines: one for each model.
    """

    section: str
    title: str
    name: str
    meaning: str
    none: str
    setting: str
    lines: tuple[SummaryLine, ...]

    @property
    def out(self) -> list[str]:
        """The models of which it stands out."""
        return [line.model for line in self.lines if line.out]


def summary(runs: Sequence[ReportedRun]) -> list[SummaryPart]:
    """The headlines of all runs, in the order of the page's sections."""
    return [
        part
        for run in runs
        for probe in probe_sections.order(run)
        for part in _parts(run, probe, run.made[probe])
    ]


def _parts(run: ReportedRun, probe: str, made: ProbeReport) -> list[SummaryPart]:
    if probe not in catalog.names("headlines"):
        return []
    models = [str(name) for name in observed.values(made.frame, "model")]
    if not models:
        return []
    found = []
    for headline in headlines.declared(probe):
        values = headlines.values(headline, made.tables, made.frame, models)
        settings = {one.setting for one in values if one.known}
        alike = len(settings) == 1
        found.append(
            SummaryPart(
                probe_sections.section_id(run.name, probe),
                probe_sections.section_title(run.name, probe),
                headline.name,
                headline.meaning,
                _none(headline),
                settings.pop() if alike else "",
                tuple(_line(headline, one, "" if alike else one.setting) for one in values),
            )
        )
    return found


def _none(headline: Headline) -> str:
    if headline.none is None:
        return ""
    return f"; no effect: {headlines.with_unit(headline.none, headline.unit)}"


def _line(headline: Headline, one: HeadlineValue, setting: str) -> SummaryLine:
    said = headline.sentence(one)
    if not one.known:
        return SummaryLine(one.model, f"no {headline.name}: {said}", "", "", False)
    ends = headline.ends(one)
    interval = f"95 % interval {ends}" if one.bounded else "no interval"
    return SummaryLine(
        one.model,
        said,
        f"{interval}, n = {one.n} {one.units}",
        setting,
        headline.stands_out(one),
    )
