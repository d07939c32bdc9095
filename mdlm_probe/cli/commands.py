"""The commands: a probe's own, made from its plan, and the listings."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from mdlm_probe import __version__, catalog, models, runner, tasks
from mdlm_probe.cli import compare, export, generate, judge, report, study
from mdlm_probe.cli import eval as evaluate
from mdlm_probe.cli.options import MODEL_OPTIONS, PAIR, RUN_OPTIONS, jobs_of, plan_options
from mdlm_probe.cli.plan import plan_command
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.show import echo_table, show_report
from mdlm_probe.errors import ProbeError


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


class ByFolder(click.Group):
    """A group whose commands are its own and one for each probe in the probes/ folder."""

    make: Callable[[str], click.Command]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Probes first, then the group's own commands."""
        return [*catalog.names("probes"), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Builds a probe's command when it is asked for."""
        own = super().get_command(ctx, name)
        return own or (self.make(name) if name in catalog.names("probes") else None)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click's, with a suggestion for a wrong name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            error = catalog.unknown("command", args[0], self.list_commands(ctx))
            raise click.UsageError(str(error), ctx)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands alone: there is only --help and --version, and a screen is short."""
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists probes by their question, without importing them."""
        probes = [(name, catalog.first_line("probes", name)) for name in catalog.names("probes")]
        own = [(name, self.commands[name].get_short_help_str(70)) for name in sorted(self.commands)]
        for title, rows in (("Probes", probes), ("Commands", own)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def run_command(name: str) -> click.Command:
    """The command that runs a probe."""
    probe = catalog.load("probes", name)
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
        short_help=catalog.first_line("probes", name),
    )


@click.group(cls=ByFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mdlm-probe")
def main() -> None:
    """How masked diffusion models use context: begin with `mdlm-probe locality`."""


@main.group(name="plan", cls=ByFolder)
def plan_group() -> None:
    """What a probe would run and cost; loads no weights."""


main.make = run_command  # type: ignore[attr-defined]
plan_group.make = functools.partial(plan_command, friendly=friendly)  # type: ignore[attr-defined]


@main.command(name="models")
@friendly
def models_command() -> None:
    """Lists the checkpoints known by name."""
    rows = [
        (e.name, e.kind, e.family, "chat" if e.chat else "base", str(e.context), place(e), e.note)
        for e in models.entries()
    ]
    heads = ("name", "kind", "family", "prompts", "context", "source", "note")
    echo_table(heads, rows)
    click.echo("Any hub id or local folder works, too: --model org/name, --model ./folder.")


def place(entry: models.Entry) -> str:
    """Where a checkpoint comes from, shortly."""
    return "bundled" if not entry.source or Path(entry.source).exists() else entry.source


@main.command(name="probes")
@friendly
def probes_command() -> None:
    """Lists the probes and the question that each answers."""
    echo_table(
        ("probe", "question"),
        [(n, catalog.first_line("probes", n)) for n in catalog.names("probes")],
    )


@main.command(name="tasks")
@click.option("--suite", help="A suite in tasks/, or a path to your own YAML; default: all.")
@friendly
def tasks_command(suite: str | None) -> None:
    """Lists the suites' sets and an example of each."""
    for name in [suite] if suite else tasks.suites():
        loaded = tasks.load(name)
        rows = []
        for title, fs in loaded.sets.items():
            example = fs.items(1, 0, 0)[0]
            rows.append((title, fs.template.ask(example), example.options[example.right]))
        click.echo(f"{loaded.name}: {tasks.path_of(name)}")
        echo_table(("set", "a test question", "right"), rows)


main.add_command(generate.command(friendly))
main.add_command(judge.command(friendly))
main.add_command(evaluate.command(friendly))
main.add_command(report.command(friendly))
main.add_command(study.command(friendly))
main.add_command(compare.command(friendly))
main.add_command(export.command(friendly))


def measure(jobs: Sequence[runner.Job], quiet: bool) -> None:
    """Runs jobs one after another, then reports on their folder."""
    plans, notes = runner.prepare_all(jobs)
    with Bar(quiet) as bar:
        for note in notes:
            bar.note(note)
        for plan in plans:
            runner.run(plan, bar)
    show_report(jobs[0].output)
