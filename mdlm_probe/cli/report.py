"""The command `report`: a run's tables and figures, from its CSVs alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mdlm_probe.cli.show import show_report

HELP = """Rebuilds a run's tables and figures from its CSVs alone.

Example: mdlm-probe report results/locality
"""


def command(friendly: Callable[..., Any]) -> click.Command:
    """The command, with errors told as `friendly` tells them."""
    return click.Command(
        "report",
        callback=friendly(callback),
        params=[click.Argument(["folder"], type=click.Path(path_type=Path))],
        help=HELP,
        short_help="Rebuilds a run's tables and figures from its CSVs alone.",
    )


def callback(folder: Path) -> None:
    """Prints the tables, and says which files were written."""
    show_report(folder)
