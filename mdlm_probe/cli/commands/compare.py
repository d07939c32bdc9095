"""The command `compare`: two runs, item by item."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mdlm_probe.cli.completions import probe_names
from mdlm_probe.cli.options import Commas
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_frame
from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    import pandas as pd

    from mdlm_probe.analysis.paired_differences import Points
    from mdlm_probe.reports.compare.compare import Compared
    from mdlm_probe.reports.compare.measurements import Measurement

HELP = """Compares two runs, item by item: a base model and a fine-tuned one, say.

RUN_A and RUN_B are folders of runs or of studies, or a single CSV in a run's folder. Equal
probes are paired if each side has one model, or models of equal names. Runs that weren't made in
the same way are refused, and the settings that differ are named.

\b
difference  B minus A over the same items, with a 95 % confidence interval
p           of no difference, by the line's own test
p_holm      p corrected by Holm's method: lines over whole sweeps for all
            such lines of the command, points for all points of a measure
dz          Cohen's dz: the mean difference / its standard deviation
odds        for hits: items with more hits in B / items with fewer
least       minimum detectable effect: the smallest true difference for
            which the line's own test has p < .05 in 80 % of cases, before
            Holm's correction; a dash where there is none: hits need six
            items

Tests are over items; of few-shot questions over their relevant tasks, if there are several: the
sets of one task are alike. Items that are hit or not are compared by the exact sign test, all else
by t tests. What isn't on both sides is left out, and named.

Example: mdlm-probe compare results/base results/tuned
"""

OPTIONS = [
    click.Option(
        ["--probe", "-p"],
        type=Commas(click.STRING),
        shell_complete=probe_names,
        help="Probes to compare; default: all.",
    ),
    click.Option(
        ["--model", "-m", "models"],
        multiple=True,
        metavar="A=B",
        help="Models to pair by hand, or one name for both sides; may be repeated.",
    ),
    click.Option(
        ["--across", "-x"],
        multiple=True,
        metavar="SETTING",
        help="Setting that may differ, such as load.quantize or options.seed; may be repeated.",
    ),
    click.Option(
        ["--points"],
        type=click.Choice(["main", "all", "none"]),
        default="main",
        help="Measures that have a line for every point of the sweep: the first (main), all, none.",
    ),
    click.Option(
        ["--output", "-o"], type=click.Path(path_type=Path), help="Default: RUN_B/compare."
    ),
]


def callback(
    run_a: Path,
    run_b: Path,
    probe: Sequence[str] | None,
    models: Sequence[str],
    across: Sequence[str],
    points: Points,
    output: Path | None,
) -> None:
    """Prints a table for each pair, and writes compare.csv and pictures."""
    from mdlm_probe.reports.compare import compare

    if output and output.exists() and not output.is_dir():
        raise ProbeError(
            f"--output {output} is a file",
            expected="a folder, for compare.csv and pictures",
            option="output",
        )
    found, notes = compare.compare(
        run_a,
        run_b,
        probes=probe or (),
        models=[both(text) for text in models],
        across=across,
        points=points,
    )
    home = run_b.parent if run_b.suffix == ".csv" else run_b
    paths = compare.save(output or home / "compare", found)
    for one in found:
        show(one)
    echo(f"\n{footer(found)}")
    echo("\n".join([*notes, *(f"wrote {path}" for path in paths)]))


def footer(found: Sequence[Compared]) -> str:
    """What p-values are corrected for, and what `least` promises."""
    from mdlm_probe.analysis import paired_differences

    tables = [table for one in found for table in one.tables.values()]
    over, *points = [
        sum(tables[place]["p"].notna().iloc[line] for place, line in family)
        for family in paired_differences.families(tables)
    ]
    said = f"difference: B minus A\np_holm: corrected for the {over} tests over whole sweeps"
    if points:
        few, many = min(points), max(points)
        counted = f"{few} to {many}" if few < many else str(few)
        said += f"; at points, for the {counted} points of each measure"
    return f"{said}\nleast: shown with 80 % power by the line's own test, before Holm's correction"


def both(text: str) -> tuple[str, str]:
    """A pair of models as typed: A=B, or one name."""
    left, equals, right = text.partition("=")
    if not left or (equals and not right):
        raise ProbeError(
            f"--model is '{text}'", expected="A=B, or one model of both sides", option="model"
        )
    return left, right if equals else left


def show(one: Compared) -> None:
    """Prints a pair: who is A and who is B, notes, and tables."""
    from mdlm_probe.analysis import paired_differences

    echo(f"\n{one.title}\nA: {told(one.first)}\nB: {told(one.second)}")
    for note in one.notes:
        echo(note)
    for name, table in one.tables.items():
        over, points = paired_differences.apart(table)
        echo_below(f"{one.title}: {name}" if name else "", over)
        for measure, part in points.items():
            echo_below(f"{one.title}: {measure}", part)


def echo_below(title: str, table: pd.DataFrame) -> None:
    """Prints a table below its title; counts behind odds, and empty columns, are in the CSV."""
    kept = table.drop(columns=["gained", "lost"], errors="ignore").dropna(axis=1, how="all")
    echo_frame(kept, title=title)


def told(side: Measurement) -> str:
    """A side's model: its name, its adapter and the beginning of its weights' hash."""
    from mdlm_probe.analysis.observed import count

    weights = str(side.facts.get("weight_hash", "none"))
    adapter = side.answers.get("config", {}).get("load", {}).get("adapter", "")
    parts = [f"adapter {adapter}" if adapter else ""]
    parts += [f"weights {weights[:8]}" if weights != "none" else ""]
    parts += [f"{count(side.frame)} rows"]
    return f"{side.model} ({', '.join(filter(None, parts))})"


RUNS = [click.Argument([name], type=click.Path(path_type=Path)) for name in ("run_a", "run_b")]
command = click.Command(
    "compare",
    callback=callback,
    params=[*RUNS, *OPTIONS],
    help=HELP,
    short_help="Compares two runs, item by item.",
)
