"""Two runs compared item by item: by how much they differ.

Only measurements that were made the same way are paired; see `settings`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from mdlm_probe.analysis import paired_differences
from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis.frames import light_texts
from mdlm_probe.analysis.observed import by_kind
from mdlm_probe.analysis.paired_differences import Points
from mdlm_probe.analysis.pairing import Pairs
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.reports import pictures
from mdlm_probe.reports.compare import forest
from mdlm_probe.reports.compare.declarations import comparable, freed, pairings
from mdlm_probe.reports.compare.measurements import Measurement, Pair, measurements, partners
from mdlm_probe.reports.compare.settings import SHOWN, check_known, check_same, scorer_of
from mdlm_probe.reports.masks_used import masks_used
from mdlm_probe.reports.pictures import ENDS, Picture, draw


@dataclass(frozen=True)
class Compared:
    """One pair of measurements and how they differ.

    Attributes:
        first, second: A and B.
        tables: lines by what is compared; "" where a probe has one such thing. Differences are
            B minus A; the columns are those of `paired_differences.compared`, and p_holm:
            corrected by Holm's method, whole sweeps for all of all pairs that were compared
            together, points for the points of their measure.
        notes: what a reader should know.
    """

    first: Measurement
    second: Measurement
    tables: dict[str, pd.DataFrame]
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The run's or the probe's name, and who judged."""
        return self.first.of

    @property
    def models(self) -> tuple[str, str]:
        """What each side is called in a picture."""
        names = self.first.model, self.second.model
        return names if names[0] != names[1] else ("A", "B")

    def picture(self) -> Picture:
        """Differences with their intervals, a panel for each measure."""
        entries = {"A": self.first.answers, "B": self.second.answers}
        masks = masks_used(value("charts", catalog.charts(self.first.probe), "MASKS"), entries)
        return draw(forest.forest(self.tables, self.title, *self.models), (), masks)


@light_texts()
def compare(
    first: Path,
    second: Path,
    *,
    probes: Sequence[str] = (),
    models: Sequence[tuple[str, str]] = (),
    across: Sequence[str] = (),
    points: Points = "main",
) -> tuple[list[Compared], list[str]]:
    """Every pair of measurements of two runs or studies, and notes on what found no partner.

    Args:
        first, second: A and B: a run's folder, a study's, or a CSV of a run.
        probes: those to compare; (): all.
        models: pairs of models by hand.
        across: settings that may differ, such as load.quantize or seed.
        points: measures that have a line for each point of the sweep.

    Raises:
        ProbeError: no run, nothing to pair, or what isn't the same; the differences are shown.
    """
    for probe in probes:
        if probe not in catalog.names("report"):
            raise catalog.unknown("probe", probe, catalog.names("report"))
    ours, our_notes = _whole_measurements(first)
    theirs, their_notes = _whole_measurements(second)
    notes = [f"A: {note}" for note in our_notes] + [f"B: {note}" for note in their_notes]
    try:
        pairs, alone = partners(ours, theirs, probes, models)
    except ProbeError as error:
        found = "\n".join((error.found, *notes))
        raise ProbeError(found, expected=error.expected, hint=error.hint) from None
    check_known(pairs, across)
    compared, damaged = compare_pairs(pairs, across, points)
    return compared, [*notes, *alone, *damaged]


@light_texts()
def compare_pairs(
    pairs: Sequence[Pair], across: Sequence[str] = (), points: Points = "main"
) -> tuple[list[Compared], list[str]]:
    """Pairs of measurements, one or more, compared together; and what of them is damaged.

    Raises:
        ProbeError: what isn't the same on both sides; all of them are damaged.
    """
    check_same(pairs, across)
    compared: list[Compared] = []
    damaged: list[ProbeError] = []
    for pair in pairs:
        try:
            compared.append(_compared(*pair, across, points))
        except ProbeError as error:
            damaged.append(error)
    if not compared:
        raise damaged[0]
    return _corrected(compared), [error.found for error in damaged]


def _whole_measurements(place: Path) -> tuple[list[Measurement], list[str]]:
    """The measurements of a run or study that have the columns that name items; and notes."""
    found, notes = measurements(place)
    missing = {id(one): columns[0] for one in found if (columns := _missing_columns(one))}
    notes += [
        f"{one.name} is damaged: it has no column '{missing[id(one)]}'"
        for one in found
        if id(one) in missing
    ]
    return [one for one in found if id(one) not in missing], notes


def _missing_columns(one: Measurement) -> list[str]:
    """Columns that name items and aren't there, or hold nothing; older rows have no clusters."""
    kinds, missing = by_kind(one.frame), set()
    for pairing in pairings(one.probe, one.frame):
        frame = kinds[pairing.kind]
        names = {name for name in pairing.item if name != pairing.cluster}
        if len(frame):
            missing |= {n for n in names if n not in frame or frame[n].isna().all()}
    return sorted(missing)


def _corrected(compared: Sequence[Compared]) -> list[Compared]:
    """The comparisons with p-values corrected over all of them.

    Raises:
        ProbeError: there is nothing in any of them.
    """
    tables = [table for one in compared for table in one.tables.values()]
    if not tables:
        raise ProbeError(
            "no item was measured on both sides",
            expected="runs of the same items: equal --tasks, --limit, positions, ...",
            hint="; ".join(note for one in compared for note in one.notes),
        )
    left = iter(paired_differences.corrected(tables))
    return [replace(one, tables={name: next(left) for name in one.tables}) for one in compared]


def _compared(
    first: Measurement, second: Measurement, across: Sequence[str], points: Points
) -> Compared:
    free = freed(first.probe, across)
    keys = [name for name in comparable(first.probe) if name not in free]
    tables, notes = {}, _notes(first, second)
    try:
        for given in pairings(first.probe, first.frame):
            pairing = replace(given, by=tuple(name for name in given.by if name not in free))
            ours, theirs = (by_kind(side.frame)[pairing.kind] for side in (first, second))
            if not len(ours) + len(theirs):
                continue
            both = _pairing.pair(ours, theirs, pairing, keys)
            table = paired_differences.lines(both, pairing, points)
            if len(table):
                tables[given.name] = table
            notes += _unpaired(given.name, both, bool(len(table)))
    except (KeyError, TypeError, ValueError) as error:
        what = f"no column {error}" if isinstance(error, KeyError) else str(error)
        raise ProbeError(
            f"the rows of {first.name} and {second.name} can't be compared: they are damaged, or of"
            f" another version ({what})",
            expected="the columns that this version writes",
            hint="measure both anew with --fresh",
        ) from error
    return Compared(first, second, tables, tuple(notes))


def _unpaired(name: str, both: Pairs, compared: bool) -> list[str]:
    """Notes on what a pairing had to leave out; `name` is "" where a probe has but one."""
    where, notes = f" ({name})" if name else "", []
    for side, items, points, measures in zip(
        "AB", both.alone, both.points, both.measured, strict=True
    ):
        only = [f"{items} item{'s' * (items > 1)} only in {side}"] if items else []
        if points:
            told = "; ".join(points[:SHOWN]) + "; ..." * (len(points) > SHOWN)
            only.append(f"{len(points)} point{'s' * (len(points) > 1)} only in {side}: {told}")
        only += [f"only in {side}: {label}" for label in measures]
        notes += only
    if notes and not compared:
        return [f"{name or 'this'} isn't compared, nothing being in common: {', '.join(notes)}"]
    return [note + where for note in notes]


def _notes(first: Measurement, second: Measurement) -> list[str]:
    """What both sides needn't have in common, but a reader should know if they don't."""
    facts = [m.facts for m in (first, second)]
    notes = []
    weights = [f.get("weight_hash", "none") for f in facts]
    if weights[0] == weights[1] != "none":
        notes.append("both sides have the same weights")
    tokenizers = [f.get("files", {}).get("tokenizer.json") for f in facts]
    if all(tokenizers) and tokenizers[0] != tokenizers[1]:
        notes.append("the tokenizers differ: what is per token is per other tokens")
    if len({f.get("chat", False) for f in facts}) > 1:
        chat, text = "AB" if facts[0].get("chat") else "BA"
        notes.append(f"{chat} is asked in chat messages, {text} in plain text: see --style")
    if sum(map(bool, map(scorer_of, (first.answers, second.answers)))) == 1:
        notes.append("only one side has a scorer: likelihoods aren't compared")
    return notes


def save(folder: Path, found: Sequence[Compared]) -> list[Path]:
    """Writes compare.csv, and a picture of each pair; returns the paths.

    PNG, and SVG and PDF of a single pair: of many pairs few are printed.

    Raises:
        ProbeError: the folder can't be written.
    """
    path = folder / "compare.csv"
    drawn = [one for one in found if one.tables]
    titles = [one.title for one in found]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        whole(found).to_csv(path, index=False, float_format="%.6g")
        paths = [path]
        for one in drawn:
            alone = titles.count(one.title) == 1
            stem = one.title if alone else f"{one.title}__{one.first.model}"
            name = "".join(c if c.isalnum() or c in "._-" else "-" for c in stem)
            ends = ENDS if len(drawn) == 1 else ENDS[:1]
            paths += pictures.write(folder, name, one.picture(), ends)
    except OSError as error:
        raise unusable(path, error) from error
    return paths


def whole(found: Sequence[Compared]) -> pd.DataFrame:
    """All lines of all tables, with what they are of."""
    parts = []
    for one in found:
        for name, table in one.tables.items():
            head = {"study_run": one.title, "what": name, "model_a": one.first.model}
            head |= {"model_b": one.second.model}
            sweep = paired_differences.swept(table)
            named = table.drop(columns=sweep).assign(
                point=[paired_differences.named(line, sweep) for _, line in table.iterrows()]
            )
            parts.append(named.assign(**head)[[*head, "point", *table.columns[len(sweep) :]]])
    return pd.concat(parts, ignore_index=True)
