"""The command `study`: every run of a YAML file, then one report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdlm_probe.cli import run_probe
from mdlm_probe.cli.commands import report
from mdlm_probe.cli.completions import model_names
from mdlm_probe.cli.options import SHARD, TRUST, WORKER_OPTIONS, Commas, shard_of
from mdlm_probe.cli.progress import StudyBar
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table
from mdlm_probe.cli.study_changes import StudyChanges
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole
from mdlm_probe.core.yaml_file import check_text
from mdlm_probe.prompts import shipped

if TYPE_CHECKING:
    from mdlm_probe.runs.shards import Shard
    from mdlm_probe.runs.study import RunOutcome
    from mdlm_probe.runs.study_plan import Study, StudyRun

HELP = """Runs every probe that a YAML file lists, on every model, then makes the report.

STUDY is a path, or the name of a shipped study: laptop, more-remedies, papers, remedies, smoke.
What is finished is skipped; the same command resumes after Ctrl-C. `mdlm-probe plan STUDY` says
what it would cost.

Example: mdlm-probe study smoke --output results/smoke
"""

WIDE = 60
"""Characters of a reason that a table still takes."""

OPTIONS = [
    click.Argument(
        ["study"], required=False, shell_complete=lambda ctx, param, typed: _begun(typed)
    ),
    click.Option(
        ["--model", "-m"],
        multiple=True,
        help="In place of the file's models: registry name, folder, hub id or NAME=PATH.",
        shell_complete=model_names,
    ),
    click.Option(
        ["--set", "set_"],
        multiple=True,
        metavar="OPTION=VALUE",
        help="An option's value in all runs that have it, such as limit=100; repeat for more.",
    ),
    click.Option(["--list", "list_"], is_flag=True, help="Lists the shipped studies."),
    click.Option(["--show"], is_flag=True, help="Prints the study's file."),
    click.Option(
        ["--copy"], type=click.Path(path_type=Path), help="Copies the study's file, to change it."
    ),
    click.Option(
        ["--output", "-o"], type=click.Path(path_type=Path), help="Default: results/STUDY."
    ),
    click.Option(
        ["--only"], type=Commas(click.STRING), help="Runs of the study, by name; default: all."
    ),
    click.Option(["--fresh"], is_flag=True, help="Forget the rows of these runs, and start over."),
    TRUST,
    *WORKER_OPTIONS,
    SHARD,
    click.Option(["--tables"], is_flag=True, help="Also print the tables of the report."),
    click.Option(["--quiet", "-q"], is_flag=True, help="No progress; results only."),
]


def callback(
    study: str | None,
    model: tuple[str, ...],
    set_: tuple[str, ...],
    list_: bool,
    show: bool,
    copy: Path | None,
    **given: Any,
) -> None:
    """Runs a study, or says what there is of studies."""
    if list_:
        echo_table(("study", "what it is"), [(n, shipped.about(n)) for n in shipped.studies()])
        return
    if not study:
        raise click.UsageError("Missing argument 'STUDY'. `study --list` names those that ship.")
    if show or copy:
        _hand_out(shipped.path_of(study, "study", shipped.studies()), copy)
        return
    tables, shard = given.pop("tables"), shard_of(given.pop("shard"))
    folder, found = execute(study, StudyChanges(model, set_), shard=shard, **given)
    if shard:
        show_outcomes(found)
        echo(run_probe.told(shard, folder))
        _raise_failed(found)
    else:
        finish(folder, found, tables)


def _hand_out(path: Path, copy: Path | None) -> None:
    """Prints a study's file, or copies it.

    Raises:
        ProbeError: no such file, or one that is there already where it is to go.
    """
    text = check_text(path)
    if copy is None:
        echo(text.rstrip("\n"))
        return
    to = copy / path.name if copy.is_dir() else copy
    if to.exists():
        raise ProbeError(f"{to} is there already", expected="a new file", option="copy")
    write_whole(to, text)
    echo(f"wrote {to}; `mdlm-probe study {to}` runs it")


def execute(
    study: str,
    changes: StudyChanges,
    *,
    output: Path | None,
    only: Sequence[str] | None,
    fresh: bool,
    workers: int,
    ray_address: str,
    quiet: bool,
    shard: Shard | None = None,
) -> tuple[Path, list[RunOutcome]]:
    """Runs what is missing of a study; returns its folder, and what came of every run.

    Raises:
        ProbeError: a file or folder that can't be used.
    """
    from mdlm_probe.cli import study_file
    from mdlm_probe.runs import study as studies
    from mdlm_probe.runs.executors import executor_of

    loaded, notes = study_file.load(study, output, fresh, changes)
    chosen = select(loaded, only or ())
    asked = [part.name for part in chosen]
    if shard:
        loaded = loaded.cut(shard)
        chosen = cut(loaded, chosen, notes)
    folder = output or study_file.folder_of(shipped.path_of(study, "study", shipped.studies()))
    cells = [(part.probe, len(p.cells)) for part in chosen for p in part.plans]
    names = [part.name for part in chosen]
    with StudyBar(quiet, cells) as bar, executor_of(workers, ray_address) as by:
        for note in (note for name in asked for note in notes.get(name, [])):
            bar.note(note)
        found = studies.execute(loaded, folder, bar, only=names, fresh=fresh, executor=by)
    return folder, found


def select(study: Study, only: Sequence[str]) -> list[StudyRun]:
    """The runs that are named; all if none is.

    Raises:
        ProbeError: there is none of that name.
    """
    names = [part.name for part in study.parts]
    for name in only:
        if name not in names:
            raise catalog.unknown("run", name, names)
    return [part for part in study.parts if not only or part.name in only]


def cut(study: Study, chosen: Sequence[StudyRun], notes: dict[str, list[str]]) -> list[StudyRun]:
    """The runs that a shard of a study has.

    Args:
        study: with plans of one shard.
        chosen: runs that are asked for.
        notes: what is said of each run; that judges wait is added.

    Raises:
        ProbeError: a run that trains: every shard would train it again.
    """
    if trained := [part.name for part in chosen if part.tuning]:
        raise ProbeError(
            f"--shard would train {', '.join(trained)} once for each shard",
            expected="runs that measure: --only RUN,RUN",
            option="shard",
        )
    names = [part.name for part in chosen if part.plans]
    for part in chosen:
        if part.verdicts:
            notes[part.name] = [
                f"{part.name}: left out: a judge reads all rows; after `merge`, the same study"
                " without --shard asks it"
            ]
    return [part for part in study.parts if part.name in names]


def finish(folder: Path, found: Sequence[RunOutcome], tables: bool) -> None:
    """The report, the summary, and an error if anything failed."""
    fault = ""
    try:
        report.write(folder, tables)
    except ProbeError as error:
        fault = str(error)
    show_outcomes(found)
    failed = [outcome for outcome in found if outcome.error]
    if fault and len(failed) < len(found):  # runs that all failed leave nothing to report on
        fault = f"no report: {fault}"
        if not failed:
            raise ProbeError(fault)
        echo(fault, err=True)
    _raise_failed(found)


def _raise_failed(found: Sequence[RunOutcome]) -> None:
    """Says how many failed, and what to do; nothing if none did."""
    if failed := [outcome for outcome in found if outcome.error]:
        raise ProbeError(_how_many(len(failed), len(found)), hint=_next_step(failed))


def _how_many(failed: int, asked: int) -> str:
    if failed == asked:
        return f"all {asked} failed" if asked > 1 else "it failed"
    return f"{failed} of {asked} failed; all others are done"


def _next_step(failed: Sequence[RunOutcome]) -> str:
    """The same command, but where the reasons ask for something else first."""
    if any(outcome.advised for outcome in failed):
        return (
            "do what the reasons above advise; then the same command tries again what failed, with"
            " --fresh only where they say so"
        )
    return "the same command, without --fresh, tries again what failed; study.json has the reasons"


def show_outcomes(found: Sequence[RunOutcome]) -> None:
    """A line for every run and model: how many rows, or why there are none; below the table where
    that is long, once for all that it stops.
    """
    long: dict[str, list[str]] = {}
    rows = []
    for o in found:
        why = o.error
        if len(why) > WIDE or "\n" in why:
            long.setdefault(why, []).append(f"{o.part.name} {o.model}")
            why = "see below"
        rows.append((o.part.name, o.part.probe, o.model, o.status, why or f"{o.rows} rows"))
    echo_table(("run", "probe", "model", "status", "rows, or why not"), rows)
    for why, whose in long.items():
        echo(f"\n{', '.join(whose)}:\n  " + why.replace("\n", "\n  "))


def _begun(typed: str) -> list[str]:
    return [name for name in shipped.studies() if name.startswith(typed)]


command = click.Command(
    "study",
    callback=callback,
    params=OPTIONS,
    help=HELP,
    short_help="Runs every probe that a YAML file lists, on every model.",
)
