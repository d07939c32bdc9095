"""Two runs compared item by item: whether they may be, and by how much they differ.

Only measurements that were made the same way are paired: the model may differ, and what follows
from it (its source, weights, adapter and revision), but no option, source or way of loading.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mdlm_probe.analysis import frames
from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis.pairing import Pairing, Pairs, Points
from mdlm_probe.core import catalog, columns
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.core.options import Traits
from mdlm_probe.core.run_folder import differences
from mdlm_probe.reports.compare import forest
from mdlm_probe.reports.compare.sides import (
    SHOWN,
    Measurement,
    Pair,
    disjoint,
    gathered,
    measurements,
    partners,
)

MODELS = {"model", "source", "revision", "adapter"}
"""Settings that make the difference that is asked for."""


@dataclass(frozen=True)
class Compared:
    """One pair of measurements and how they differ.

    Attributes:
        first, second: A and B.
        tables: lines by what is compared; "" where a probe has one such thing. Differences are
            B minus A; the columns are those of `_pairing.compared`, and p_holm: corrected by
            Holm's method, whole sweeps for all of all pairs that were compared together, points for
            the points of their measure.
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

    def figure(self) -> Figure:
        """Differences with their intervals, a panel a measure."""
        return forest.forest(self.tables, self.title, *self.models)


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
    sides, notes = [], []
    for letter, place in zip("AB", (first, second), strict=True):
        found, said = measurements(place)
        cut = {id(m): columns[0] for m in found if (columns := _cut(m))}
        sides.append([m for m in found if id(m) not in cut])
        said += [
            f"{m.name} is damaged: it has no column '{cut[id(m)]}'" for m in found if id(m) in cut
        ]
        notes += [f"{letter}: {note}" for note in said]
    try:
        pairs, alone = partners(sides[0], sides[1], probes, models)
    except ProbeError as error:
        said = [error.found, *notes]
        raise ProbeError("\n".join(said), expected=error.expected, hint=error.hint) from None
    _check_known(pairs, across)
    _check_same(pairs, across)
    compared: list[Compared] = []
    damaged: list[ProbeError] = []
    for pair in pairs:
        try:
            compared.append(_compared(*pair, across, points))
        except ProbeError as error:
            damaged.append(error)
    if not compared:
        raise damaged[0]
    tables = [table for one in compared for table in one.tables.values()]
    if not tables:
        raise ProbeError(
            "no item was measured on both sides",
            expected="runs of the same items: equal --tasks, --limit, positions, ...",
            hint="; ".join(note for one in compared for note in one.notes),
        )
    left = iter(_pairing.corrected(tables))
    done = [replace(one, tables={name: next(left) for name in one.tables}) for one in compared]
    return done, [*notes, *alone, *(error.found for error in damaged)]


def _cut(one: Measurement) -> list[str]:
    """Columns that name items and aren't there, or hold nothing."""
    names = {name for pairing in pairings(one.probe, one.frame) for name in pairing.item}
    return sorted(n for n in names if n not in one.frame or one.frame[n].isna().all())


def _compared(
    first: Measurement, second: Measurement, across: Sequence[str], points: Points
) -> Compared:
    free = {name.rpartition(".")[2] for name in across}
    keys = [name for name in comparable(first.probe) if name not in free]
    tables, notes = {}, _notes(first, second)
    try:
        for given in pairings(first.probe, first.frame):
            pairing = replace(given, by=tuple(name for name in given.by if name not in free))
            both = _pairing.pair(first.frame, second.frame, pairing, keys)
            table = _pairing.lines(both, pairing, points)
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


def pairings(probe: str, frame: pd.DataFrame) -> tuple[Pairing, ...]:
    """What is compared of a probe: as its report says, or every number of every cell."""
    report = catalog.load("report", probe) if probe in catalog.names("report") else None
    found: tuple[Pairing, ...] = getattr(report, "PAIRED", ())
    return found or (_pairing.plain(frame, coordinates(probe)),)


def coordinates(probe: str) -> list[str]:
    """The coordinates of a probe's cells; none of what isn't a probe, such as verdicts."""
    if probe not in catalog.names("probe"):
        return []
    return list(columns.names(catalog.coordinates(probe)))


def comparable(probe: str) -> list[str]:
    """Coordinates that must be equal: all but names of files, which may have moved.

    The hashes in `sources` say whether these are the same.
    """
    if probe not in catalog.names("probe"):
        return []
    return [column.name for column in catalog.coordinates(probe) if not column.file]


def amounts(probe: str) -> set[str]:
    """Options that only say how much is measured; none of what this version doesn't know."""
    return {name for name, traits in _traits(probe).items() if traits.amount}


def unbinding(probe: str) -> set[str]:
    """Options that may differ: amounts, and those that change no number or are hashed."""
    return amounts(probe) | {name for name, traits in _traits(probe).items() if traits.uncompared}


def _traits(probe: str) -> dict[str, Traits]:
    known = (*catalog.names("probe"), catalog.JUDGE)
    return catalog.traits(probe) if probe in known else {}


def _notes(first: Measurement, second: Measurement) -> list[str]:
    """What both sides needn't have in common, but a reader should know if they don't."""
    facts = [m.facts for m in (first, second)]
    notes = []
    weights = [f.get("weight_hash", "none") for f in facts]
    if weights[0] == weights[1] != "none":
        notes.append("both sides have the same weights")
    tokenizers = [f.get("files", {}).get("tokenizer.json") for f in facts]
    if all(tokenizers) and tokenizers[0] != tokenizers[1]:
        notes.append("the tokenizers differ: what is by token is by other tokens")
    if len({f.get("chat", False) for f in facts}) > 1:
        chat, text = "AB" if facts[0].get("chat") else "BA"
        notes.append(f"{chat} is asked in chat messages, {text} in plain text: see --style")
    if sum(map(bool, map(_scorer, (first.answers, second.answers)))) == 1:
        notes.append("only one side has a scorer: likelihoods aren't compared")
    return notes


# ---------------------------------------------------------------------- sameness


def _check_known(pairs: Sequence[Pair], across: Sequence[str]) -> None:
    """Refuses names of what no measurement has, or of what tells items apart."""
    items = {
        name
        for first, _ in pairs
        for pairing in pairings(first.probe, first.frame)
        for name in pairing.item
    }
    known = dict.fromkeys(name for pair in pairs for name in _settings(*pair) if name not in items)
    for given in across:
        if any(name == given or name.endswith(f".{given}") for name in known):
            continue
        if given in items:
            raise ProbeError(
                f"--across {given}: items are told apart by it, and must be the same on both sides",
                expected="one of " + ", ".join(sorted(known)),
            )
        raise catalog.unknown("setting", given, sorted(known))


def _settings(first: Measurement, second: Measurement) -> list[str]:
    """Names of what may differ if asked for: settings, and coordinates that no option has."""
    named = []
    for one in (first, second):
        options = {name: 0 for name in _options_of(one) if name not in unbinding(one.probe)}
        named += _leaves(_alike(one.entry, one.entry, one.probe)[0] | {"options": options})
        if one.judge:
            named += _leaves(_alike(one.judged, one.judged, one.judged_probe)[0], "answers")
    cells = comparable(first.probe)
    named += [name for name in cells if f"options.{name}" not in named]
    return [name for name in named if name != "probe"]


def _leaves(value: Any, at: str = "") -> list[str]:
    if not isinstance(value, dict):
        return [at]
    return [
        leaf
        for name, part in value.items()
        for leaf in _leaves(part, f"{at}.{name}" if at else name)
    ]


def _check_same(pairs: Sequence[Pair], across: Sequence[str]) -> None:
    """Refuses pairs that weren't made the same way, with every difference."""
    found, flags = [], ""
    for first, second in pairs:
        lines = [line for line in unlike(first, second) if not _allowed(line, across)]
        if lines:
            flags = flags or _remedy(first, second, lines)
            found += [f"  {first.of}, {first.model} and {second.model}:"]
            found += [f"    {line}" for line in gathered(lines)]
    if found:
        name = found[1].partition(":")[0].partition(",")[0].strip()
        anew = flags or "one side anew with the other's options"
        raise ProbeError(
            "not measured the same way (A -> B):\n" + "\n".join(found),
            hint=f"measure {anew} (checkpoints may have defaults of their own), or let a setting"
            f" differ: --across {name}",
        )


def _remedy(first: Measurement, second: Measurement, lines: Sequence[str]) -> str:
    """Which side to measure anew, and with which options; "" where no option would do."""
    for side, one, other in (("B", second, first), ("A", first, second)):
        ours, theirs = (_options_of(m) | _load(m.entry) for m in (one, other))
        paths = [line.partition(":")[0] for line in lines]
        names = [path.rpartition(".")[2] for path in paths]
        # a source of the same name differs by another option, such as the lexicon
        same = {n for n, path in zip(names, paths, strict=True) if path.startswith("sources.")}
        names = [n for n in names if n not in same or ours.get(n) != theirs.get(n)]
        names += [n for n in sorted(amounts(one.probe)) if theirs.get(n) not in (None, ours.get(n))]
        given = {name: theirs.get(name) for name in dict.fromkeys(names)}
        if one.judge or not given or any(value in (None, "") for value in given.values()):
            continue
        flags = [
            f"--{name.replace('_', '-')} "
            + (",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
            for name, value in given.items()
        ]
        return f"{side}, {one.name}, anew with {' '.join(flags)}"
    return ""


def _allowed(line: str, across: Sequence[str]) -> bool:
    """Whether a difference was asked for, by its full name or the end of it."""
    path = line.partition(":")[0]
    ends = [name.rpartition(".")[2] for name in across]
    return any(path == n or path.endswith(f".{n}") for n in across) or path in ends


def unlike(first: Measurement, second: Measurement) -> list[str]:
    """What differs between two measurements and shouldn't: `setting: A -> B`, one line each.

    Lists of what is swept, and how much of it, may differ: items that only one side has are left
    out. So may settings that choose nothing for themselves, where the cells came out the same.
    """
    ours, theirs = _alike(first.entry, second.entry, first.probe)
    lines = differences(ours, theirs)
    if first.judge:
        ours, theirs = _alike(first.judged, second.judged, first.judged_probe)
        lines += differences(ours, theirs, "answers")
    named = {line.partition(":")[0].rpartition(".")[2] for line in lines}
    free = {name for pairing in pairings(first.probe, first.frame) for name in pairing.free}
    cells = [n for n in comparable(first.probe) if n not in named | free]
    return lines + disjoint(first.frame, second.frame, cells)


def _alike(first: dict[str, Any], second: dict[str, Any], probe: str) -> list[dict[str, Any]]:
    """Of two entries of run.json, the settings that must be equal."""
    configs = [entry.get("config", {}) for entry in (first, second)]
    hashes = [config.get("sources", {}) for config in configs]
    options = [_options(config, probe) for config in configs]
    dropped = unbinding(probe) | (hashes[0].keys() & hashes[1].keys())
    cells = coordinates(probe)
    for name in options[0].keys() | options[1].keys():
        values = [given.get(name) for given in options]
        swept = any(isinstance(value, (list, tuple)) for value in values)
        if swept or (None in values and name in cells):  # the cells say what came of it
            dropped = dropped | {name}
    loads = [_load(entry) for entry in (first, second)]
    scorers = [_scorer(entry) for entry in (first, second)]
    judges = [entry.get("facts", {}) for entry in (first, second)]
    apart = {"options", "load", "sources", "of", *MODELS}
    return [
        {name: value for name, value in config.items() if name not in apart}
        | {"options": {n: v for n, v in given.items() if n not in dropped}, "sources": sources}
        | {"load": {name: load[name] for name in loads[0].keys() & loads[1].keys()}}
        | ({"scorer": scorer} if all(scorers) else {})
        | {"judge_facts": facts}
        for config, given, sources, load, scorer, facts in zip(
            configs, options, hashes, loads, scorers, judges, strict=True
        )
    ]


def _options_of(one: Measurement) -> dict[str, Any]:
    return _options(one.entry.get("config", {}), one.probe)


def _options(config: dict[str, Any], probe: str) -> dict[str, Any]:
    """A measurement's options; those that its version didn't have are at their defaults."""
    given: dict[str, Any] = config.get("options", {})
    if probe not in catalog.names("probe"):
        return given
    known = inspect.signature(catalog.load("probe", probe).plan).parameters
    return {name: p.default for name, p in known.items()} | given


def _load(entry: dict[str, Any]) -> dict[str, Any]:
    """How a model was loaded, with the number format and the device that "auto" came to."""
    load = {"rope_scale": 1.0} | entry.get("config", {}).get("load", {})
    facts, unlike = entry.get("model", {}), set(MODELS)
    if facts.get("weight_hash", "none") == "none":  # without weights there is no choice
        unlike |= {"dtype", "device", "quantize"}
    else:
        load |= {"dtype": facts["dtype"], "device": str(facts["device"]).partition(":")[0]}
    return {name: value for name, value in load.items() if name not in unlike}


def _scorer(entry: dict[str, Any]) -> dict[str, Any]:
    """Who gave likelihoods; nothing where nobody did."""
    scorer = entry.get("scorer") or {}
    return {name: scorer[name] for name in ("name", "weight_hash") if name in scorer}


# ---------------------------------------------------------------------- files


def save(folder: Path, found: Sequence[Compared]) -> list[Path]:
    """Writes compare.csv, and a picture of each pair; returns the paths.

    PNG, and SVG, too, of a single pair: SVG takes as long again, and of many pairs few are printed.

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
            if len(drawn) == 1:
                paths += frames.save(folder, name, {"": one.figure()}, {})
            else:
                paths.append(path := folder / f"{name}.png")
                one.figure().savefig(path, dpi=100)
    except OSError as error:
        raise unusable(path, error) from error
    return paths


def whole(found: Sequence[Compared]) -> pd.DataFrame:
    """All lines of all tables, with what they are of."""
    parts = []
    for one in found:
        for name, table in one.tables.items():
            head = {"run": one.title, "what": name, "model_a": one.first.model}
            head |= {"model_b": one.second.model}
            sweep = _pairing.swept(table)
            named = table.drop(columns=sweep).assign(
                point=[_pairing.named(line, sweep) for _, line in table.iterrows()]
            )
            parts.append(named.assign(**head)[[*head, "point", *table.columns[len(sweep) :]]])
    return pd.concat(parts, ignore_index=True)
