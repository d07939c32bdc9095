"""What the options of a tuning choose, before anything is read. No torch."""

from __future__ import annotations

from typing import Any

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.tuning.corruption import Objective
from mdlm_probe.tuning.recipe import CONTEXT, Recipe
from mdlm_probe.tuning.request import Tuning


def chosen(asked: Tuning) -> tuple[Checkpoint, Recipe, Objective]:
    """What the options choose, before anything is read.

    Raises:
        ProbeError: a model that can't be tuned, or wrong options.
    """
    entry = models.entry_for(asked.model, asked.load)
    if entry.kind != "masked" or not entry.gradients:
        raise ProbeError(
            f"'{entry.name}' can't be tuned: it is "
            + ("no network" if not entry.gradients else f"a {entry.kind} model"),
            expected="a masked checkpoint with weights",
            option="model",
        )
    if entry.block:
        raise ProbeError(
            f"'{entry.name}' can't be tuned: it attends in blocks of {entry.block}, and the"
            " objectives mask answers of many blocks, of which it never sees a masked one",
            expected="a masked checkpoint that attends to all, such as a2d-0.6b-mdlm",
            option="model",
        )
    objective: Objective = catalog.load("objective", asked.objective).plan(**_given(asked.own))
    context = min(CONTEXT, entry.context or CONTEXT)
    plan = Recipe(**{"context": context, **_given(asked.options)})
    if entry.context and plan.lengths.context > entry.context:
        raise ProbeError(
            f"--context {plan.lengths.context} is more than '{entry.name}' reads",
            expected=f"{entry.context} or less",
            option="context",
        )
    return entry, plan, objective


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options that a user chose."""
    return {name: value for name, value in options.items() if value is not None}
