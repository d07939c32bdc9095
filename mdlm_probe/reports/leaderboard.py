"""The leaderboard: the headlines of all models of several runs and studies, in one table.

A row is a model with its weights. A model that was measured with several weights, adapters or
number formats, or twice by the same probe, has several rows, named by their folders.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mdlm_probe.analysis import headlines
from mdlm_probe.analysis.frames import light_texts
from mdlm_probe.analysis.headlines import Headline, HeadlineValue
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import training_of
from mdlm_probe.reports.compare.measurements import Measurement, between_models, measurements
from mdlm_probe.reports.compare.settings import unlike
from mdlm_probe.reports.over_training import OverTraining, Point, over_training

HASH = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,}\b")
"""A hash, and as much of it as is shown."""
BY_HAND = "device"
"""Of how a model is loaded, what makes no other model of it."""
UNREADABLE = (KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class Source:
    """A measurement, and where it is from.

    Attributes:
        folder: as it was given.
        measured: the rows of one model.
    """

    folder: Path
    measured: Measurement

    @property
    def place(self) -> str:
        """Its run's folder."""
        return str(self.folder / self.measured.run if self.measured.run else self.folder)


@dataclass
class Row:
    """A line of the table.

    Attributes:
        name: the model's, and a folder where a model has several rows.
        model: its name.
        sources: its measurements by probe.
        values: by the headline's name.
    """

    name: str
    model: str
    sources: dict[str, Source]
    values: dict[str, HeadlineValue]

    @property
    def training(self) -> tuple[str, int] | None:
        """The path of the training that it is a checkpoint of, and its step; None of others."""
        found = (training_of(source.measured.answers) for source in self.sources.values())
        return next(filter(None, found), None)


@dataclass(frozen=True)
class Leaderboard:
    """The table.

    Attributes:
        columns: headlines in the order of their probes, each with its probe.
        rows: models in the order of the folders, or best first.
        notes: what a reader should know: reasons, damage, and what can't be compared.
    """

    columns: tuple[tuple[str, Headline], ...]
    rows: list[Row]
    notes: list[str]

    @property
    def has_steps(self) -> bool:
        """Whether any row is a checkpoint of a training."""
        return any(row.training for row in self.rows)

    def over_training(self) -> OverTraining:
        """Charts of the headlines of such rows against the step."""
        return over_training(
            Point(*row.training, "", probe, headline, replace(found, model=row.name))
            for row in self.rows
            for probe, headline in self.columns
            if row.training and (found := row.values.get(headline.name))
        )


@light_texts()
def make(folders: Sequence[Path], probes: Sequence[str] = (), by: str = "") -> Leaderboard:
    """The headlines of all that was measured in folders of runs or studies.

    Args:
        folders: of runs or studies.
        probes: those wanted; (): all.
        by: the name of the headline that sorts the rows, best first; "": as the folders have them.

    Raises:
        ProbeError: no run, no such probe or headline, or rows that a report can't read.
    """
    sources, notes = _sources(folders, probes)
    known = catalog.names("headlines")
    here = {source.measured.probe for source in sources}
    columns = tuple(
        (probe, one) for probe in known if probe in here for one in headlines.declared(probe)
    )
    rows = _rows(sources)
    for row in rows:
        for source in row.sources.values():
            row.values |= _values(source, notes)
    if not columns:
        raise ProbeError(
            "nothing for a leaderboard in " + ", ".join(map(str, folders)),
            expected="rows of one of the probes " + ", ".join(known),
        )
    if by:
        rows = ordered(rows, _named(by, columns))
    return Leaderboard(columns, rows, [*notes, *_unlike(rows)])


def _sources(folders: Sequence[Path], probes: Sequence[str]) -> tuple[list[Source], list[str]]:
    """All measurements, of judges the first one; and notes."""
    for name in probes:
        if name not in catalog.names("headlines"):
            raise catalog.unknown("probe", name, catalog.names("headlines"))
    found: dict[tuple[Path, str, str, str], Source] = {}
    notes: list[str] = []
    given = dict(zip((path.resolve() for path in folders), folders, strict=True))
    for folder in given.values():
        own, said = measurements(folder)
        notes += said
        for one in own:
            if between_models(one.entry):  # a strength is among those models: no figure of its own
                continue
            key = folder, one.run, one.probe, one.model
            if key in found:
                kept = found[key].measured.judge
                notes.append(f"{one.name}: the win rates shown are those of the judge {kept}")
            elif not probes or one.probe in probes:
                found[key] = Source(folder, one)
    return list(found.values()), notes


# ---------------------------------------------------------------------- rows


def _rows(sources: Iterable[Source]) -> list[Row]:
    """A row for each model and its weights, and one more where a probe measured it twice."""
    by_model: dict[str, list[Row]] = defaultdict(list)
    for source in sources:
        model, probe = source.measured.model, source.measured.probe
        rows = by_model[model]
        fitting = (r for r in rows if probe not in r.sources and _same(r, source))
        row = next(fitting, None)
        if row is None:
            row = Row(model, model, {}, {})
            rows.append(row)
        row.sources[probe] = source
    for rows in by_model.values():
        if len(rows) > 1:
            _name(rows)
    return [row for rows in by_model.values() for row in rows]


def _same(row: Row, source: Source) -> bool:
    return all(_identity(own) == _identity(source) for own in row.sources.values())


def _identity(source: Source) -> tuple[str, ...]:
    """What makes a model another one: its weights, its adapter, and how it was loaded."""
    answers, facts = source.measured.answers, source.measured.facts
    load = answers.get("config", {}).get("load", {})
    kept = {name: chosen for name, chosen in load.items() if name not in (BY_HAND, "adapter")}
    adapter = facts.get("adapter")
    hashed = adapter.get("hash") if isinstance(adapter, dict) else load.get("adapter")
    return str(facts.get("weight_hash")), str(hashed), str(sorted(kept.items()))


def _name(rows: Sequence[Row]) -> None:
    """Names a model's rows by the folders that tell them apart."""
    folders = [{str(source.folder) for source in row.sources.values()} for row in rows]
    apart = len(set.union(*folders)) == sum(map(len, folders))
    for row, own in zip(rows, folders, strict=True):
        shared = {probe for other in rows if other is not row for probe in other.sources}
        places = [one.place for probe, one in row.sources.items() if probe in shared]
        places = places or [one.place for one in row.sources.values()]
        row.name = f"{row.model} ({', '.join(sorted(own)) if apart else places[0]})"


def _values(source: Source, notes: list[str]) -> dict[str, HeadlineValue]:
    """The headlines of a measurement by name; nothing, and a note, where its rows can't be read."""
    one = source.measured
    if not (known := headlines.declared(one.probe)):
        return {}
    frame = one.frame  # numbered from 0
    try:
        tables = catalog.load("report", one.probe).tables(frame)
        found = {h.name: headlines.values(h, tables, frame, [one.model])[0] for h in known}
    except UNREADABLE as error:
        notes.append(f"the rows of {one.name} in {source.place} can't be read: {error!r}")
        return {}
    for name, each in found.items():
        if not each.known:
            notes.append(f"{name}: {one.model} has none: {each.reason}")
    return found


# ---------------------------------------------------------------------- order


def _named(by: str, columns: Sequence[tuple[str, Headline]]) -> Headline:
    found = {headline.name: headline for _, headline in columns}
    if by not in found:
        error = catalog.unknown("column", by, found)
        raise ProbeError(error.found, expected=error.expected, hint=error.hint, option="by")
    return found[by]


def ordered(rows: Sequence[Row], headline: Headline) -> list[Row]:
    """Rows by a headline: best first, or largest where neither is better; without one last."""

    def place(row: Row) -> tuple[bool, float]:
        found = row.values.get(headline.name)
        if found is None or not found.known:
            return True, 0.0
        return False, found.value if headline.better == "less" else -found.value

    return sorted(rows, key=place)


# ---------------------------------------------------------------------- what can't be compared


def _unlike(rows: Sequence[Row]) -> list[str]:
    """A note for each probe of which rows were measured otherwise than the first that has it."""
    firsts: dict[str, Row] = {}
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        for probe, source in row.sources.items():
            first = firsts.setdefault(probe, row)
            lines = unlike(first.sources[probe].measured, source.measured)
            if lines and headlines.declared(probe):
                found[probe, HASH.sub(r"\1", "; ".join(lines))].append(row.name)
    return [
        f"{probe}: {', '.join(names)} can't be compared with {firsts[probe].name}, measured in"
        f" another way: {lines}"
        for (probe, lines), names in found.items()
    ]
