"""The command line: options in, one call, tables out. Click and rich live here and nowhere else."""

from __future__ import annotations

import functools
import inspect
import sys
import time
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mdlm_probe import __version__, catalog, estimate, models, runner, tasks
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import LoadOptions

if TYPE_CHECKING:
    import pandas as pd

PAIR = ("tiny-mdlm", "tiny-arlm")
"""The bundled models, used when none is named."""

PLAIN_SECONDS = 10.0
"""How often a run says where it is when no terminal is there to draw on."""


# ---------------------------------------------------------------------- options from signatures


class Commas(click.ParamType):
    """A comma-separated list of one type."""

    def __init__(self, inner: click.ParamType) -> None:
        self.inner = inner
        self.name = f"{inner.name},..."

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[Any, ...]:
        """Splits at commas; every part must be of the inner type."""
        if isinstance(value, tuple):
            return value
        parts = [part.strip() for part in str(value).split(",") if part.strip()]
        if not parts:
            self.fail("is empty; give one value or more, separated by commas", param, ctx)
        return tuple(self.inner.convert(part, param, ctx) for part in parts)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """What the help shows."""
        inner = self.inner.get_metavar(param, ctx) or self.inner.name.upper()
        return f"{inner},..."


def click_type(annotation: Any) -> click.ParamType:
    """The click type of an annotation: int, float, str, Literal, X | None or tuple[X, ...]."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return click.Choice([str(a) for a in args])
    if origin in (typing.Union, types.UnionType):
        return click_type(next(a for a in args if a is not type(None)))
    if origin is tuple:
        return Commas(click_type(args[0]))
    return {int: click.INT, float: click.FLOAT, str: click.STRING}[annotation]


def plan_options(plan: Callable[..., Any]) -> list[click.Option]:
    """One click option for each keyword of a probe's plan; left out, it is None."""
    hints = typing.get_type_hints(plan, include_extras=True)
    out = []
    for name, parameter in inspect.signature(plan).parameters.items():
        kind, text = typing.get_args(hints[name])
        default = parameter.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        if "default:" not in text:
            text += f"; default: {default}"
        flag = "--" + name.replace("_", "-")
        out.append(click.Option([flag], type=click_type(kind), help=text.replace("%", "%%")))
    return out


MODEL_OPTIONS = [
    click.Option(
        ["--model", "-m"],
        multiple=True,
        help="Registry name, local folder or hub id; repeat for more. Default: the bundled pair.",
    ),
    click.Option(
        ["--dtype"],
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        help="Number format of the weights; auto: bfloat16 on CUDA, else float32.",
    ),
    click.Option(["--device"], default="auto", help="auto, cpu, cuda, cuda:1, mps."),
    click.Option(["--revision"], default="", help="Hub revision; default: the registry's."),
    click.Option(
        ["--quantize"], type=click.Choice(["4bit", "8bit"]), help="Load quantised (needs quanto)."
    ),
    click.Option(["--adapter"], default="", help="Folder of a PEFT adapter."),
    click.Option(
        ["--prompts"],
        type=click.Choice(["base", "chat"]),
        help="Plain text or chat messages; default: as the checkpoint was trained.",
    ),
    click.Option(["--batch-tokens"], default="auto", help="Padded tokens of a batch, or auto."),
]
RUN_OPTIONS = [
    click.Option(
        ["--output", "-o"], type=click.Path(path_type=Path), help="Default: results/PROBE."
    ),
    click.Option(["--fresh"], is_flag=True, help="Forget what the folder holds; start over."),
    click.Option(["--quiet", "-q"], is_flag=True, help="No progress; results only."),
]


def jobs_of(probe: str, plan_names: Sequence[str], given: dict[str, Any]) -> list[runner.Job]:
    """One job for each model named, from parsed options."""
    names = given["model"] or PAIR
    doubled = [name for name in names if list(names).count(name) > 1]
    if doubled:
        raise ProbeError(f"--model names '{doubled[0]}' twice", expected="each model once")
    load = LoadOptions(
        given["dtype"],
        given["device"],
        given["revision"],
        given["quantize"] or "",
        given["adapter"],
        given["prompts"] or "",
    )
    options = {name: given[name] for name in plan_names}
    output = given.get("output") or Path("results") / probe
    tokens = batch_tokens(given["batch_tokens"])
    fresh = given.get("fresh", False)
    return [runner.Job(probe, name, options, load, output, tokens, fresh) for name in names]


def batch_tokens(text: str) -> int | None:
    """--batch-tokens as a number, or None for "auto"."""
    if text == "auto":
        return None
    if not text.isdigit() or int(text) < 1:
        raise ProbeError(f"--batch-tokens is '{text}'", expected="auto, or a whole number from 1")
    return int(text)


# ---------------------------------------------------------------------- progress


class Bar:
    """Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True, quiet=quiet)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("cells  {task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._said = 0.0

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def note(self, text: str) -> None:
        """One line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def start(self, name: str, cells: int, done: int) -> None:
        """A new bar, filled as far as earlier runs came."""
        if done:
            self.note(f"{name}: going on after {done} of {cells} cells")
        self._name, self._cells, self._done, self._tokens = name, cells, done, 0
        self._began = self._said = time.monotonic()
        self._task = self._bar.add_task(name, total=cells, completed=done, speed="")

    def advance(self, cells: int, tokens: int) -> None:
        """Moves the bar; without a terminal, a line now and then and at the end."""
        now = time.monotonic()
        self._done, self._tokens = self._done + cells, self._tokens + tokens
        speed = f"{estimate.quantity(self._tokens / max(now - self._began, 1e-9))} tokens/s"
        self._bar.update(self._task, advance=cells, speed=speed)
        late = now - self._said >= PLAIN_SECONDS or self._done == self._cells
        if not self._console.is_terminal and late:
            self.note(f"{self._name}: {self._done} of {self._cells} cells, {speed}")
            self._said = now


# ---------------------------------------------------------------------- commands


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
                "Stopped. What was measured is kept; the same command goes on from there.", err=True
            )
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(0)  # the reader of a pipe had enough

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
        short_help=catalog.first_line("probes", name),
    )


def plan_command(name: str) -> click.Command:
    """The command that says what a probe would cost."""
    probe = catalog.load("probes", name)
    options = plan_options(probe.plan)

    @friendly
    def callback(**given: Any) -> None:
        show_plans(jobs_of(name, [str(o.name) for o in options], given))

    return click.Command(
        name,
        callback=callback,
        params=[*MODEL_OPTIONS[:1], *options, *MODEL_OPTIONS[1:]],
        help=f"What `{name}` would run: cells, queries, tokens, operations, memory, time.",
        short_help=catalog.first_line("probes", name),
    )


@click.group(cls=ByFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mdlm-probe")
def main() -> None:
    """Shows how masked diffusion language models use context, beside autoregressive ones.

    Start with `mdlm-probe locality`, which runs on the models that come with the tool.
    """


@main.group(name="plan", cls=ByFolder)
def plan_group() -> None:
    """What a probe would run, and what it would cost; loads no weights."""


main.make = run_command  # type: ignore[attr-defined]
plan_group.make = plan_command  # type: ignore[attr-defined]


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


@main.command(name="report")
@click.argument("folder", type=click.Path(path_type=Path))
@friendly
def report_command(folder: Path) -> None:
    """Rebuilds the tables and figures of a run from its CSVs; needs no model.

    Example: mdlm-probe report results/locality
    """
    show_report(folder)


# ---------------------------------------------------------------------- doing and showing


def measure(jobs: Sequence[runner.Job], quiet: bool) -> None:
    """Runs jobs one after another, then reports on their folder."""
    plans = [runner.prepare(job) for job in jobs]
    with Bar(quiet) as bar:
        for plan in plans:
            runner.run(plan, bar)
    show_report(jobs[0].output)


def show_report(folder: Path) -> None:
    """Prints the tables of a run, and says where the files are."""
    from mdlm_probe import reports

    shown, paths = reports.write(folder)
    for probe, tables in shown.items():
        for title, frame in tables.items():
            if len(frame):
                click.echo(f"\n{probe}: {title}")
                echo_table(*printable(frame))
    click.echo("\n" + "\n".join(f"wrote {path}" for path in paths))


def printable(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """A frame as heads and cells: X_low and X_high become one interval over X."""
    heads: list[str] = []
    columns: list[list[str]] = []
    for name in frame.columns:
        if str(name).endswith("_high"):
            continue
        if str(name).endswith("_low"):
            base = str(name).removesuffix("_low")
            ends = zip(frame[name], frame[f"{base}_high"], strict=True)
            heads.append(f"95 % over {base}")
            columns.append([f"{number(a)} to {number(b)}" for a, b in ends])
        else:
            heads.append(str(name))
            columns.append([number(v) for v in frame[name]])
    return heads, [list(row) for row in zip(*columns, strict=True)]


def number(value: Any) -> str:
    """A value for a table: three decimals, small p-values in powers of ten."""
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.0005 else f"{value:.3f}"
    return str(value)


def show_plans(jobs: Sequence[runner.Job]) -> None:
    """Prints what jobs would cost; a tokenizer that can't be had is replaced by a rough count."""
    from mdlm_probe import machine

    rows, notes = [], []
    for plan in [runner.prepare(job) for job in jobs]:
        load = plan.job.load
        device = machine.best_device() if load.device == "auto" else load.device
        auto = "bfloat16" if device.startswith("cuda") else "float32"
        dtype = auto if load.dtype == "auto" else load.dtype
        seen = runner.survey(plan, device)
        cost = estimate.cost(
            plan.entry, load, dtype, seen.tokens, seen.asked, seen.length, seen.batch_tokens
        )
        notes += [
            f"{plan.entry.name}: {n} cells left out: {why}" for why, n in plan.refused.items()
        ]
        notes += seen.notes
        rate = machine.matmul_rate(device, dtype) * estimate.SHARE
        rows.append(
            (
                plan.entry.name,
                str(len(plan.cells)),
                str(seen.queries),
                estimate.quantity(seen.tokens),
                estimate.quantity(cost.operations) if cost.operations else "unknown",
                f"{cost.memory / 2**30:.2f} GiB" if cost.memory else "unknown",
                estimate.duration(cost.operations / rate) if cost.operations else "unknown",
            )
        )
    heads = ("model", "cells", "queries", "tokens", "operations", "memory", f"time on {device}")
    echo_table(heads, rows)
    for note in notes:
        click.echo(note)
    click.echo(
        f"Tokens are scaled up from {runner.SAMPLE} cells; time is at {estimate.SHARE:.0%} of the"
        f" matrix-product rate measured now ({estimate.quantity(rate / estimate.SHARE)} op/s)."
    )


def echo_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; as wide as it needs to be where no terminal sets a width."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(text.replace("[", r"\[") for text in row))
    console.print(table, highlight=False)


if __name__ == "__main__":
    main()
