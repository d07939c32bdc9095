"""How many prompts a plan has, and how long: counted on a sample of cells, without weights."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._border import Border
from mdlm_probe.models._hub import is_local
from mdlm_probe.runs import loaded_models
from mdlm_probe.runs.fitting import Fitting, fit, measure
from mdlm_probe.runs.rough_border import RoughBorder

if TYPE_CHECKING:
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.runs.plan import Plan

SAMPLE = 24
"""Cells that are written out to learn how long prompts are."""
LOOKED = 768
"""Cells that are written out to learn how many are too long, where some are."""

STRETCH = 256
"""First cells of a causal model's plan that are written out to learn how many share a pass."""


def count(plan: Plan, dry_run: DryRun) -> int:
    """Measures a few random cells on a dry run, always the same ones; returns how many."""
    chosen = random.Random(0).sample(range(len(plan.cells)), min(SAMPLE, len(plan.cells)))
    measure(plan, dry_run, [plan.cells[i] for i in sorted(chosen)])
    return len(chosen)


def _shared(plan: Plan, border: Any) -> tuple[float, float, float]:
    """Sequences, positions asked and tokens that go through the network, of those that cells ask.

    Below 1 where cells share passes, as those of a causal model do that differ only in what follows
    the asked position.
    """
    from mdlm_probe.engine.dry_run import DryRun

    if plan.entry.kind != "causal":
        return 1.0, 1.0, 1.0
    counts = []
    for sharing in (True, False):
        dry_run = DryRun(plan.entry, border, sharing=sharing)
        measure(plan, dry_run, plan.cells[:STRETCH])
        counts.append((len(dry_run.lengths), dry_run.asked, sum(dry_run.lengths)))
    queries, asked, tokens = (sent / wanted for sent, wanted in zip(*counts, strict=True))
    return queries, asked, tokens


def cell_tokens(plan: Plan, border: Border) -> tuple[float, int]:
    """Tokens that a cell asks at once, by a sample, and passes that each of its queries takes."""
    from mdlm_probe.engine.dry_run import DryRun

    dry_run = DryRun(border.entry, border)
    sampled = count(plan, dry_run)
    return dry_run.largest / sampled, max(dry_run.passes, dry_run.calls)


@dataclass(frozen=True)
class Survey:
    """How much a plan asks, scaled up from a sample of its cells.

    Attributes:
        queries, asked: sequences through the network, and positions asked in them.
        tokens: their real tokens, once a pass; `length` is the mean of a sequence.
        batch_tokens: padded tokens of a batch.
        notes: what a reader should know of the numbers.
        fault: why there is no tokenizer, if there is none.
        cells: that have room, by those that were looked at.
        left_out: how many others there are, and why.
        cached: tokens whose keys and values are kept between passes.
    """

    queries: int
    asked: int
    tokens: float
    length: float
    batch_tokens: int
    notes: list[str]
    fault: str = ""
    cells: int = 0
    left_out: tuple[str, ...] = ()
    cached: int = 0


def survey(plan: Plan, device: str, load: Callable[..., Border] | None = None) -> Survey:
    """Counts a plan's queries and tokens without weights, on a sample of its cells.

    Args:
        plan: what is to be measured.
        device: where.
        load: what gives a checkpoint's tokenizer; default: `models.load_border`.

    Raises:
        ProbeError: a prompt that can't be asked, or a folder without a tokenizer.
    """
    from mdlm_probe.engine.dry_run import DryRun
    from mdlm_probe.engine.limits import LARGEST

    notes, fault = [], ""
    try:
        border: Any = (load or models.load_border)(plan.entry, plan.job.load)
    except ProbeError as error:
        if plan.entry.source and is_local(plan.entry.source):
            raise
        border = RoughBorder(plan.entry)
        notes.append(
            f"tokens are a rough guess, within about {border.error:.0%}: there is no tokenizer"
        )
        fault = error.found
    else:
        if style := loaded_models.style_note(border):
            notes.append(style)
    dry_run = DryRun(plan.entry, border, sharing=False)
    fitted = fit(plan, border, LOOKED)
    cells = round(len(fitted.plan.cells) / fitted.looked)
    scale = cells / count(fitted.plan, dry_run)
    shared = _shared(fitted.plan, border)
    queries, asked = len(dry_run.lengths) * shared[0], dry_run.asked * shared[1]
    tokens = sum(dry_run.lengths) * shared[2] * dry_run.passes
    largest = LARGEST.get(device.partition(":")[0], LARGEST["cpu"])
    batch = plan.job.batch_tokens or largest
    if plan.options.get("cache", "none") != "none":
        notes.append("passes that keep keys and values are counted as whole ones: at most that")
    elif dry_run.calls > 1:  # it takes steps
        notes.append("at most: equal canvases go through the network once")
    if dry_run.keeps_kv:
        notes.append("memory is for the keys and values of a batch, at least")
    if dry_run.passes > 1:
        notes.append(
            f"{dry_run.passes} passes a forward in tokens and operations: the way back of gradients"
            " counts as one more"
        )
    return Survey(
        round(queries * scale),
        round(asked * scale),
        tokens * scale,
        tokens / dry_run.passes / queries,
        batch,
        notes,
        fault,
        cells,
        _left_out(plan, fitted, border.is_rough),
        batch if dry_run.keeps_kv else 0,
    )


def _left_out(plan: Plan, fitted: Fitting, rough: bool) -> tuple[str, ...]:
    """What a plan leaves out, with reasons; how many are too long is a guess by some cells."""
    found = []
    for reason, number in fitted.plan.refused.items():
        known = reason in plan.refused or (fitted.looked == 1 and not rough)
        told = str(number) if known else f"about {round(number / fitted.looked)}"
        found.append(f"{told} cells left out: {reason}")
    return tuple(found)


def scored(plan: Plan, seen: Survey) -> Survey:
    """What a scorer is asked of a plan's answers: each one once, as long as its canvas.

    That is at most: answers end early, and equal ones are scored once.
    """
    asked = sum(length * count for length, count in plan.cells.counted("length").items())
    number = len(plan.cells)
    return Survey(number, asked, number * seen.length, seen.length, seen.batch_tokens, [])
