"""What is exported, and what of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of
from mdlm_probe.reports.probe_report import ProbeReport


class Lacking(ProbeError):
    """The error for a format that these runs hold nothing for; the others are made all the same."""


@dataclass(frozen=True)
class ExportedRun:
    """A run folder as exports see it.

    Attributes:
        name: its name in a study; "" for a run by itself.
        folder: where its CSVs are.
        entries: of run.json, by measurement.
        made: rows, tables and figures, by probe.
    """

    name: str
    folder: Path
    entries: dict[str, dict[str, Any]]
    made: dict[str, ProbeReport]

    def file(self, name: str) -> str:
        """The path of an exported file: a study's runs have a folder each."""
        return f"{self.name}/{name}" if self.name else name

    def measurements(self, probe: str) -> dict[str, dict[str, Any]]:
        """The entries of a probe."""
        return {name: e for name, e in self.entries.items() if probe_of(name, e) == probe}

    def csvs(self, probe: str) -> dict[str, list[str]]:
        """The names of a probe's CSVs, of all its models, by kind of rows, the main one first.

        Without those of kinds that a model's run doesn't have, since the probe has them only now.
        """
        found: dict[str, list[str]] = {}
        for name in self.measurements(probe):
            for kind, file in catalog.csv_names(probe, name).items():
                found.setdefault(kind, []).extend([file] * (self.folder / file).exists())
        return found


@dataclass(frozen=True)
class ExportRequest:
    """What a user wants exported, and where to.

    Attributes:
        rows, tables: which of the two, where a format has both.
        project, name, entity: of a tracker; "" leaves the choice to it, or to the run.
        folder: for what a tracker keeps on this machine.
        safe: whether texts that a spreadsheet would run are neutralised, in CSV.
        columns: of LaTeX tables, in this order; (): all of them.
        baseline: a run that cards compare with; None: none.
        across: settings in which the baseline may differ.
        push: a repository of the Hub that a card goes to; "": none.
        push_dataset: one of a data set that the folder goes to; "": none.
        public: whether everybody may read that.
    """

    rows: bool = True
    tables: bool = True
    project: str = "mdlm-probe"
    name: str = ""
    entity: str = ""
    folder: Path = Path()
    safe: bool = False
    columns: tuple[str, ...] = ()
    baseline: Path | None = None
    across: tuple[str, ...] = ()
    push: str = ""
    push_dataset: str = ""
    public: bool = False
