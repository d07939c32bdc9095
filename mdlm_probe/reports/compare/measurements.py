"""The measurements of runs and studies, and which of two sides' are compared with each other."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.observed import Observed, by_kind, count, values, where
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of, run_folders


@dataclass(frozen=True)
class Measurement:
    """One probe's rows of one model.

    Attributes:
        run: its name within a study; "" outside.
        judge: who judged, where the rows are verdicts; else "".
        frame: the rows; by kind of observation, where the probe has several.
        entry: what run.json says of it.
        judged: what run.json says of the answers that were judged.
    """

    run: str
    probe: str
    model: str
    judge: str
    frame: Observed
    entry: dict[str, Any]
    judged: dict[str, Any]

    @property
    def of(self) -> str:
        """What was measured: the run's or the probe's name, and who judged."""
        return f"{self.run or self.probe}{self.judge and f' by {self.judge}'}"

    @property
    def name(self) -> str:
        """What a person calls it."""
        return f"{self.of} of {self.model}"

    @property
    def answers(self) -> dict[str, Any]:
        """What run.json says of the model's own rows: of the answers, where these are verdicts."""
        return self.judged or self.entry

    @property
    def judged_probe(self) -> str:
        """The probe whose answers were judged, where these are verdicts."""
        return probe_of("", self.judged)

    @property
    def facts(self) -> dict[str, Any]:
        """What run.json says of the model."""
        found: dict[str, Any] = self.answers.get("model", {})
        return found


def measurements(place: Path) -> tuple[list[Measurement], list[str]]:
    """The measurements of a run folder, a study's folder, or one CSV in a run folder; and notes.

    Raises:
        ProbeError: no run there, or no rows.
    """
    if place.suffix == ".csv":
        found, notes = _of_folder("", place.parent, {place.stem})
        if not found:
            raise ProbeError(
                f"{place} is no measurement of a run",
                expected="a CSV that run.json in its folder names, such as locality__tiny-mdlm.csv",
            )
        return found, notes
    found, notes = [], []
    folders = run_folders(place)
    for run, folder in folders.items():
        try:
            own, said = _of_folder(run, folder)
        except ProbeError as error:
            if len(folders) == 1:
                raise
            own, said = [], [error.found]
        found, notes = [*found, *own], [*notes, *said]
    return found, notes


def _of_folder(
    run: str, folder: Path, only: Collection[str] = ()
) -> tuple[list[Measurement], list[str]]:
    by_probe, notes, entries = frames.frames(folder, whole=False)
    found = []
    for name, entry in entries.items():
        config = entry.get("config", {})
        probe = probe_of(name, entry)
        if probe not in by_probe or (only and name not in only):
            continue
        rows, judge = by_probe[probe], config.get("judge", "")
        needed = ("model", *(["judge"] * bool(judge)))
        cut = [
            column for frame in by_kind(rows).values() for column in needed if column not in frame
        ]
        if cut:
            notes.append(f"{name} is damaged: it has no column '{cut[0]}'")
            continue
        rows = _verdicts(rows, judge, between_models(entry)) if judge else rows
        models = [config["model"]] if "model" in config else values(rows, "model")
        for model in models:
            own = where(rows, "model", model)
            if count(own):
                judged = _judged(entries, model) if judge else {}
                who = f"{judge} between models" if between_models(entry) else judge
                found.append(Measurement(run, probe, model, who, own, entry, judged))
            elif not any(note.startswith(f"{name} ") for note in notes):
                notes.append(f"{name} has no rows of {model}: it failed, or has only begun")
    named = [note for note in notes if not only or note.partition(" ")[0] in only]
    return found, named


def between_models(entry: dict[str, Any]) -> bool:
    """Whether a measurement's verdicts are on models against each other."""
    return "against" in entry.get("config", {}).get("options", {})


def _verdicts(rows: Observed, judge: str, models: bool) -> Observed:
    """A judge's verdicts of one kind: on models, or on a model's own answers."""
    own = where(rows, "judge", judge)
    if not isinstance(own, pd.DataFrame) or "against" not in own:
        return own
    return own[own["against"].notna() == models].reset_index(drop=True)


def _judged(entries: dict[str, dict[str, Any]], model: str) -> dict[str, Any]:
    """What run.json says of the answers of a model that were judged."""
    for entry in entries.values():
        if entry.get("config", {}).get("model") == model:
            return entry
    return {}


Pair = tuple[Measurement, Measurement]


def partners(
    first: Sequence[Measurement],
    second: Sequence[Measurement],
    probes: Sequence[str] = (),
    models: Sequence[tuple[str, str]] = (),
) -> tuple[list[Pair], list[str]]:
    """Measurements of the same probe side by side, and notes on those without a partner.

    A probe's only models are a pair whatever their names, others if their names are equal.

    Args:
        first, second: of each side.
        probes: those wanted; (): all.
        models: pairs by hand, instead.

    Raises:
        ProbeError: nothing to pair.
    """
    sides = [[m for m in side if not probes or m.probe in probes] for side in (first, second)]
    runs = all(any(m.run for m in side) for side in sides)
    keys = [[(m.run if runs else "", m.probe, m.judge) for m in side] for side in sides]
    pairs: list[Pair] = []
    for key in dict.fromkeys(keys[0]):
        ours, theirs = (
            [m for m, own in zip(side, names, strict=True) if own == key]
            for side, names in zip(sides, keys, strict=True)
        )
        names = [{m.model for m in ms} for ms in (ours, theirs)]
        if any(len(ms) > len(own) for ms, own in zip((ours, theirs), names, strict=True)):
            raise ProbeError(
                f"several runs of '{key[1]}' on one side",
                hint="name a run's folder instead of the study's: STUDY/RUN",
            )
        alone = not models and len(ours) == len(theirs) == 1
        pairs += [
            (one, other)
            for one in ours
            for other in theirs
            if alone or ((one.model, other.model) in models if models else one.model == other.model)
        ]
    if not pairs:
        listed = [", ".join(m.name for m in side) or "nothing" for side in sides]
        raise ProbeError(
            f"nothing to pair: A has {listed[0]}; B has {listed[1]}",
            expected="the same probe on both sides, on one model each or on models of equal names",
            hint="--model A=B pairs models by hand",
        )
    used = {id(m) for both in pairs for m in both}
    left = [
        f"only in {side}: {m.name}"
        for side, ms in zip("AB", sides, strict=True)
        for m in ms
        if id(m) not in used and not models
    ]
    return pairs, left
