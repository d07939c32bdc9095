"""Whether two measurements were made the same way: their settings in run.json, and their cells.

The model may differ, and what follows from it (its source, weights, adapter and revision), but no
option, source or way of loading.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from mdlm_probe.analysis.observed import Observed, by_kind
from mdlm_probe.analysis.pairing import text_of
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import differences
from mdlm_probe.reports.compare.declarations import (
    amounts,
    comparable,
    freed,
    held,
    pairings,
    unbinding,
)
from mdlm_probe.reports.compare.measurements import Measurement, Pair

MODELS = {"model", "source", "revision", "adapter"}
"""Settings that make the difference that is asked for."""
DAMAGED = "rows are damaged, or of another version"
SHOWN = 4
"""Values of a coordinate that an error names."""


def check_known(pairs: Sequence[Pair], across: Sequence[str]) -> None:
    """Refuses names that no measurement has, and those that tell items apart."""
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
                option="across",
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


def check_same(pairs: Sequence[Pair], across: Sequence[str]) -> None:
    """Refuses pairs that weren't made the same way, with every difference."""
    found, flags = [], ""
    for first, second in pairs:
        lines = [line for line in unlike(first, second) if not _allowed(line, across, first.probe)]
        if lines:
            flags = flags or _remedy(first, second, lines)
            found += [f"  {first.of}, {first.model} and {second.model}:"]
            found += [f"    {line}" for line in _gathered(lines)]
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
        names = [held(one.probe).get(path, path.rpartition(".")[2]) for path in paths]
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


def _allowed(line: str, across: Sequence[str], probe: str) -> bool:
    """Whether a difference was asked for, by its full name, the end of it or its option's."""
    path = line.partition(":")[0]
    return any(path == n or path.endswith(f".{n}") for n in across) or path in freed(probe, across)


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
    options = held(first.probe)
    cells = [n for n in comparable(first.probe) if not {n, options[n]} & named and n not in free]
    return lines + _disjoint(first.frame, second.frame, cells)


def _alike(first: dict[str, Any], second: dict[str, Any], probe: str) -> list[dict[str, Any]]:
    """Of two entries of run.json, the settings that must be equal."""
    configs = [entry.get("config", {}) for entry in (first, second)]
    hashes = [config.get("sources", {}) for config in configs]
    options = [_options(config, probe) for config in configs]
    dropped = unbinding(probe) | (hashes[0].keys() & hashes[1].keys())
    cells = set(held(probe).values())
    for name in options[0].keys() | options[1].keys():
        values = [given.get(name) for given in options]
        swept = any(isinstance(value, (list, tuple)) for value in values)
        if swept or (None in values and name in cells):  # the cells say what came of it
            dropped = dropped | {name}
    loads = [_load(entry) for entry in (first, second)]
    scorers = [scorer_of(entry) for entry in (first, second)]
    judges = [entry.get("facts", {}) for entry in (first, second)]
    apart = {"options", "load", "sources", "of", *MODELS}
    return [
        {name: value for name, value in config.items() if name not in apart}
        | {"options": {n: v for n, v in given.items() if n not in dropped}, "sources": sources}
        | {"load": {name: load[name] for name in loads[0].keys() & loads[1].keys()}}
        | ({"scorer": scorer} if all(scorers) else {})
        | {"judge_facts": {name: facts[name] for name in judges[0].keys() & judges[1].keys()}}
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


def scorer_of(entry: dict[str, Any]) -> dict[str, Any]:
    """Who gave likelihoods; nothing where nobody did."""
    scorer = entry.get("scorer") or {}
    return {name: scorer[name] for name in ("name", "weight_hash") if name in scorer}


def _texts(rows: Observed, name: str) -> list[str]:
    """The different values of a coordinate as text, an empty one among them."""
    return [text_of(v) for frame in by_kind(rows).values() for v in frame[name].unique()]


def _gathered(lines: Sequence[str]) -> list[str]:
    """The lines, those that say the same of several names in one: `a, b: only in A; ...`."""
    names: dict[str, list[str]] = {}
    for line in lines:
        name, _, said = line.partition(": ")
        names.setdefault(said if DAMAGED in said else line, []).append(name)
    return [
        f"{', '.join(same)}: {said}" if DAMAGED in said else said for said, same in names.items()
    ]


def _disjoint(first: Observed, second: Observed, names: Sequence[str]) -> list[str]:
    """Coordinates of which the sides share no value, one line each."""
    lines = []
    for name in names:
        lacking = [
            any(name not in frame for frame in by_kind(side).values()) for side in (first, second)
        ]
        if any(lacking):
            has, lacks = "BA" if lacking[0] else "AB"
            lines.append(f"{name}: only in {has}; {lacks}'s {DAMAGED}")
            continue
        values = [list(dict.fromkeys(_texts(side, name))) for side in (first, second)]
        if not set(values[0]) & set(values[1]):
            told = [", ".join(v[:SHOWN]) + ", ..." * (len(v) > SHOWN) for v in values]
            lines.append(f"{name}: {told[0]} -> {told[1]}")
    return lines
