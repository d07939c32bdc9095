"""The command `study`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click


def command(friendly: Callable[..., Any]) -> click.Command:
    """The command, with errors told as `friendly` tells them."""
    return click.Command(
        "study",
        callback=friendly(callback),
        params=[click.Argument(["study"])],
        short_help="Runs every probe that a YAML file lists, on every model.",
    )


def callback(study: str) -> None:
    """To be written."""
