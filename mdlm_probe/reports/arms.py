"""The tunings of a study: what was trained, and which measurements are of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import differences, read_study
from mdlm_probe.models import _slack
from mdlm_probe.reports.compare.measurements import Measurement
from mdlm_probe.tuning import training_log

BY = "adapter"
"""The setting of a measurement that tells it from the one without the remedy."""


@dataclass(frozen=True)
class Arm:
    """One tuning of a study.

    Attributes:
        name: of its run.
        objective, model: what was trained, by what.
        training_steps, trained_tokens, seconds: of the training; tokens as they went through the
            network.
        patterns_seen: of an objective that hides each of so many patterns in turn, the share that
            had its turn; else None.
    """

    name: str
    objective: str
    model: str
    training_steps: int
    trained_tokens: int
    seconds: float
    patterns_seen: float | None


@dataclass(frozen=True)
class ArmPair:
    """A measurement without an arm's adapter and the same with it."""

    arm: Arm
    before: Measurement
    after: Measurement


def arms(folder: Path) -> list[Arm]:
    """The finished tunings of a study."""
    return [arm for name in tunings(folder) if (arm := arm_of(folder / name))]


def tunings(folder: Path) -> list[str]:
    """Names of a study's runs that train something."""
    known = read_study(folder).get("runs", {})
    return [name for name, run in known.items() if run.get("probe") == catalog.TUNE]


def log(folder: Path) -> pd.DataFrame:
    """What training.csv of a tuning says."""
    return pd.read_csv(folder / training_log.NAME)


def arm_of(folder: Path) -> Arm | None:
    """The finished tuning in a folder; None where there is none."""
    try:
        known = _slack.read(folder)
        steps = log(folder)
    except (ProbeError, OSError, ValueError):
        return None
    if known.get("status") != "finished":
        return None
    config = known["config"]
    sums = int(steps["trained_tokens"].sum()), round(float(steps["seconds"].iloc[-1]), 1)
    seen = _patterns_seen(config)
    return Arm(folder.name, config["objective"], config["model"], len(steps), *sums, seen)


def _patterns_seen(config: dict[str, Any]) -> float | None:
    plan = catalog.load("objective", config["objective"]).plan
    own = {name: v for name, v in config["options"].items() if name in signature(plan).parameters}
    patterns = getattr(plan(**own), "patterns", None)
    samples = config["recipe"]["steps"] * config["recipe"]["batch"]
    return min(1.0, samples / patterns) if patterns else None


# ---------------------------------------------------------------------- what was measured with it


def pairs(
    folder: Path, known: Iterable[Arm], found: Iterable[Measurement]
) -> tuple[list[ArmPair], list[str]]:
    """Measurements without and with an arm's adapter; and notes on those of older adapters.

    An adapter is known by its weights: a folder may have been trained anew, or moved.

    Args:
        folder: of the study.
        known: its arms.
        found: its measurements.
    """
    named = {arm.name: arm for arm in known}
    hashes = {name: _slack.adapter_hash(folder / name) for name in named}
    listed, notes = list(found), []
    paired = []
    for after in listed:
        name = Path(_load(after).get(BY) or "").name
        arm = _with_weights(_used(after), name, named, hashes)
        if not arm:
            if name in named:
                notes.append(
                    f"{after.name} is of other weights than '{name}' has now:"
                    " measure it anew with --fresh"
                )
            continue
        before = next((one for one in listed if _same(one, after)), None)
        if before:
            paired.append(ArmPair(arm, before, after))
    return paired, notes


def training_of(one: Measurement, study: Path) -> Arm | None:
    """The tuning whose adapter a measurement used; None where it isn't on this machine any more."""
    adapter = str(_load(one).get(BY) or "")
    for folder in (Path(adapter), study / Path(adapter).name):
        if adapter and _used(one) and folder.is_dir() and _slack.adapter_hash(folder) == _used(one):
            return arm_of(folder)
    return None


def _with_weights(
    used: str, name: str, named: dict[str, Arm], hashes: dict[str, str]
) -> Arm | None:
    """The arm that has the weights which a measurement used: that of the name, if several have."""
    same = [one for one in named if used and hashes[one] == used]
    return named[name if name in same else same[0]] if same else None


def _used(one: Measurement) -> str:
    """The hash of the adapter that a measurement was made with; "" for none."""
    adapter = one.facts.get(BY)
    return str(adapter.get("hash", "")) if isinstance(adapter, dict) else ""


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
