"""What plans would cost as a table on the screen: a row for each, a sum, and notes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict

from mdlm_probe.cli.show import echo_sentences, echo_table
from mdlm_probe.core import quantities
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.plan_costs import PlanCost, PlanCosts, gpu_hours, total

UNKNOWN = "unknown"


def show_plans(
    named: Sequence[tuple[str, Plan]],
    notes: Sequence[str] = (),
    gpu: str = "",
    made: Collection[str] = (),
) -> None:
    """Prints what plans would cost; a tokenizer that can't be had is replaced by a rough count.

    Args:
        named: plans, each with the name of its run; "" for all: no such column.
        notes: what a reader should know beforehand.
        gpu: a GPU of `cost.CARDS` to plan for; "": this machine.
        made: adapters that the study trains before.

    Raises:
        ProbeError: plans that can't run; of several, after the table of all.
    """
    estimated, faults = PlanCosts(gpu, made), []
    runs = any(run for run, _ in named)
    costs: list[tuple[str, Plan, PlanCost | None]] = []
    for run, plan in named:
        cost = None
        try:
            cost = estimated.of(plan, run)
        except ProbeError as error:
            if len(named) == 1:
                raise
            faults.append(f"{run} {plan.entry.name}: {error}".strip())
        costs.append((run, plan, cost))
    known = [cost for _, _, cost in costs if cost]
    if not known:
        raise ProbeError("none can run:\n" + "\n".join(faults))
    heads = ["run"] * runs + ["model", *_heads(estimated)]
    rows = [
        [run] * runs
        + [plan.entry.name, *(_shown(cost, estimated) if cost else _faulty(plan, estimated))]
        for run, plan, cost in costs
    ]
    records = [
        {"run": run, "model": plan.entry.name, **(asdict(cost) if cost else {})}
        for run, plan, cost in costs
    ]
    echo_table(heads, rows, records=records)
    echo_sentences((_sum(total(known), estimated), *dict.fromkeys(notes), *estimated.notes()))
    if faults:
        raise ProbeError(f"{len(faults)} of {len(named)} can't run:\n" + "\n".join(faults))


def _heads(estimated: PlanCosts) -> list[str]:
    """Heads after the model's: first what decides whether a plan is run, for narrow screens."""
    card = [f"time on {estimated.card}"] if estimated.with_card else []
    here = [] if estimated.gpu else [f"time on {estimated.device}"]
    return ["tokens", "memory", *card, *here, "cells", "forwards", "operations"]


def _shown(cost: PlanCost, estimated: PlanCosts) -> list[str]:
    """The fields of a row after the model's name."""
    times = [cost.gpu_seconds] if estimated.with_card else []
    times += [] if estimated.gpu else [cost.seconds]
    return [
        quantities.in_words(cost.tokens),
        quantities.memory(cost.memory) if cost.memory else UNKNOWN,
        *(UNKNOWN if seconds is None else quantities.duration(seconds) for seconds in times),
        quantities.in_words(cost.cells),
        quantities.in_words(cost.forwards),
        quantities.operations(cost.operations) if cost.operations else UNKNOWN,
    ]


def _faulty(plan: Plan, estimated: PlanCosts) -> list[str]:
    """The fields of a plan that can't run."""
    missing = [""] * (len(_heads(estimated)) - 4)
    return ["can't run", *missing, quantities.in_words(len(plan.cells)), "", ""]


def _sum(cost: PlanCost, estimated: PlanCosts) -> str:
    """What all plans cost, in a sentence."""
    counts = {
        "cells": cost.cells,
        "forwards": cost.forwards,
        "tokens": cost.tokens,
    }
    parts = [f"{quantities.in_words(count)} {name}" for name, count in counts.items()]
    if cost.operations:
        parts.append(f"{quantities.operations(cost.operations)} operations")
    if estimated.with_card and cost.gpu_seconds is not None:
        parts.append(gpu_hours(cost.gpu_seconds, estimated.card))
    if not estimated.gpu and cost.seconds is not None:
        parts.append(f"{quantities.duration(cost.seconds)} on this machine's {estimated.device}")
    return f"In all: {', '.join(parts)}."
