"""The command `leaderboard`: the main figures of all models in one table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mdlm_probe.cli.completions import probe_names
from mdlm_probe.cli.options import Commas
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table

if TYPE_CHECKING:
    from mdlm_probe.analysis.headlines import Headline
    from mdlm_probe.reports.leaderboard import Leaderboard

HELP = """The main figures of all models of some runs or studies, in one table.

Each probe has one or two figures, such as the locality index, taken from the tables of its report
with 95 % intervals and n, the number of independent units. A dash is what can't be told, and a note
says why. Models with other weights or adapters have rows of their own; notes name settings in which
rows differ, since such figures can't be compared.

Example: mdlm-probe leaderboard results/base results/tuned --to csv,markdown
"""
FORMATS = ("csv", "markdown", "latex", "html")
WIDTH = 80

OPTIONS = [
    click.Argument(["folders"], type=click.Path(path_type=Path), nargs=-1, required=True),
    click.Option(
        ["--probe", "-p"],
        type=Commas(click.STRING),
        shell_complete=probe_names,
        help="Probes to show; default: all.",
    ),
    click.Option(
        ["--by"], default="", help='Figure that sorts models, best first, such as "locality index".'
    ),
    click.Option(
        ["--to"],
        type=Commas(click.Choice(FORMATS)),
        help=f"Files to write, leaderboard.csv and so on: {', '.join(FORMATS)}; default: none.",
    ),
    click.Option(
        ["--output", "-o"],
        type=click.Path(path_type=Path),
        help="Folder of the files; default: the first FOLDER.",
    ),
]


def callback(
    folders: tuple[Path, ...],
    probe: Sequence[str] | None,
    by: str,
    to: Sequence[str] | None,
    output: Path | None,
) -> None:
    """Prints the table, a figure after the other, and writes it."""
    from mdlm_probe.reports import leaderboard, leaderboard_files

    made = leaderboard.make(folders, probe or (), by)
    formats = to or (FORMATS if output else ())
    paths = leaderboard_files.save(output or folders[0], made, formats) if formats else []
    for name, headline in made.columns:
        _show(made, name, headline)
    echo("\n-: not measured, not to be told, or no interval")
    for note in made.notes:
        echo(_wrapped(note, "  "))
    echo("\n".join(f"wrote {path}" for path in paths), nl=bool(paths))


def _show(made: Leaderboard, probe: str, headline: Headline) -> None:
    """Prints a figure of all models."""
    from mdlm_probe.analysis.headlines import HeadlineValue, ends_in_words, rounded
    from mdlm_probe.reports import leaderboard_files

    better = leaderboard_files.BETTER[headline.better]
    echo("\n" + _wrapped(f"{probe}: {headline.name}: {headline.meaning}; {better}"))
    for setting in leaderboard_files.settings(made, headline):
        echo(_wrapped(setting, "  "))
    rows = []
    for row in made.rows:
        one = row.values.get(headline.name) or HeadlineValue(row.model)
        n = str(one.n) if one.known else "-"
        shown = (rounded(one.value), ends_in_words(one), n)
        rows.append((*leaderboard_files.names(made, row), *shown))
    echo_table(
        (*leaderboard_files.heads(made), headline.unit or "value", "95 % interval", "n"), rows
    )


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


command = click.Command(
    "leaderboard",
    callback=callback,
    params=OPTIONS,
    help=HELP,
    short_help="The main figures of all models in one table.",
)
