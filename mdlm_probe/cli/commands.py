"""The commands: a probe's own, made from its plan, and the listings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mdlm_probe import __version__, models
from mdlm_probe.cli import compare, export, generate, judge, plan, report, study
from mdlm_probe.cli import eval as evaluate
from mdlm_probe.cli.completions import PAIR, suite_names
from mdlm_probe.cli.groups import ByFolder
from mdlm_probe.cli.options import MODEL_OPTIONS, RUN_OPTIONS, jobs_of, plan_options
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.show import echo_table, show_report
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped
from mdlm_probe.prompts.suite import load
from mdlm_probe.runs import runner
from mdlm_probe.runs.plan import Job, prepare_all


def own_defaults(probe: str, known: Sequence[str]) -> str:
    """What a help text says of the bundled models' own defaults."""
    given = models.resolve(PAIR[0]).defaults_for(probe)
    options = " ".join(f"--{name} {value}" for name, value in given.items() if name in known)
    return f"The bundled models and the oracle have defaults of their own: {options}."


def friendly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turns a ProbeError into a message and exit code 1, and Ctrl-C into advice and 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except ProbeError as error:
            click.echo(f"Error: {error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo(
                "Stopped. What was measured is kept; the same command, without --fresh, goes on.",
                err=True,
            )
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(0)  # the reader of a pipe had enough
        except OSError as error:
            click.echo(f"Error: the system refused: {error}", err=True)
            sys.exit(1)

    return wrapped


def run_command(name: str) -> click.Command:
    """The command that runs a probe."""
    probe = catalog.load("probe", name)
    options = plan_options(probe.plan)

    @friendly
    def callback(**given: Any) -> None:
        measure(jobs_of(name, [str(o.name) for o in options], given), quiet=given["quiet"])

    return click.Command(
        name,
        callback=callback,
        params=[*MODEL_OPTIONS[:1], *options, *MODEL_OPTIONS[1:], *RUN_OPTIONS],
        help=f"{probe.__doc__}\n\nExample: mdlm-probe {name} --model tiny-mdlm --limit 5",
        epilog=own_defaults(name, [str(o.name) for o in options]),
        short_help=catalog.first_line("probe", name),
    )


ORDER = (*("study", "plan", "report", "compare", "export"), *("generate", "judge", "eval"))
"""Commands by use: the order of the help."""


@click.group(
    cls=ByFolder,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="",  # the heads of the two lists say it: a screen is short
    make=run_command,
    titles=(
        "Probes: how a masked diffusion model uses its context (begin with `locality`)",
        "Commands (`COMMAND --help`: its options, and an example)",
    ),
    order=ORDER,
    together=(("models", "probes", "tasks"), "lists of what there is."),
)
@click.version_option(__version__, prog_name="mdlm-probe")
def main() -> None:
    """How masked diffusion models use context."""


@main.group(
    name="plan",
    cls=ByFolder,
    make=functools.partial(plan.plan_command, friendly=friendly),
    other=functools.partial(plan.study_command, friendly=friendly),
    others=plan.studies,
    subcommand_metavar="PROBE|STUDY ...",
    short_help="What a probe or a study would run and cost; loads no weights.",
)
def plan_group() -> None:
    """What a probe, or a study's YAML file, would run and cost; loads no weights.

    Options are those of the command itself, so that any one can be planned as it stands.

    Example: mdlm-probe plan locality --model llada-8b
    """


@main.command(name="models")
@friendly
def models_command() -> None:
    """Lists the checkpoints known by name.

    Example: mdlm-probe models
    """
    rows = [
        (e.name, e.kind, e.family, "chat" if e.chat else "base", str(e.context), place(e), e.note)
        for e in models.entries()
    ]
    heads = ("name", "kind", "family", "prompts", "context", "source", "note")
    echo_table(heads, rows)
    click.echo("Any hub id or local folder works, too: --model org/name, --model ./folder.")


def place(entry: models.Checkpoint) -> str:
    """Where a checkpoint comes from, shortly."""
    return "bundled" if not entry.source or Path(entry.source).exists() else entry.source


@main.command(name="probes")
@friendly
def probes_command() -> None:
    """Lists the probes and the question that each answers.

    Example: mdlm-probe probes
    """
    echo_table(
        ("probe", "question"),
        [(n, catalog.first_line("probe", n)) for n in catalog.names("probe")],
    )


@main.command(name="tasks")
@click.option(
    "--suite",
    help="A suite in tasks/, or a path to your own YAML; default: all.",
    shell_complete=suite_names,
)
@friendly
def tasks_command(suite: str | None) -> None:
    """Lists the suites' sets and an example of each.

    Example: mdlm-probe tasks --suite few-shot
    """
    for name in [suite] if suite else shipped.suites():
        loaded = load(name)
        rows = []
        for title, fs in loaded.sets.items():
            example = fs.items(1, 0, 0)[0]
            rows.append((title, fs.template.ask(example), example.options[example.right]))
        click.echo(f"{loaded.name}: {shipped.path_of(name)}")
        echo_table(("set", "a test question", "right"), rows)


main.add_command(generate.command(friendly))
main.add_command(judge.command(friendly))
main.add_command(evaluate.command(friendly))
main.add_command(report.command(friendly))
main.add_command(study.command(friendly))
main.add_command(compare.command(friendly))
main.add_command(export.command(friendly))


def measure(jobs: Sequence[Job], quiet: bool) -> None:
    """Runs jobs one after another, then reports on their folder."""
    plans, notes = prepare_all(jobs)
    with Bar(quiet) as bar:
        for note in notes:
            bar.note(note)
        for plan in plans:
            runner.run(plan, bar)
    show_report(jobs[0].output)
