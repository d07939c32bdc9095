"""The command `plan`: what a probe would run and cost, without weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mdlm_probe import catalog
from mdlm_probe.cli.options import MODEL_OPTIONS, RUN_OPTIONS, jobs_of, plan_options
from mdlm_probe.cli.show import show_plans


def plan_command(name: str, friendly: Callable[..., Any]) -> click.Command:
    """The command that says what a probe would cost."""
    probe = catalog.load("probes", name)
    options = plan_options(probe.plan)

    @friendly
    def callback(**given: Any) -> None:
        show_plans(jobs_of(name, [str(o.name) for o in options], given))

    return click.Command(
        name,
        callback=callback,
        # --output and its like change nothing here: any command can be planned as it stands
        params=[*MODEL_OPTIONS[:1], *options, *MODEL_OPTIONS[1:], *RUN_OPTIONS],
        help=f"What `{name}` would run: cells, queries, tokens, operations, memory, time.",
        short_help=catalog.first_line("probes", name),
    )
