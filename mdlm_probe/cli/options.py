"""Click options from the signatures of probes, and jobs from parsed options."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from mdlm_probe import models
from mdlm_probe.cli.completions import BUNDLED, OFFERS, model_names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import traits_of
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.models._families import readers
from mdlm_probe.prompts import lm_eval_trust
from mdlm_probe.runs.plan import Job
from mdlm_probe.runs.shards import Shard


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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Completes the last part, with those before it left as they are."""
        head, comma, last = incomplete.rpartition(",")
        found = self.inner.shell_complete(ctx, param, last)
        return [
            CompletionItem(f"{head}{comma}{item.value}", item.type, item.help)
            for item in found
            if item.value not in head.split(",")
        ]


def click_type(annotation: Any) -> click.ParamType:
    """The click type of an annotation: int, float, str, Literal, X | None or tuple[X, ...]."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return click.Choice([str(a) for a in args])
    if origin in (typing.Union, types.UnionType):
        return click_type(next(a for a in args if a is not type(None)))
    if origin is tuple:
        return Commas(click_type(args[0]))
    plain: dict[type, click.ParamType] = {int: click.INT, float: click.FLOAT, str: click.STRING}
    return plain[annotation]


def plan_options(plan: Callable[..., Any]) -> list[click.Option]:
    """One click option for each keyword of a probe's plan, a flag if bool; left out, it is None."""
    hints, traits = typing.get_type_hints(plan, include_extras=True), traits_of(plan)
    out = []
    for name, parameter in inspect.signature(plan).parameters.items():
        kind, text, *_ = typing.get_args(hints[name])
        default = parameter.default
        if isinstance(default, tuple):
            default = ",".join(map(str, default))
        if "default:" not in text and kind is not bool:
            text += f"; default: {default}"
        text = f"{text[0].upper()}{text[1:]}."
        flag = "--" + name.replace("_", "-")
        if kind is bool:
            out.append(click.Option([flag], is_flag=True, default=None, help=text))
            continue
        offers = OFFERS[traits[name].offers] if traits[name].offers else None
        out.append(click.Option([flag], type=click_type(kind), help=text, shell_complete=offers))
    return out


MODEL_OPTIONS = [
    click.Option(
        ["--model", "-m"],
        multiple=True,
        help="Registry name, local folder, hub id, or NAME=PATH; repeat for more. Default: the"
        " bundled pair.",
        shell_complete=model_names,
    ),
    click.Option(
        ["--models"],
        type=click.Path(path_type=Path),
        multiple=True,
        help="Every checkpoint in this folder, each named after its own folder; repeat for more.",
    ),
    click.Option(
        ["--dtype"],
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        default="auto",
        help="Number format of the weights; auto: bfloat16 on CUDA, else float32.",
    ),
    click.Option(["--device"], default="auto", help="Device: auto, cpu, cuda, cuda:1, mps."),
    click.Option(
        ["--device-map"],
        type=click.Choice(["auto"]),
        help="auto: a model larger than a card is spread over all cards, or all that a worker has.",
    ),
    click.Option(["--revision"], default="", help="Hub revision; default: the registry's."),
    click.Option(
        ["--quantize"],
        type=click.Choice(["4bit", "8bit"]),
        help="Quantise the weights (needs optimum-quanto).",
    ),
    click.Option(["--adapter"], default="", help="Folder of a PEFT adapter."),
    click.Option(
        ["--style"],
        type=click.Choice(["base", "chat"]),
        help="Plain text or chat messages; default: as the checkpoint was trained.",
    ),
    click.Option(
        ["--family"],
        type=click.Choice(readers()),
        help="What a folder or hub id is, whatever its config.json says.",
    ),
    click.Option(
        ["--block-size"],
        type=click.IntRange(min=0),
        help="Tokens in a block of attention, where a folder's config.json doesn't say; 0: no"
        " blocks.",
    ),
    click.Option(
        ["--rope-scale"],
        type=click.FLOAT,
        default=1.0,
        help="NTK factor: read inputs this many times as long as the model's context; default: 1.",
    ),
    click.Option(
        ["--batch-tokens"], default="auto", help="Tokens per batch, padding included, or auto."
    ),
]
SHARD = click.Option(
    ["--shard"],
    default="",
    metavar="I/N",
    help="Measure part I of N, for a job array; each in its own --output. `merge` joins them.",
)
RUN_OPTIONS = [
    click.Option(
        ["--output", "-o"], type=click.Path(path_type=Path), help="Default: results/PROBE."
    ),
    click.Option(
        ["--fresh"],
        is_flag=True,
        help="Forget the rows of this probe and these models, and start over.",
    ),
    click.Option(["--quiet", "-q"], is_flag=True, help="No progress; results only."),
]


WORKER_OPTIONS = [
    click.Option(
        ["--workers"],
        type=click.IntRange(min=0),
        default=0,
        help="Processes that work side by side, each with a card of its own, or with some cores"
        " (needs ray); default: this one alone.",
    ),
    click.Option(
        ["--ray-address"],
        default="",
        help="Workers are in this Ray cluster: auto, or HOST:PORT; default: on this machine.",
    ),
]
"""For commands whose work can be divided among processes."""


def _trusted(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.with_resource(lm_eval_trust.trusting())


TRUST = click.Option(
    ["--trust-tasks", "--trust_tasks"],
    is_flag=True,
    expose_value=False,
    callback=_trusted,
    help="Run the code of lm-eval task files that aren't lm-eval's own: !function, and metrics"
    " that are downloaded.",
)
"""For commands that can be given a task file: it holds while the command runs."""


def trust_options(options: Sequence[click.Option]) -> list[click.Option]:
    """`TRUST`, if there is an option that takes a task of lm-eval."""
    return [TRUST] if any(option.name == "lm_eval_task" for option in options) else []


def jobs_of(probe: str, plan_names: Sequence[str], given: dict[str, Any]) -> list[Job]:
    """One job for each model named, from parsed options."""
    within = models.checkpoints(*map(Path, given.get("models") or ()))
    names = [*given["model"], *within] or BUNDLED
    doubled = [name for name in names if list(names).count(name) > 1]
    if doubled:
        raise ProbeError(
            f"--model names '{doubled[0]}' twice", expected="each model once", option="model"
        )
    load = LoadOptions(
        given["dtype"],
        given["device"],
        given["revision"],
        given["quantize"] or "",
        given["adapter"],
        given["style"] or "",
        given.get("rope_scale", 1.0),
        given.get("family") or "",
        given.get("device_map") or "",
        given.get("block_size"),
    )
    if given.get("output") == Path("-"):
        raise ProbeError(
            "--output is '-'",
            expected="a folder",
            hint="only `generate` writes to the standard output",
            option="output",
        )
    options = {name: given[name] for name in plan_names}
    output = given.get("output") or Path("results") / probe
    tokens = batch_tokens(given["batch_tokens"])
    fresh = given.get("fresh", False)
    shard = shard_of(given.get("shard", ""))
    return [Job(probe, name, options, load, output, tokens, fresh, shard) for name in names]


def shard_of(text: str) -> Shard | None:
    """--shard as a part of so many; None for all."""
    if not text:
        return None
    index, slash, count = (part.strip() for part in text.partition("/"))
    i, n = whole(index), whole(count)
    if not slash or i is None or n is None or not 1 <= i <= n:
        raise ProbeError(
            f"--shard is '{text}'",
            expected="I/N: part I of N, from 1/N to N/N, such as 3/8",
            option="shard",
        )
    return Shard(i, n)


def batch_tokens(text: str) -> int | None:
    """--batch-tokens as a number, or None for "auto"."""
    if text == "auto":
        return None
    number = whole(text)
    if number is None or number < 1:
        raise ProbeError(
            f"--batch-tokens is '{text}'",
            expected="auto, or a whole number from 1",
            option="batch_tokens",
        )
    return number


def whole(text: str) -> int | None:
    """The whole number that a text is; None for any other, and for one of more than 63 bits."""
    try:
        number = int(text)
    except ValueError:
        return None
    return number if abs(number) < 2**63 else None
