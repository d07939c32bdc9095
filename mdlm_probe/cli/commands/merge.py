"""The command `merge`: shards of a run, or of a study, into one folder."""

from __future__ import annotations

from pathlib import Path

import click

from mdlm_probe.cli.screen import echo

HELP = """Merges the folders of all shards into one, as if the run had never been cut.

FOLDER is the output of a probe, or of a study, with `--shard I/N`: one for each I. The rows are the
bytes of the whole run, where devices are of one kind. `mdlm-probe report` reads the merged folder.

Example: mdlm-probe merge results/part-1 results/part-2 --output results/whole
"""


def callback(folders: tuple[Path, ...], output: Path) -> None:
    """Merges, and says what."""
    from mdlm_probe.runs import merging

    merging.merge(folders, output, echo)


command = click.Command(
    "merge",
    callback=callback,
    params=[
        click.Argument(["folders"], nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.Option(
            ["--output", "-o"], required=True, type=click.Path(path_type=Path), help="The folder."
        ),
    ],
    help=HELP,
    short_help="Merges the shards of a run or a study.",
)
