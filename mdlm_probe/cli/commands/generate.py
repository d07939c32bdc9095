"""The command `generate`: options in, answers out, a canvas to look at."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from mdlm_probe.cli.canvas_display import CanvasDisplay
from mdlm_probe.cli.options import (
    MODEL_OPTIONS,
    RUN_OPTIONS,
    WORKER_OPTIONS,
    jobs_of,
    plan_options,
)
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import Screen, echo
from mdlm_probe.cli.show import echo_frame
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import flag
from mdlm_probe.decoding import infilling
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import benchmark_answers, generate, plan
from mdlm_probe.runs.executors import executor_of

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

HELP = """Writes answers to prompts, as JSONL; causal models write from left to right.

A table says what they are worth by measures that no repetition wins: in the bundled models'
language the share of valid words and kept pairs, in any language repetition and entropy.

PROMPT is a prompt as it is; without any, --prompts says where they are. With --infill, <mask> and
<mask:12> in a prompt are filled in, with the text at both sides seen. With --quiet the answers go
to stdout, too; with `--output -` only there, and nothing is kept.

Example: mdlm-probe generate --model tiny-mdlm --limit 2 --length 32 --show
"""


class Writing(Bar):
    """Progress of answers: tokens and steps per second; a canvas where one is wanted."""

    unit = "answers"

    def __init__(self, quiet: bool, show: bool, piped: bool, infill: bool = False) -> None:
        super().__init__(quiet)
        self.infill = infill
        self.watches, self._canvas = show, Screen(stderr=piped)
        self._display: CanvasDisplay | None = None

    def start(self, name: str, cells: int, done: int) -> None:
        """As a bar; a canvas is drawn instead of one."""
        self._written = self._made = 0
        super().start(name, cells, done)
        if self.watches:
            self._bar.stop()

    def wrote(self, tokens: int, steps: int = 1) -> None:
        """Counts steps of one answer."""
        self._written, self._made = self._written + tokens, self._made + steps
        self.tick()

    def speed(self, seconds: float) -> str:
        """Tokens and steps of all answers together, per second."""
        return f"{self._written / seconds:.1f} tokens/s, {self._made / seconds:.1f} steps/s"

    def watcher(self, text: Text, engine: Engine, length: int) -> CanvasDisplay | None:
        """The display of this answer, where one is wanted."""
        if not self.watches:
            return None
        self.end()
        size = length if engine.entry.kind == "masked" else 0
        title, before = f"{engine.entry.name}, prompt {text.id}", dict[int, str]()
        if self.infill:
            found = infilling.read(engine, text)
            ends = [0, *accumulate(found.masks)]
            before, size = dict(zip(ends, found.around, strict=True)), ends[-1]
        self._display = CanvasDisplay(self._canvas, engine.border, title, size, before)
        return self._display

    def advance(self, cells: int, tokens: int) -> None:
        """Answers are safe: the canvas stays as it is."""
        self.end()
        super().advance(cells, tokens)

    def end(self) -> None:
        """Leaves the canvas."""
        if self._display:
            self._display.close()
        self._display = None

    def __exit__(self, *error: object) -> None:
        self.end()
        super().__exit__(*error)


OPTIONS = [option for option in plan_options(generate.plan) if option.name != "text"]
OWN = [
    click.Argument(["text"], nargs=-1, metavar="[PROMPT]..."),
    click.Option(["--show"], is_flag=True, help="Show each canvas as it is filled in."),
    click.Option(
        ["--answers-as"],
        type=click.Choice(benchmark_answers.NAMES),
        help="Also write the answers as this benchmark's own judge reads them; --prompts is its"
        " file of questions.",
    ),
    click.Option(["--arena-hard"], is_flag=True, help="The same as --answers-as arena-hard."),
]


def callback(
    text: tuple[str, ...], arena_hard: bool, answers_as: str | None, show: bool, **given: Any
) -> None:
    """Writes answers, one model after another, and says where they are."""
    typed = ("arena-hard" if arena_hard else "", answers_as or "")
    forms = tuple(dict.fromkeys(filter(None, typed)))
    for form in forms:
        benchmark_answers.check(form, "" if text else given["prompts"] or "")
    drawn = [n for n in ("prompts", "tasks", "limit", "lexicon") if given[n] is not None]
    if text and drawn:
        raise ProbeError(
            f"--{drawn[0]} chooses prompts, but PROMPT is given",
            expected="one of the two",
            option=drawn[0],
        )
    if arena_hard and given["infill"]:
        raise ProbeError(
            "--arena-hard writes answers for judges, and --infill writes within prompts",
            expected="one of the two",
            option=("arena_hard", "infill"),
        )
    elsewhere = [n for n in ("workers", "ray_address") if given[n]]
    if show and elsewhere:
        raise ProbeError(
            "--show draws what this process writes, and other processes are to write",
            expected=f"one of --show and {flag(elsewhere[0])}",
            option=elsewhere[0],
        )
    if given["output"] != Path("-"):
        paths = _write(text, forms, show, given, piped=given["quiet"])
        _echo_quality(paths, err=given["quiet"])
        return
    if forms:
        named = "arena_hard" if arena_hard else "answers_as"
        raise ProbeError(
            f"{flag(named)} writes a file, but --output is '-'",
            expected="a folder",
            option=("output", named),
        )
    with TemporaryDirectory(prefix="mdlm-probe-") as folder:
        _write(text, (), show, given | {"output": Path(folder)}, piped=True, kept=False)


def _write(
    text: tuple[str, ...],
    forms: Sequence[str],
    show: bool,
    given: dict[str, Any],
    *,
    piped: bool,
    kept: bool = True,
) -> list[Path]:
    """Writes the answers; what is written where is said on stderr.

    Args:
        text, show, given: as typed.
        forms: benchmarks whose files are written, too.
        piped: whether answers go to stdout, too, and all else to stderr.
        kept: whether files stay.
    """
    paths = []
    jobs = jobs_of("generate", [str(option.name) for option in OPTIONS], given)
    by = executor_of(given["workers"], given["ray_address"])
    shown = Writing(given["quiet"], show, piped, bool(given["infill"]))
    with shown as progress, by as executor:
        for job in jobs:
            job.options["text"] = text
            path = generate.run(job, progress, executor)
            paths.append(path)
            if piped:
                click.echo(path.read_bytes(), nl=False)
            if kept:
                echo(f"wrote {path}", err=True)
            name = plan.slug(path.stem.partition("__")[2])
            for form in forms:
                made = benchmark_answers.write(path, name, form, given["prompts"] or "")
                echo(f"wrote {made}", err=True)
    return paths


def _echo_quality(paths: Sequence[Path], *, err: bool) -> None:
    """The quality of the answers of all models, printed and beside the first one's."""
    from mdlm_probe.reports import generated_quality

    table = generated_quality.table(paths)
    echo_frame(table, generated_quality.unit_of, title="generate: quality", err=err)
    echo(f"\nwrote {generated_quality.save(paths[0].parent, table)}", err=True)


command = click.Command(
    "generate",
    callback=callback,
    params=[
        OWN[0],
        *MODEL_OPTIONS[:1],
        *OPTIONS,
        *OWN[1:],
        *MODEL_OPTIONS[1:],
        *WORKER_OPTIONS,
        *RUN_OPTIONS,
    ],
    help=HELP,
    short_help="Writes answers to prompts, as JSONL.",
)
