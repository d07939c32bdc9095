"""The commands: one for each probe, and one for each file of this folder."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from mdlm_probe.cli.groups import MainGroup
from mdlm_probe.cli.run_probe import probe_command
from mdlm_probe.core.version import __version__

USES = (
    "study: all that a YAML file lists; plan: what it would cost; report, compare, export,"
    " leaderboard, merge: of runs; generate, judge, eval: answers, verdicts, lm-eval's tasks; tune:"
    " remedies; models, probes, tasks, columns: lists"
)
"""All of them in three lines, beside a line for each probe: a screen has 24."""


@click.group(
    cls=MainGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="",  # the heads of the two lists say it: a screen is short
    make=probe_command,
    titles=(
        "Probes: how a masked diffusion model uses its context (begin with `locality`)",
        "Commands (`COMMAND --help`: its options, and an example)",
    ),
    uses=USES,
)
@click.version_option(__version__, prog_name="mdlm-probe")
def main() -> None:
    """How masked diffusion models use context."""


for _path in sorted(Path(__file__).parent.glob("[!_]*.py")):
    main.add_command(importlib.import_module(f"{__name__}.{_path.stem}").command)
