"""The command `compare`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def command(friendly: Callable[..., Any]) -> click.Command:
    """The command, with errors told as `friendly` tells them."""
    return click.Command(
        "compare",
        callback=friendly(callback),
        params=[click.Argument(["run_a"])],
        short_help="Compares two runs, item by item.",
    )


def callback(run_a: str) -> None:
    """To be written."""
