"""The command `probes`: which probes there are, and what each asks."""

from __future__ import annotations

import click

from mdlm_probe.cli.show import echo_table
from mdlm_probe.core import catalog


@click.command(name="probes")
def command() -> None:
    """Lists the probes and the question that each answers.

    Example: mdlm-probe probes
    """
    rows = catalog.questions()
    echo_table(("probe", "question"), rows)
