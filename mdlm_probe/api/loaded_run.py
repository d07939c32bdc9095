"""A run in Python: its rows, tables, charts and configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run, run_folders

if TYPE_CHECKING:
    import pandas as pd

    from mdlm_probe.analysis.chart_data import ChartData
    from mdlm_probe.reports.pictures import Picture
    from mdlm_probe.reports.probe_report import ProbeReport


@dataclass(frozen=True)
class Chart:
    """A figure of a report; a notebook shows it.

    Attributes:
        name: of its files.
        data: what is drawn.
        models: all of its run: each has the same colour in every chart.
        masks: how many masks there were, in words.
    """

    name: str
    data: ChartData
    models: tuple[str, ...]
    masks: str

    @cached_property
    def picture(self) -> Picture:
        """The chart, drawn for a screen."""
        from mdlm_probe.reports import pictures

        return pictures.draw(self.data, self.models, self.masks)

    def save(self, path: str | Path) -> Path:
        """Writes a file: SVG, PNG or PDF, as its name ends.

        Raises:
            ProbeError: another ending.
        """
        to, made = Path(path), self.picture
        made_as = {".svg": lambda: made.sized_svg().encode(), ".png": made.png, ".pdf": made.pdf}
        if to.suffix not in made_as:
            raise ProbeError(f"'{to}' ends in '{to.suffix}'", expected=", ".join(made_as))
        to.write_bytes(made_as[to.suffix]())
        return to

    def _repr_svg_(self) -> str:
        return self.picture.svg


class Run:
    """What is in a folder of a run, or of a study: nothing is read before it is asked for.

    Args:
        folder: as `--output` named it.

    Raises:
        ProbeError: there is no run.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._folders = run_folders(self.folder)

    def __repr__(self) -> str:
        return f"Run('{self.folder}')"

    @cached_property
    def runs(self) -> Mapping[str, Run]:
        """The runs of a study by name; of any other folder, itself, named ""."""
        if set(self._folders) == {""}:
            return {"": self}
        return {name: Run(path) for name, path in self._folders.items()}

    def __getitem__(self, name: str) -> Run:
        """A study's run by its name."""
        return self.runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def configuration(self) -> dict[str, Any]:
        """What run.json says of every measurement, by PROBE__MODEL."""
        return read_run(self._own())

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """The rows of all models, by probe, with types; see `load_run` for several kinds of them.

        Raises:
            ProbeError: there are none yet, or they can't be read.
        """
        from mdlm_probe.reports.rows import load_run

        return load_run(self._own())

    @property
    def frame(self) -> pd.DataFrame:
        """The rows of the one probe that was run; of several kinds, the main one's.

        Raises:
            ProbeError: as `frames`; and where the folder has several probes.
        """
        probes = set(self.frames) & {*catalog.names("probe"), catalog.JUDGE}
        if len(probes) > 1:
            raise ProbeError(
                f"{self.folder} has rows of {', '.join(self.frames)}", expected="run.frames[PROBE]"
            )
        return next(iter(self.frames.values()))

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The report's tables by name; PROBE-NAME where the folder has several probes."""
        return {
            self._name(probe, name): table
            for probe, one in self._reports.items()
            for name, table in one.tables.items()
        }

    @property
    def charts(self) -> dict[str, Chart]:
        """The report's charts by name; each probe's main one is called after the probe."""
        return {
            name: Chart(name, data, one.models, one.masks)
            for probe, one in self._reports.items()
            for name, data in (
                (self._name(probe, own) if own else probe, data) for own, data in one.charts.items()
            )
        }

    @cached_property
    def notes(self) -> list[str]:
        """What a reader of the tables should know."""
        return self._made[1]

    def report(self) -> Path:
        """Writes tables, pictures and the page of the folder; returns report.html."""
        from mdlm_probe.reports import html

        runs = html.read(self.folder)
        return html.write(self.folder, runs, "screen", html.changed(self.folder, runs))[-1]

    @cached_property
    def _made(self) -> tuple[dict[str, ProbeReport], list[str]]:
        from mdlm_probe.reports import probe_report

        return probe_report.make(self._own())

    @property
    def _reports(self) -> dict[str, ProbeReport]:
        return self._made[0]

    def _name(self, probe: str, name: str) -> str:
        return name if len(self._reports) == 1 else f"{probe}-{name}"

    def _own(self) -> Path:
        """The folder, if it is a run's own.

        Raises:
            ProbeError: it is a study's.
        """
        if set(self._folders) != {""}:
            raise ProbeError(
                f"{self.folder} holds the runs {', '.join(self._folders)}",
                expected="one of them: run[NAME]",
            )
        return self.folder

    def _repr_html_(self) -> str:
        """The tables that the report prints, for a notebook."""
        if set(self._folders) != {""}:
            return f"<p>{self.folder}: {', '.join(self._folders)}</p>"
        from mdlm_probe.reports.probe_report import shown

        return "".join(
            f"<h4>{probe}: {name}</h4>{table.to_html(index=False, max_rows=20)}"
            for probe, tables in shown(self._reports).items()
            for name, table in tables.items()
            if len(table)
        )
