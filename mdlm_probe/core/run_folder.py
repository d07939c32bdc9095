"""Run folders: CSVs, and run.json, which says what their rows are; studies have several.

A run folder holds one `PROBE__MODEL.csv` per measurement, or several where a probe has several
kinds of rows, and one run.json for all. Rows are written a group of cells at a time, in the order
of the plan, and a small seal file beside the CSVs says up to which byte the groups are whole.
Whatever stops a process, the next one cuts the files there and resumes: that equals never having
stopped, byte for byte.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mdlm_probe.core import run_shape
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import exclusive, unusable, write_json
from mdlm_probe.core.seal import seal_path

RUN = "run.json"
STUDY = "study.json"
LOCKS = ".locks"
"""Folder of the files that keep a second process out."""
WAIT = 30.0
"""Seconds that others may take to write run.json."""


class RunFolder:
    """A run folder: run.json, and a lock for each measurement that keeps a second process out.

    Others may measure something else into the same folder at the same time.

    run.json maps "PROBE__MODEL" to {"status": "started" | "finished", "config": ..., ...}.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder, self._fresh = folder, fresh
        try:
            self.entries: dict[str, dict[str, Any]] = _entries(folder)
            if not all(isinstance(entry, dict) for entry in self.entries.values()):
                raise ProbeError(
                    f"{folder / RUN} is not a run of this tool", expected="measurements by name"
                )
        except ProbeError:
            if not fresh or _is_json(folder / RUN):  # another program's file is not ours to forget
                raise
            self.entries = {}

    @classmethod
    @contextmanager
    def locked(cls, folder: Path, name: str, *, fresh: bool = False) -> Iterator[RunFolder]:
        """The folder, created if absent, and one measurement in it for this process alone.

        Args:
            folder: the run's.
            name: the measurement's.
            fresh: forget its old rows.

        Raises:
            ProbeError: another process measures it, or the folder can't be used.
        """
        with exclusive(folder, f"{LOCKS}/{name}.lock", f"writing '{name}' to {folder}"):
            yield cls(folder, fresh=fresh)

    def path(self, name: str) -> Path:
        """The CSV of a measurement."""
        return self.folder / f"{name}.csv"

    def begin(
        self,
        name: str,
        entry: dict[str, Any],
        path: Path | None = None,
        others: Sequence[Path] = (),
    ) -> dict[str, Any]:
        """Starts or continues a measurement; returns its entry in run.json.

        Args:
            name, entry: of the measurement; `entry` holds its `config`.
            path: the file it writes, unless that is its CSV.
            others: further files that it writes.

        Raises:
            ProbeError: its configuration differs from the one recorded; the differences are shown.
        """
        path = path or self.path(name)
        if self._fresh:
            for file in (seal_path(path), *others, path):
                file.unlink(missing_ok=True)
            self.entries.pop(name, None)
        known = self.entries.get(name)
        if known is not None and (wrong := run_shape.fault(name, known)):
            raise ProbeError(
                f"{self.folder / RUN} is damaged: of '{name}', {wrong}",
                hint="--fresh starts over; --output DIR writes elsewhere",
            )
        if known is None or not any(file.exists() for file in (path, *others)):
            # what has no rows binds nobody
            if left := next((file for file in (path, *others) if file.exists()), None):
                raise ProbeError(
                    f"{left} is there, but {RUN} doesn't say what its rows are",
                    hint="--fresh starts over; --output DIR writes elsewhere",
                )
            self.entries[name] = {"status": "started", **entry}
            self._save(name)
            return self.entries[name]
        found = differences(known.get("config", {}), entry["config"])
        if found:
            raise ProbeError(
                f"{self.folder / RUN} holds '{name}' with another configuration:\n"
                + "\n".join(f"  {line}" for line in found),
                hint="--output DIR keeps both; --fresh starts over; the recorded options continue",
            )
        return known

    def update(self, name: str, **fields: Any) -> None:
        """Adds to a measurement's entry, and saves."""
        self.entries[name].update(fields)
        self._save(name)

    def _save(self, name: str) -> None:
        """Writes a measurement's entry into run.json, at once or not at all; others' stay."""
        lock = f"{LOCKS}/{RUN}.lock"
        with exclusive(self.folder, lock, f"writing {self.folder / RUN}", WAIT):
            try:
                entries = _entries(self.folder)
            except ProbeError:
                if not self._fresh:
                    raise
                entries = {}
            self.entries = {**entries, name: self.entries[name]}
            write_json(self.folder / RUN, self.entries, sort_keys=True)


def read_run(folder: Path) -> dict[str, dict[str, Any]]:
    """What run.json of a folder says, but for damaged measurements; nothing if there is none yet.

    Checkpoints of a training come in the order of its steps.

    Raises:
        ProbeError: an unreadable file.
    """
    found = _entries(folder)
    return _in_order({n: entry for n, entry in found.items() if not run_shape.fault(n, entry)})


def _in_order(entries: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Entries in their order, but those of a training by its steps, where its first one stands."""
    firsts: dict[tuple[str, str], int] = {}
    places: dict[str, tuple[int, int]] = {}
    for place, (name, entry) in enumerate(entries.items()):
        training, step = training_of(entry) or (name, 0)
        places[name] = firsts.setdefault((probe_of(name, entry), training), place), step
    return {name: entries[name] for name in sorted(entries, key=places.__getitem__)}


def damaged(folder: Path) -> dict[str, str]:
    """The measurements of a folder whose part of run.json can't be used, and why.

    Raises:
        ProbeError: an unreadable file.
    """
    found = {name: run_shape.fault(name, entry) for name, entry in _entries(folder).items()}
    return {name: wrong for name, wrong in found.items() if wrong}


def _entries(folder: Path) -> dict[str, Any]:
    path = folder / RUN
    if not path.exists():
        return {}
    try:
        entries: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ProbeError(f"{path} is no valid JSON: {error}", hint="--fresh starts over") from None
    if not isinstance(entries, dict):
        raise ProbeError(f"{path} is not a run of this tool", expected="measurements by name")
    return dict(entries)


def probe_of(name: str, entry: Mapping[str, Any]) -> str:
    """The probe that a measurement of run.json is of."""
    return entry.get("config", {}).get("probe") or name.partition("__")[0]


def training_of(entry: Mapping[str, Any]) -> tuple[str, int] | None:
    """The path of the training that a measured checkpoint is of, and its step; None of others."""
    found = entry.get("training", {})
    if "training" not in found or "step" not in found:
        return None
    return found["training"], found["step"]


def read_study(folder: Path) -> dict[str, Any]:
    """What study.json of a folder says; nothing if there is none, or a damaged one.

    Its "runs", where it has any, map names to what is known of each.
    """
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads((folder / STUDY).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            runs = found.get("runs", {})
            known = runs.items() if isinstance(runs, dict) else ()
            return found | {"runs": {n: run for n, run in known if isinstance(run, dict)}}
    return {}


def write_study(folder: Path, found: Mapping[str, Any]) -> None:
    """Writes study.json at once or not at all.

    Args:
        folder: the study's.
        found: "study", its name; "source", its file's text; "runs", what is known of each, by name.

    Raises:
        ProbeError: the file can't be written.
    """
    write_json(folder / STUDY, found)


def run_folders(folder: Path) -> dict[str, Path]:
    """The run folders of a folder: itself, named "", or those in it, by name.

    A study's come in its own order (study.json), others by name.

    Raises:
        ProbeError: there is none.
    """
    if (folder / RUN).exists():
        return {"": folder}
    names = sorted(path.parent.name for path in folder.glob(f"*/{RUN}"))
    if not names:
        raise ProbeError(
            f"no run in {folder}",
            expected="a folder with a run.json, as `mdlm-probe PROBE --output FOLDER` writes it, or"
            " a study's folder",
        )
    order = list(read_study(folder).get("runs", {}))
    names.sort(key=lambda name: order.index(name) if name in order else len(order))
    return {name: folder / name for name in names}


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    return True


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Where two configurations differ, one line per setting: `name: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in sorted(old.keys() | new.keys())
            for line in differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        ]
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    return [] if same else [f"{at}: {json.dumps(old)} -> {json.dumps(new)}"]
