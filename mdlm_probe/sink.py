"""The sink: append-only CSV of whole cells, and run.json, which says what the rows are.

A run folder holds one `PROBE__MODEL.csv` a measurement and one run.json for all of them. Rows are
written a group of cells at a time, in the order of the plan, and a small seal file beside the CSV
says up to which byte the groups are whole. Whatever stops a process, the next one cuts the file
there and goes on: resuming equals never having stopped, byte for byte.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mdlm_probe.errors import ProbeError

RUN = "run.json"
STUDY = "study.json"
PLAIN = {"\\": "\\", "n": "\n", "r": "\r", "0": "\0"}
ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\0": "\\0"})

csv.field_size_limit(2**31 - 1)  # the usual 128 KiB would refuse long canvases

Row = Mapping[str, Any]


def text_of(value: Any) -> str:
    """A value as the CSV holds it: floats with 6 significant digits, booleans as 0 and 1, no line
    breaks (backslash escapes instead), nothing for None.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float):
        return format(value, ".6g")
    return str(value).translate(ESCAPES)


def text_from(field: str) -> str:
    r"""The text that a CSV field stands for: the inverse of the sink's escapes, such as `\n`."""
    return re.sub(r"\\(.)", lambda found: PLAIN.get(found[1], found[0]), field)


def lines_of(rows: Iterable[Row], columns: Sequence[str]) -> bytes:
    """Rows as CSV lines. Every row must have exactly the columns."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        assert row.keys() == set(columns), f"columns {sorted(row.keys() ^ set(columns))} differ"
        writer.writerow([text_of(row[name]) for name in columns])
    return out.getvalue().encode()


class Sheet:
    """One CSV file, open for appending groups of whole cells.

    Args:
        path: the file; created with its header if absent.
        columns: all columns; those that name the cell come first.
        cells: the coordinates of every planned cell as the CSV holds them, in order.
        group: cells that are measured and written together.

    Attributes:
        done: planned cells that the file holds, a whole number of groups or all.

    Raises:
        ProbeError: a file that isn't this plan's, is damaged, or can't be written.
    """

    def __init__(
        self, path: Path, columns: Sequence[str], cells: Sequence[tuple[str, ...]], group: int
    ) -> None:
        self.path, self._columns, self._group = path, tuple(columns), group
        self._seal = path.with_suffix(".seal")
        self._header = lines_of([dict(zip(columns, columns, strict=True))], columns)
        try:
            self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        except OSError as error:
            raise unusable(path, error) from error
        try:
            self.done, self._end = self._whole(cells)
            self._file.truncate(self._end)
            self._file.seek(self._end)
            if self._end == 0:
                self._write(self._header)
        except BaseException as error:
            self._file.close()
            if isinstance(error, OSError):
                raise unusable(path, error) from error
            raise

    def append(self, rows: Sequence[Row], cells: int) -> None:
        """Writes the rows of the next `cells` cells, all or nothing.

        Raises:
            ProbeError: when the disk is full, say; the file is as it was before.
        """
        try:
            self._write(lines_of(rows, self._columns))
            self.done += cells
            replace(self._seal, f"{self.done} {self._end}\n")
        except OSError as error:
            raise unusable(self.path, error) from error

    def close(self, *, complete: bool = False) -> None:
        """Closes the file; a complete one needs no seal any more."""
        self._file.close()
        if complete:
            self._seal.unlink(missing_ok=True)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except BaseException:
            with suppress(OSError):
                self._file.truncate(self._end)
                self._file.seek(self._end)
            raise
        self._end += len(data)

    def _whole(self, cells: Sequence[tuple[str, ...]]) -> tuple[int, int]:
        """How many planned cells the file holds in whole groups, and the byte where they end."""
        starts, end = self._scan(cells)
        if not starts:
            return 0, end
        with suppress(OSError, ValueError):
            done, sealed = map(int, self._seal.read_text().split())
            at = starts[done] if done < len(starts) else end
            if done <= len(starts) and sealed == at:
                return done, sealed
        # without a seal the last cell may miss rows, so its group counts only if another follows
        done = (len(starts) - 1) // self._group * self._group
        return done, starts[done]

    def _scan(self, cells: Sequence[tuple[str, ...]]) -> tuple[list[int], int]:
        """The byte where each cell of the file begins, and the end of its last whole line."""
        reader = io.BufferedReader(self._file)  # type: ignore[type-var]
        first = reader.readline()
        starts: list[int] = []
        end, current, width = len(first), None, len(cells[0]) if cells else 0
        if first != self._header:
            if not self._header.startswith(first):
                raise self._foreign("other columns than are to be written")
            end = 0
        for line in reader if end else ():
            if not line.endswith(b"\n"):
                break
            fields = next(csv.reader([line.decode("utf-8", "replace")]), [])
            name = tuple(fields[1 : 1 + width])
            if len(fields) != len(self._columns):
                raise self._foreign(f"{len(fields)} fields at byte {end}")
            if name != current:
                if len(starts) >= len(cells) or name != cells[len(starts)]:
                    raise self._foreign(f"a cell that isn't planned next: {', '.join(name)}")
                starts.append(end)
                current = name
            end += len(line)
        reader.detach()
        return starts, end

    def _foreign(self, what: str) -> ProbeError:
        return ProbeError(
            f"{self.path} holds {what}",
            expected="rows of this very plan, as an earlier run of it left them",
            hint="--fresh starts over; --output DIR writes elsewhere",
        )


def unusable(path: Path, error: OSError) -> ProbeError:
    """The error for a file or folder that the system won't let us use."""
    return ProbeError(
        f"cannot use {path}: {error.strerror or error}",
        expected="a place with free space and leave to write",
        hint="free some space, or choose another --output; rows already written stay",
    )


def replace(path: Path, text: str) -> None:
    """Writes a small file so that readers see the old text or the new one, never a part."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


# ---------------------------------------------------------------------- run folders


@contextmanager
def alone(folder: Path, lock: str, doing: str) -> Iterator[None]:
    """A folder, created if absent, for this process alone.

    Args:
        folder: the folder.
        lock: name of the lock's file in it.
        doing: what another process is said to do that holds the lock.

    Raises:
        ProbeError: another process holds it, or the folder can't be used.
    """
    held = FileLock(folder / lock, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise ProbeError(
            f"another process is {doing}", hint="wait for it, or choose another --output"
        ) from None
    except OSError as error:
        raise unusable(folder, error) from error
    try:
        yield
    finally:
        held.release()


class Run:
    """A run folder: run.json, and a lock that keeps a second process out.

    run.json maps "PROBE__MODEL" to {"status": "started" | "finished", "config": ..., ...}.
    """

    def __init__(self, folder: Path, *, fresh: bool = False) -> None:
        self.folder, self._fresh = folder, fresh
        try:
            self.entries = read_run(folder)
        except ProbeError:
            if not fresh or _is_json(folder / RUN):  # another program's file is not ours to forget
                raise
            self.entries = {}

    @classmethod
    @contextmanager
    def locked(cls, folder: Path, *, fresh: bool = False) -> Iterator[Run]:
        """The folder, created if absent, for this process alone; `fresh` forgets old rows."""
        with alone(folder, "run.lock", f"writing to {folder}"):
            yield cls(folder, fresh=fresh)

    def path(self, name: str) -> Path:
        """The CSV of a measurement."""
        return self.folder / f"{name}.csv"

    def begin(self, name: str, entry: dict[str, Any], path: Path | None = None) -> dict[str, Any]:
        """Starts or continues a measurement; returns its entry in run.json.

        Args:
            name, entry: of the measurement; `entry` holds its `config`.
            path: the file it writes, unless that is its CSV.

        Raises:
            ProbeError: its configuration differs from the one recorded; the differences are shown.
        """
        path = path or self.path(name)
        if self._fresh:
            for file in (path, path.with_suffix(".seal")):
                file.unlink(missing_ok=True)
            self.entries.pop(name, None)
        known = self.entries.get(name)
        if known is None or not path.exists():  # what has no rows binds nobody
            if path.exists():
                raise ProbeError(
                    f"{path} is there, but {RUN} doesn't say what its rows are",
                    hint="--fresh starts over; --output DIR writes elsewhere",
                )
            self.entries[name] = {"status": "started", **entry}
            self.save()
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
        self.save()

    def save(self) -> None:
        """Writes run.json at once or not at all."""
        try:
            replace(self.folder / RUN, json.dumps(self.entries, indent=2, sort_keys=True) + "\n")
        except OSError as error:
            raise unusable(self.folder / RUN, error) from error


def read_run(folder: Path) -> dict[str, dict[str, Any]]:
    """What run.json of a folder says; nothing if there is none yet.

    Raises:
        ProbeError: an unreadable file.
    """
    path = folder / RUN
    if not path.exists():
        return {}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(path, error) from error
    except ValueError as error:
        raise ProbeError(f"{path} is no valid JSON: {error}", hint="--fresh starts over") from None
    if not isinstance(entries, dict) or not all(isinstance(e, dict) for e in entries.values()):
        raise ProbeError(f"{path} is not a run of this tool", expected="measurements by name")
    return entries


def probe_of(name: str, entry: Mapping[str, Any]) -> str:
    """The probe that a measurement of run.json is of."""
    return entry.get("config", {}).get("probe") or name.partition("__")[0]


def read_study(folder: Path) -> dict[str, Any]:
    """What study.json of a folder says; nothing if there is none, or a damaged one.

    Its "runs", where it has any, map names to what is known of each.
    """
    with suppress(OSError, ValueError):
        found = json.loads((folder / STUDY).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            runs = found.get("runs", {})
            known = runs.items() if isinstance(runs, dict) else ()
            return found | {"runs": {n: run for n, run in known if isinstance(run, dict)}}
    return {}


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
    except ValueError:
        return False
    return True


def differences(old: Any, new: Any, at: str = "") -> list[str]:
    """Where two configurations differ, one line a setting: `name: old -> new`."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            line
            for name in sorted(old.keys() | new.keys())
            for line in differences(old.get(name), new.get(name), f"{at}.{name}" if at else name)
        ]
    same = json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)
    return [] if same else [f"{at}: {json.dumps(old)} -> {json.dumps(new)}"]
