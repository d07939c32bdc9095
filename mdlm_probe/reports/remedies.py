"""Did it help? What a study's tunings changed, item by item, and in the papers' own measures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.analysis import paired_differences
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import differences, read_study
from mdlm_probe.models import _slack
from mdlm_probe.reports.compare.compare import Compared, compare_pairs
from mdlm_probe.reports.compare.forest import SURE
from mdlm_probe.reports.compare.measurements import Measurement, measurements
from mdlm_probe.reports.probe_report import ProbeReport
from mdlm_probe.tuning import training_log

BY = "adapter"
"""The setting of a measurement that tells it from the one without the remedy."""


@dataclass(frozen=True)
class Arm:
    """One tuning of a study.

    Attributes:
        name: of its run.
        objective, model: what was trained, by what.
        steps, tokens, seconds: of the training; tokens as they went through the network.
        patterns_seen: of an objective that hides each of so many patterns in turn, the share that
            had its turn; else None.
    """

    name: str
    objective: str
    model: str
    steps: int
    tokens: int
    seconds: float
    patterns_seen: float | None


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
    arms = {name: arm for name in tunings(folder) if (arm := _arm(folder / name))}
    if not arms:
        return None
    found, notes = measurements(folder) if made else ([], [])
    pairs = list(_pairs(found, arms))
    compared: Sequence[Compared] = ()
    if pairs:
        try:
            compared, said = compare_pairs([(before, after) for _, before, after in pairs])
            notes += said
        except ProbeError as error:
            notes.append(error.found)
    names = {(id(before), id(after)): name for name, before, after in pairs}
    named = [(arms[names[id(one.first), id(one.second)]], one) for one in compared]
    lines = changes(named)
    return Remedies(
        _listed(arms.values(), lines),
        lines,
        published([(arms[name], before, after) for name, before, after in pairs], made),
        pd.concat([_log(folder / name).assign(remedy=name) for name in arms], ignore_index=True),
        tuple(notes),
    )


def _listed(arms: Iterable[Arm], lines: pd.DataFrame) -> pd.DataFrame:
    """The tunings, and of how many measures over whole sweeps each changed how many."""
    found = []
    for arm in arms:
        own = lines[(lines["remedy"] == arm.name) & (lines["at"] == "all")] if len(lines) else lines
        counts = {"measures": len(own), "changed": int((own["p_holm"] < SURE).sum())}
        found.append(vars(arm) | (counts if len(own) else {}))
    return pd.DataFrame(found).dropna(axis=1, how="all")


def tunings(folder: Path) -> list[str]:
    """Names of a study's runs that train something."""
    known = read_study(folder).get("runs", {})
    return [name for name, run in known.items() if run.get("probe") == catalog.TUNE]


def _arm(folder: Path) -> Arm | None:
    """A finished tuning."""
    try:
        known = _slack.read(folder)
        log = _log(folder)
    except (ProbeError, OSError, ValueError):
        return None
    if known.get("status") != "finished":
        return None
    config = known["config"]
    sums = int(log["tokens"].sum()), round(float(log["seconds"].iloc[-1]), 1)
    seen = _patterns_seen(config)
    return Arm(folder.name, config["objective"], config["model"], len(log), *sums, seen)


def _patterns_seen(config: dict[str, Any]) -> float | None:
    plan = catalog.load("objective", config["objective"]).plan
    own = {name: v for name, v in config["options"].items() if name in signature(plan).parameters}
    patterns = getattr(plan(**own), "patterns", None)
    samples = config["recipe"]["steps"] * config["recipe"]["batch"]
    return min(1.0, samples / patterns) if patterns else None


def _log(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / training_log.NAME)


def _pairs(
    found: Iterable[Measurement], arms: dict[str, Arm]
) -> Iterable[tuple[str, Measurement, Measurement]]:
    """The arm, and the measurement without and with it, of all that have both."""
    listed = list(found)
    for after in listed:
        name = Path(_load(after).get(BY) or "").name
        if name in arms:
            before = next((one for one in listed if _same(one, after)), None)
            if before:
                yield name, before, after


def _load(one: Measurement) -> dict[str, Any]:
    found: dict[str, Any] = one.answers.get("config", {}).get("load", {})
    return found


def _same(one: Measurement, other: Measurement) -> bool:
    """Whether a measurement is the other's, but without an adapter."""
    if (one.probe, one.model, one.judge) != (other.probe, other.model, other.judge):
        return False
    if _load(one).get(BY):
        return False
    config, load = other.answers["config"], _load(other) | {BY: ""}
    return not differences(one.answers["config"], config | {"load": load})


def changes(compared: Iterable[tuple[Arm, Compared]]) -> pd.DataFrame:
    """What each tuning changed: every paired measure, before and after.

    `difference` is after minus before over the same items, with its 95 % interval; `p_holm` is
    corrected over all lines of all tunings as in `compare`. `what` is the kind of rows, `at` the
    point of the sweep.
    """
    parts = []
    for arm, one in compared:
        for name, table in one.tables.items():
            sweep = paired_differences.swept(table)
            points = [paired_differences.named(line, sweep) for _, line in table.iterrows()]
            head = {"remedy": arm.name, "probe": one.first.probe, "what": name, "at": points}
            parts.append(table.drop(columns=sweep).assign(**head)[[*head, *_kept(table)]])
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    return whole.rename(columns={"a": "before", "b": "after"}).dropna(axis=1, how="all")


def _kept(table: pd.DataFrame) -> list[str]:
    names = ("measure", "a", "b", "difference", "difference_low", "difference_high")
    return [name for name in (*names, "p", "p_holm", "n", "clusters") if name in table]


def published(
    pairs: Iterable[tuple[Arm, Measurement, Measurement]],
    made: dict[str, dict[str, ProbeReport]],
) -> pd.DataFrame:
    """The papers' own measures before and after, beside what they say of their own models.

    Intervals are of each side; of the difference, see `changes`.
    """
    rows = []
    for arm, before, after in pairs:
        module = catalog.charts(before.probe)
        ours: Callable[[Tables], Iterable[OwnValue]] | None = value("charts", module, "ours")
        if ours is None:
            continue
        sides = [
            {one.what: one for one in ours(made[m.run][m.probe].tables) if one.model == m.model}
            for m in (before, after)
            if m.probe in made.get(m.run, {})
        ]
        if len(sides) < 2:
            continue
        theirs: tuple[PublishedValue, ...] = value("charts", module, "PUBLISHED")
        for what in (w for w in sides[0] if w in sides[1]):
            told = "; ".join(f"{one.model} {one.value}" for one in theirs if one.what == what)
            columns = {
                f"{name}{end}": getattr(side[what], field)
                for name, side in zip(("before", "after"), sides, strict=True)
                for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
            rows.append({"remedy": arm.name, "measure": what, **columns, "published": told})
    return pd.DataFrame(rows).dropna(axis=1, how="all") if rows else pd.DataFrame()
