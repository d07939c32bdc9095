"""A probe's rows, with the text that their fields had, and whether their prompts are still there.

No torch, no tokenizer.
"""

from __future__ import annotations

import csv
import json
import re
from bisect import bisect_right
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from mdlm_probe.analysis.observed import Observed, by_kind
from mdlm_probe.core import catalog
from mdlm_probe.core.columns import read_cell
from mdlm_probe.core.csv_text import text_from
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of
from mdlm_probe.core.whole_lines import WholeLines
from mdlm_probe.prompts.prompt import MASK

STDIN = "the prompts came from the standard input, and are gone"
CHANGED = "the files that the prompts are made of are not those of this run any more"

Fields = dict[str, str]
"""A row as text, by column; "" where the CSV has nothing."""


class _Row(dict[str, str]):
    """A row as text; optional columns that its run doesn't have are empty."""

    def __init__(self, found: Fields, optional: frozenset[str]) -> None:
        super().__init__(found)
        self._optional = optional

    def __missing__(self, name: str) -> str:
        if name in self._optional:
            return ""
        raise KeyError(name)


def readable(prompt: str) -> str:
    """A prompt's text with its masks spelled: `[MASK]`, several in a row as `[MASK] × 50`."""

    def spelled(run: re.Match[str]) -> str:
        return "[MASK]" if len(run[0]) == 1 else f"[MASK] × {len(run[0])}"

    return re.sub(f"{MASK}+", spelled, prompt)


class Rows:
    """The rows of a probe in a run folder.

    A frame has values, and texts as the CSV escapes them. Texts are read from the CSVs.

    Of a probe with several kinds of observation these are the rows of one kind.

    Args:
        folder: the run folder.
        probe: the probe's name.
        rows: its rows, of all models, as `reports` reads them: an index from 0.
        entries: of run.json.
        kind: of observation; "": the main one.
    """

    def __init__(
        self,
        folder: Path,
        probe: str,
        rows: Observed,
        entries: dict[str, dict[str, Any]],
        kind: str = "",
    ) -> None:
        self.folder, self.probe, self.entries = folder, probe, entries
        self._kinds = by_kind(rows)
        self._kind = kind or next(iter(self._kinds))
        self.frame = self._kinds[self._kind]
        self._changed: dict[str, str] = {}
        self._json = catalog.columns_of_type(probe, list)
        known = catalog.columns(probe) if probe in catalog.names("probe") else ()
        self._optional = frozenset(column.name for column in known if column.optional)
        self._tables = self._read()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of observation that the probe has, the main one first."""
        return tuple(self._kinds)

    def of_kind(self, kind: str) -> Rows:
        """The rows of another kind of observation."""
        return Rows(self.folder, self.probe, self._kinds, self.entries, kind)

    def fields(self, at: int) -> Fields:
        """The row of this number as text."""
        if not self._tables:
            return {str(name): _text(value) for name, value in self.frame.iloc[at].items()}
        starts = [start for start, _ in self._tables]
        start, lines = self._tables[bisect_right(starts, at) - 1]
        row, plain = lines.row(at - start), self._json
        found = {name: text if name in plain else text_from(text) for name, text in row.items()}
        return _Row(found, self._optional)

    def cell(self, at: int) -> Any:
        """The cell of a row.

        Raises:
            KeyError, ValueError: rows of a version that had other coordinates.
        """
        row, probe = self.fields(at), catalog.load("probe", self.probe)
        return read_cell(probe.Cell, row)

    def entry(self, model: str) -> dict[str, Any]:
        """What run.json says of the probe on a model; nothing if it doesn't."""
        for entry in self.entries.values():
            config = entry.get("config", {})
            if config.get("probe") == self.probe and str(config.get("model")) == model:
                return entry
        return {}

    def about(self, model: str) -> dict[str, Any]:
        """The model's entry in the registry as it was then, such as its kind."""
        known: dict[str, Any] = self.entry(model).get("model", {}).get("entry", {})
        return known

    def causal(self, model: str) -> bool:
        """Whether it is a causal model."""
        return self.about(model).get("kind") == "causal"

    def changed(self, model: str) -> str:
        """Why a model's prompts can't be made again; empty if they can."""
        config = self.entry(model).get("config", {})
        name = json.dumps([config.get("options"), config.get("sources")], sort_keys=True)
        if name not in self._changed:
            self._changed[name] = self._why(config)
        return self._changed[name]

    def _why(self, config: dict[str, Any]) -> str:
        options = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config.get("options", {}).items()
        }
        if "-" in (options.get("prompts"), options.get("data")):
            return STDIN
        try:
            now = catalog.load("probe", self.probe).sources(**options)
        except ProbeError as error:
            return error.found
        except (TypeError, ValueError, OSError) as error:  # options of another version
            return f"what the prompts are made of can't be checked: {error}"
        return "" if now == config.get("sources") else CHANGED

    def _read(self) -> list[tuple[int, _Lines]]:
        """The rows of each CSV, with the number of its first row in the frame.

        Nothing where it isn't the frame's: a CSV is missing or damaged, or a run was resumed since.
        """
        found, start = [], 0
        for name, entry in self.entries.items():
            if probe_of(name, entry) != self.probe:
                continue
            path = self.folder / catalog.csv_names(self.probe, name)[self._kind]
            if not path.exists():
                continue
            try:
                lines = _Lines(path)
            except OSError:
                return []
            if len(lines):
                found.append((start, lines))
            start += len(lines)
        return found if start == len(self.frame) else []


class _Lines:
    """The rows of a CSV by their numbers: the few that are shown are read, each by itself."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            lines, ends, start = WholeLines(file), [np.array([-1])], 0
            while piece := lines.read(2**24):
                ends.append(start + np.flatnonzero(np.frombuffer(piece, np.uint8) == ord("\n")))
                start += len(piece)
        places = np.concatenate(ends)
        spans = np.stack([places[:-1] + 1, places[1:]], axis=1)
        self._spans = spans[spans[:, 0] < spans[:, 1]]  # no empty lines

    def __len__(self) -> int:
        return max(0, len(self._spans) - 1)

    def row(self, at: int) -> Fields:
        """The row of this number.

        Raises:
            ValueError: it has other fields than the first line.
        """
        with self._path.open("rb") as file:
            heads, fields = (self._fields(file, line) for line in (0, at + 1))
        return dict(zip(heads, fields, strict=True))

    def _fields(self, file: BinaryIO, line: int) -> list[str]:
        start, end = self._spans[line].tolist()
        file.seek(start)
        return next(csv.reader([file.read(end - start).decode()]))


def _text(value: Any) -> str:
    if pd.isna(value):
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else text_from(str(value))
