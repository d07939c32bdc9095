"""The command `export`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def command(friendly: Callable[..., Any]) -> click.Command:
    """The command, with errors told as `friendly` tells them."""
    return click.Command(
        "export",
        callback=friendly(callback),
        params=[click.Argument(["run"])],
        short_help="Exports a run's rows and tables.",
    )


def callback(run: str) -> None:
    """To be written."""
