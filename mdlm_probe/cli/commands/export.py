"""The command `export`: a run's rows, tables and figures for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mdlm_probe.cli.completions import format_names, probe_names
from mdlm_probe.cli.options import Commas
from mdlm_probe.cli.screen import echo
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.reports.exports.exported_run import ExportRequest

HELP = """Exports a run's rows and tables, or a study's: files, or a tracker.

\b
parquet, jsonl   rows (PROBE) and tables (PROBE-TABLE), with types
csv              the same for spreadsheets; --safe: no text of a prompt or model is run there
latex, markdown  tables, with intervals and units; --columns: those of LaTeX tables
card             a model card's section and metadata: accuracy per number of masks;
                 --baseline: differences, --push: to the Hugging Face Hub
datapackage      datapackage.json beside the CSVs: every column's type, unit and meaning;
                 --push-dataset: the folder with it to the Hub
wandb, trackio   configuration, tables, estimates and figures, to a tracker

Example: mdlm-probe export results/masks --to parquet,latex,card
"""

OPTIONS = [
    click.Argument(["run"], type=click.Path(path_type=Path)),
    click.Option(
        ["--to"],
        type=Commas(click.STRING),
        multiple=True,
        required=True,
        shell_complete=format_names,
        help="Formats: " + ", ".join(catalog.names("format")) + ".",
    ),
    click.Option(["--output", "-o"], type=click.Path(path_type=Path), help="Default: RUN/export."),
    click.Option(
        ["--probe"],
        type=Commas(click.STRING),
        shell_complete=probe_names,
        help="Probes to export; default: all.",
    ),
    click.Option(
        ["--only"],
        type=click.Choice(["rows", "tables"]),
        help="For parquet, jsonl, csv: rows or tables; default: both. Other formats have no rows.",
    ),
    click.Option(
        ["--safe"],
        is_flag=True,
        help="For csv: texts that begin with =, +, - or @ get an apostrophe before them.",
    ),
    click.Option(
        ["--columns"],
        type=Commas(click.STRING),
        help="For latex: columns of its tables, in this order, narrow enough for a page's column.",
    ),
    click.Option(
        ["--baseline"],
        type=click.Path(path_type=Path),
        metavar="RUN",
        help="For card: run, or CSV of one, of the model without the remedy: what differs from it.",
    ),
    click.Option(
        ["--across"],
        multiple=True,
        metavar="SETTING",
        help="For --baseline: setting that may differ, as for compare; may be repeated.",
    ),
    click.Option(
        ["--push"],
        default="",
        metavar="OWNER/NAME",
        help="For card: model on the Hub whose README gets the section (HF_TOKEN); default: none.",
    ),
    click.Option(
        ["--push-dataset"],
        default="",
        metavar="OWNER/NAME",
        help="For datapackage: data set on the Hub that gets the folder, private; default: none.",
    ),
    click.Option(["--public"], is_flag=True, help="For --push-dataset: everybody may read it."),
    click.Option(
        ["--project"], default="mdlm-probe", help="Project of the tracker; default: mdlm-probe."
    ),
    click.Option(["--name"], default="", help="Run of the tracker; default: the folder's name."),
    click.Option(["--entity"], default="", help="For wandb: a user or team; default: its own."),
]


def callback(
    run: Path,
    to: tuple[tuple[str, ...], ...],
    output: Path | None,
    probe: tuple[str, ...] | None,
    only: str | None,
    project: str,
    name: str,
    entity: str,
    safe: bool,
    columns: tuple[str, ...] | None,
    baseline: Path | None,
    across: tuple[str, ...],
    push: str,
    push_dataset: str,
    public: bool,
) -> None:
    """Exports, and says what was written where."""
    from mdlm_probe.reports import exports

    request = exports.ExportRequest(
        rows=only != "tables",
        tables=only != "rows",
        project=project,
        name=name,
        entity=entity,
        folder=output or run / "export",
        safe=safe,
        columns=columns or (),
        baseline=baseline,
        across=across,
        push=push,
        push_dataset=push_dataset,
        public=public,
    )
    asked = [name for part in to for name in part]
    _check_formats(request, asked, output)
    for line in exports.export(run, asked, request, probe or ()):
        echo(line)


def _check_formats(request: ExportRequest, asked: Sequence[str], output: Path | None) -> None:
    """Refuses options of formats that aren't asked for."""
    given = [
        ("safe", request.safe, "csv", "changes CSV alone"),
        ("columns", request.columns, "latex", "chooses columns of LaTeX tables"),
        ("baseline", request.baseline, "card", "is what a card compares with"),
        ("push", request.push, "card", "pushes a card"),
        ("push-dataset", request.push_dataset, "datapackage", "pushes the folder with it"),
    ]
    for option, used, name, what in given:
        if used and name not in asked:
            raise ProbeError(f"--{option} {what}", expected=f"--to {name}", option=option)
    if output and set(asked) == {"datapackage"}:
        raise ProbeError(
            "datapackage.json stands beside the CSVs that it describes",
            expected="no --output",
            option="output",
        )
    if request.public and not request.push_dataset:
        raise ProbeError(
            "--public is about a data set on the Hub",
            expected="--push-dataset OWNER/NAME",
            option="public",
        )
    if request.across and not request.baseline:
        raise ProbeError("--across is about a baseline", expected="--baseline RUN", option="across")


command = click.Command(
    "export",
    callback=callback,
    params=OPTIONS,
    help=HELP,
    short_help="Exports a run's rows and tables: files, model card, tracker.",
)
