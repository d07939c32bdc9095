"""What plans would cost as a table on the screen: a row for each, a total, and notes."""

from __future__ import annotations

from collections.abc import Sequence

import click

from mdlm_probe.cli.show import echo_table
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.plan_costs import PlanCost, PlanCosts, total

HEADS = ("run", "model", "cells", "forwards", "tokens", "operations", "memory")


def show_plans(named: Sequence[tuple[str, Plan]], notes: Sequence[str] = (), gpu: str = "") -> None:
    """Prints what plans would cost; a tokenizer that can't be had is replaced by a rough count.

    Args:
        named: plans, each with the name of its run; "" for all: no such column.
        notes: what a reader should know beforehand.
        gpu: a GPU of `cost.CARDS` to plan for; "": this machine.
    """
    estimated = PlanCosts(gpu)
    costs = [estimated.of(plan, run) for run, plan in named]
    runs = any(run for run, _ in named)
    rows = [
        [run] * runs + [plan.entry.name, *_shown(cost, estimated)]
        for (run, plan), cost in zip(named, costs, strict=True)
    ]
    if len(rows) > 1:
        rows.append(["total"] + [""] * runs + _shown(total(costs), estimated))
    echo_table([*HEADS[1 - runs :], *_time_heads(estimated)], rows)
    for note in (*dict.fromkeys(notes), *estimated.notes()):
        click.echo(note)


def _time_heads(estimated: PlanCosts) -> list[str]:
    """Heads of the columns after HEADS."""
    here = [] if estimated.gpu else [f"time on {estimated.device}"]
    return here + ([f"time on {estimated.card}"] if estimated.with_card else [])


def _shown(cost: PlanCost, estimated: PlanCosts) -> list[str]:
    """The fields of a row from `cells` on."""
    times = [] if estimated.gpu else [cost.seconds]
    times += [cost.gpu_seconds] if estimated.with_card else []
    return [
        str(cost.cells),
        estimate.quantity(cost.forwards) if cost.forwards >= 10**6 else str(cost.forwards),
        estimate.quantity(cost.tokens),
        estimate.quantity(cost.operations) if cost.operations else "unknown",
        f"{cost.memory / 2**30:.2f} GiB" if cost.memory else "unknown",
        *("unknown" if seconds is None else estimate.duration(seconds) for seconds in times),
    ]
