"""The command `tune`: one command for each objective, data in, an adapter out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from mdlm_probe.cli.completions import model_names
from mdlm_probe.cli.groups import ProbeGroup
from mdlm_probe.cli.options import MODEL_OPTIONS, plan_options
from mdlm_probe.cli.progress import Bar, losses
from mdlm_probe.cli.screen import echo
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import Part
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.tuning.recipe import Recipe
from mdlm_probe.tuning.request import Tuning

PART: Part = "objective"
MODEL = click.Option(
    ["--model", "-m"],
    default="tiny-mdlm",
    help="Registry name, local folder or hub id. Default: tiny-mdlm.",
    shell_complete=model_names,
)
FULL = click.Option(["--full"], is_flag=True, help="Train all weights instead of LoRA.")
DTYPE = click.Option(
    ["--dtype"],
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    help="Number format of the weights; auto: bfloat16 on CUDA, else float32.",
)
DEVICE = click.Option(
    ["--device"],
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    help="Device; of several GPUs each has a process of its own (torchrun).",
)
RUN = [
    click.Option(
        ["--output", "-o"],
        type=click.Path(path_type=Path),
        help="Default: results/tuned/OBJECTIVE.",
    ),
    click.Option(["--fresh"], is_flag=True, help="Forget this training, and start over."),
    click.Option(["--quiet", "-q"], is_flag=True, help="No progress; results only."),
]


class Training(Bar):
    """Progress of a training: losses and speed."""

    unit = "steps"

    def step(self, parts: dict[str, float], tokens: int) -> None:
        """A step is over."""
        self._parts = parts
        self.advance(1, tokens)

    def speed(self, seconds: float) -> str:
        """The losses of the last step, and tokens per second."""
        return f"{losses(self._parts)}{super().speed(seconds)}"


def own_options(name: str) -> list[click.Option]:
    """Options of an objective."""
    return plan_options(catalog.load(PART, name).plan)


def shared_options() -> list[click.Option]:
    """Options of every training."""
    names = ("revision", "style", "family", "block_size")
    load = [option for option in MODEL_OPTIONS if option.name in names]
    return [*plan_options(Recipe), FULL, DTYPE, DEVICE, *load, *RUN]


def options(name: str) -> list[click.Option]:
    """All options of the command that trains with an objective."""
    return [MODEL, *own_options(name), *shared_options()]


def tuning_of(name: str, given: dict[str, Any]) -> Tuning:
    """What parsed options ask for."""
    load = LoadOptions(
        given["dtype"],
        given["device"],
        given["revision"],
        style=given["style"] or "",
        family=given["family"] or "",
        block_size=given["block_size"],
    )
    return Tuning(
        name,
        {str(option.name): given[str(option.name)] for option in own_options(name)},
        {str(option.name): given[str(option.name)] for option in plan_options(Recipe)},
        given["model"],
        load,
        given["output"] or Path("results") / "tuned" / name,
        given["full"],
        given["fresh"],
    )


def tune_command(name: str) -> click.Command:
    """The command that trains with an objective."""

    def callback(**given: Any) -> None:
        from mdlm_probe.tuning import tune

        asked = tuning_of(name, given)
        first = os.environ.get("RANK", "0") == "0"  # of several devices' processes one speaks
        with Training(given["quiet"] or not first) as bar:
            try:
                folder = tune.run(asked, bar)
            except KeyboardInterrupt:
                bar.note(tune.kept(asked.output))
                raise
        if first:
            _echo_written(folder, asked)

    return click.Command(
        name,
        callback=callback,
        params=list(options(name)),
        help=f"{catalog.load(PART, name).__doc__}\n\n"
        f"Example: mdlm-probe tune {name} --model tiny-mdlm --data answers.jsonl",
        short_help=catalog.first_line(PART, name),
    )


def _echo_written(folder: Path, asked: Tuning) -> None:
    from mdlm_probe.reports import training_chart

    for path in training_chart.save(folder, asked.model):
        echo(f"wrote {path}")
    where = f"--model {folder}" if asked.full else f"--model {asked.model} --adapter {folder}"
    echo(f"wrote {folder}; take it with {where}")


@click.group(
    name="tune",
    cls=ProbeGroup,
    make=tune_command,
    part=PART,
    titles=("Objectives", "Commands"),
    subcommand_metavar="OBJECTIVE ...",
    short_help="Trains a remedy: an adapter that --adapter takes.",
)
def command() -> None:
    """Trains a masked model with an objective, by LoRA; --adapter takes what it writes.

    Example: mdlm-probe tune mask-agnostic --model tiny-mdlm --data answers.jsonl
    """
