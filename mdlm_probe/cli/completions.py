"""What the shell offers after a Tab: models, tasks, suites, prompts. Nothing here loads torch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable

import click
import yaml
from click.shell_completion import CompletionItem

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped, suite, texts
from mdlm_probe.runs import generate

BUNDLED = ("tiny-mdlm", "tiny-arlm")
"""The bundled models, used when none is named."""

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
Offer = tuple[str, str]
"""A value, and what is said of it where the shell shows that."""


def completer(files: str = "") -> Callable[[Callable[[click.Context], Iterable[Offer]]], Completer]:
    """Makes a completer from a function that lists all offers.

    The last part of a list is completed, and parts that are there are not offered again. What
    can't be listed, such as the tasks of a file that isn't there, offers nothing.

    Args:
        files: "dir" or "file" to offer these as well, or "".
    """

    def decorate(offers: Callable[[click.Context], Iterable[Offer]]) -> Completer:
        @functools.wraps(offers)
        def complete(
            ctx: click.Context, param: click.Parameter, incomplete: str
        ) -> list[CompletionItem]:
            try:
                found = list(offers(ctx))
            except (ProbeError, OSError, yaml.YAMLError):
                found = []
            several = ctx.params.get(param.name) if getattr(param, "multiple", False) else None
            head, comma, last = "", "", incomplete
            if is_list(param):
                head, comma, last = incomplete.rpartition(",")
            taken = {*(several or ()), *head.split(",")}
            # paths come first: bash forgets what stood before them
            items = [CompletionItem(incomplete, type=files)] if files else []
            return items + [
                CompletionItem(f"{head}{comma}{name}", help=text)
                for name, text in dict(found).items()
                if name.startswith(last) and name not in taken
            ]

        return complete

    return decorate


def is_list(param: click.Parameter) -> bool:
    """Whether values are separated by commas."""
    return param.type.name.endswith(",...")


@completer("dir")
def model_names(ctx: click.Context) -> Iterable[Offer]:
    """Registered checkpoints; folders, too."""
    return [(entry.name, entry.note) for entry in models.entries()]


@completer()
def probe_names(ctx: click.Context) -> Iterable[Offer]:
    """Probes, with their questions."""
    return catalog.questions()


@completer("file")
def suite_names(ctx: click.Context) -> Iterable[Offer]:
    """Shipped suites; files, too."""
    return [(name, "") for name in shipped.suites()]


@completer("file")
def prompt_names(ctx: click.Context) -> Iterable[Offer]:
    """Shipped prompts; files, too."""
    folders = {path.parent.name for path in shipped.folder().glob("*/*.jsonl")}
    return [(name, "") for name in sorted(folders - {"lm_eval"})]


@completer()
def task_names(ctx: click.Context) -> Iterable[Offer]:
    """Tasks of the suite, or types of the prompts, that the command line means so far."""
    name = ctx.info_name or ""
    if name == "eval":
        return lm_tasks()
    plan = generate.plan if name == "generate" else catalog.load("probe", name).plan
    known = {key: option.default for key, option in inspect.signature(plan).parameters.items()}
    first = models.registry().get((ctx.params.get("model") or BUNDLED)[0])
    known |= first.defaults_for(name) if first else {}
    known |= {key: value for key, value in ctx.params.items() if value}
    if "suite" in known:
        sets = suite.load(known["suite"], known["lexicon"]).sets
        named = [*sets, *(one.relevant.name for one in sets.values())]
    else:
        named = [text.task for text in texts.load(known["prompts"], known["lexicon"])]
    return [(task, "") for task in (*dict.fromkeys(named), "all")]


def lm_tasks() -> list[Offer]:
    """Shipped tasks of lm-eval, by their files."""
    files = sorted((shipped.folder() / "lm_eval").glob("[!_]*.yaml"))
    return [(path.stem, "") for path in files if "\ntask:" in path.read_text(encoding="utf-8")]


@completer()
def lm_task_names(ctx: click.Context) -> Iterable[Offer]:
    """Shipped tasks of lm-eval."""
    return lm_tasks()


@completer()
def format_names(ctx: click.Context) -> Iterable[Offer]:
    """Formats that runs are exported to, with what they are."""
    return [(name, catalog.first_line("format", name)) for name in catalog.names("format")]


def lexicons(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The two lists of words."""
    return [CompletionItem(name) for name in texts.LEXICONS if name.startswith(incomplete)]


OFFERS: dict[str, Completer] = {
    "models": model_names,
    "tasks": task_names,
    "suites": suite_names,
    "prompts": prompt_names,
    "lexicons": lexicons,
    "lm_eval_tasks": lm_task_names,
}
"""Completers by what they offer, as plans name it (see `core.options.Traits`)."""
