"""Did it help? What a study's tunings changed, item by item, and in the papers' own measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd

from mdlm_probe.analysis import paired_differences
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.observed import Observed
from mdlm_probe.analysis.pairing import Better
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.arms import Arm, ArmPair, arms, log, pairs
from mdlm_probe.reports.compare.compare import Compared, compare_pairs
from mdlm_probe.reports.compare.declarations import pairings
from mdlm_probe.reports.compare.forest import SURE
from mdlm_probe.reports.compare.measurements import measurements
from mdlm_probe.reports.probe_report import ProbeReport

EFFECTS = ("better", "worse", "changed")
"""What a line that is certain says: "changed" where neither direction is better in itself."""


@dataclass(frozen=True)
class Remedies:
    """What a study's tunings changed.

    Attributes:
        arms: the tunings.
        changes: lines over whole sweeps and points of them, before and after; see `changes`.
        published: the papers' own measures before and after; see `published`.
        losses: of every step of every tuning.
        notes: what could not be compared.
    """

    arms: pd.DataFrame
    changes: pd.DataFrame
    published: pd.DataFrame
    losses: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def tables(self) -> Tables:
        """The tables that have rows, by name."""
        found = {"arms": self.arms, "changes": self.changes, "published": self.published}
        found["losses"] = self.losses
        return {name: table for name, table in found.items() if len(table)}


def remedies(folder: Path, made: dict[str, dict[str, ProbeReport]]) -> Remedies | None:
    """What the tunings in a study's folder changed; None where there are none.

    Args:
        folder: of the study.
        made: the reports by run and probe.
    """
    known = arms(folder)
    if not known:
        return None
    found, notes = measurements(folder) if made else ([], [])
    paired, stale = pairs(folder, known, found)
    notes += stale
    compared: Sequence[Compared] = ()
    if paired:
        try:
            compared, said = compare_pairs([(one.before, one.after) for one in paired])
            notes += said
        except ProbeError as error:
            notes.append(error.found)
    named = {(id(one.before), id(one.after)): one.arm for one in paired}
    lines = changes([(named[id(one.first), id(one.second)].name, one) for one in compared])
    logs = [log(folder / arm.name).assign(remedy=arm.name) for arm in known]
    return Remedies(
        _listed(known, lines),
        lines,
        published(paired, made),
        pd.concat(logs, ignore_index=True),
        tuple(notes),
    )


def _listed(found: Iterable[Arm], lines: pd.DataFrame) -> pd.DataFrame:
    """The tunings, and how many measures over whole sweeps each made better, worse, or other."""
    rows = []
    for arm in found:
        row = dict(vars(arm))
        if len(lines) and len(own := lines[(lines["remedy"] == arm.name) & (lines["at"] == "all")]):
            row["measures"] = len(own)
            row |= {name: int((own["effect"] == name).sum()) for name in EFFECTS}
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how="all")


def changes(compared: Iterable[tuple[str, Compared]]) -> pd.DataFrame:
    """What each tuning, by its name, changed: every paired measure, before and after.

    `difference` is after minus before over the same items, with its 95 % interval; `p_holm` is
    corrected over all lines of all tunings as in `compare`; `effect` is one of `EFFECTS` where that
    is under 5 %. `what` is the kind of rows, `at` the point of the sweep.
    """
    parts = []
    for remedy, one in compared:
        wanted = _wanted(one)
        for name, table in one.tables.items():
            sweep = paired_differences.swept(table)
            points = [paired_differences.named(line, sweep) for _, line in table.iterrows()]
            head = {"remedy": remedy, "probe": one.first.probe, "what": name, "at": points}
            own = table[_kept(table)]
            own.insert(list(own).index("p_holm") + 1, "effect", _effects(own, wanted[name]))
            parts.append(own.assign(**head)[[*head, *own]])
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return whole.rename(columns={"a": "before", "b": "after"}).dropna(axis=1, how="all")


def _kept(table: pd.DataFrame) -> list[str]:
    names = ("measure", "a", "b", "difference", "difference_low", "difference_high")
    return [name for name in (*names, "p", "p_holm", "n", "clusters") if name in table]


def _wanted(one: Compared) -> dict[str, dict[str, Better]]:
    """Of which a user wants more, of which less: by the name of the pairing, and the measure's."""
    found = pairings(one.first.probe, one.first.frame)
    return {each.name: {m.label: m.better for m in each.measures.values()} for each in found}


def _effects(lines: pd.DataFrame, wanted: dict[str, Better]) -> list[str]:
    """One of `EFFECTS` for every line that is certain, else ""."""
    return [
        _effect(difference, wanted[measure]) if p < SURE else ""
        for measure, difference, p in zip(
            lines["measure"], lines["difference"], lines["p_holm"], strict=True
        )
    ]


def _effect(difference: float, better: Better) -> str:
    if not better:
        return "changed"
    return "better" if (difference > 0) == (better == "more") else "worse"


def published(paired: Iterable[ArmPair], made: dict[str, dict[str, ProbeReport]]) -> pd.DataFrame:
    """The papers' own measures before and after, beside what they say of their own models.

    `difference` is after minus before, its interval over the same items, paired, where the charts
    of a probe know it.
    """
    rows = []
    for one in paired:
        module = catalog.charts(one.before.probe)
        sides = _own_values(one, module, made)
        if not sides:
            continue
        gaps = _gaps(one, module)
        theirs: tuple[PublishedValue, ...] = value("charts", module, "PUBLISHED")
        for what in (w for w in sides[0] if w in sides[1]):
            told = "; ".join(f"{one.model} {one.value}" for one in theirs if one.what == what)
            three = {"before": sides[0][what], "after": sides[1][what]}
            three |= {"difference": gaps[what]} if what in gaps else {}
            columns = {
                f"{name}{end}": getattr(own, field)
                for name, own in three.items()
                for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            rows.append({"remedy": one.arm.name, "measure": what, **columns, "published": told})
    return pd.DataFrame(rows).dropna(axis=1, how="all") if rows else pd.DataFrame()


def _own_values(
    one: ArmPair, module: ModuleType, made: dict[str, dict[str, ProbeReport]]
) -> list[dict[str, OwnValue]]:
    """The papers' measures before and after, by what they are; none where either is missing."""
    ours: Callable[[Tables], Iterable[OwnValue]] | None = value("charts", module, "ours")
    if ours is None or not all(m.probe in made.get(m.run, {}) for m in (one.before, one.after)):
        return []
    return [
        {own.what: own for own in ours(made[m.run][m.probe].tables) if own.model == m.model}
        for m in (one.before, one.after)
    ]


def _gaps(one: ArmPair, module: ModuleType) -> dict[str, OwnValue]:
    """What the tuning changed of the papers' measures, by what they are."""
    gaps: Callable[[Observed, Observed], Iterable[OwnValue]] | None
    gaps = value("charts", module, "ours_changed")
    return {own.what: own for own in gaps(one.before.frame, one.after.frame)} if gaps else {}
