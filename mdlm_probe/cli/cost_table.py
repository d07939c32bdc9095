"""What plans would cost as a table on the screen: a row for each, a total, and notes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from mdlm_probe.cli.show import echo_sentences, echo_table
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.plan_costs import PlanCost, PlanCosts, total

HEADS = ("run", "model", "cells", "forwards", "tokens", "operations", "memory")


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
    costs, rows = [], []
    for run, plan in named:
        try:
            costs.append(estimated.of(plan, run))
            shown = _shown(costs[-1], estimated)
        except ProbeError as error:
            if len(named) == 1:
                raise
            faults.append(f"{run} {plan.entry.name}: {error}".strip())
            shown = [str(len(plan.cells)), "can't run"]
        rows.append([run] * runs + [plan.entry.name, *shown])
    if len(named) > 1:
        rows.append(["total"] + [""] * runs + _shown(total(costs), estimated))
    if not costs:
        raise ProbeError("none can run:\n" + "\n".join(faults))
    heads = [*HEADS[1 - runs :], *_time_heads(estimated)]
    echo_table(heads, [row + [""] * (len(heads) - len(row)) for row in rows])
    echo_sentences((*dict.fromkeys(notes), *estimated.notes()))
    if faults:
        raise ProbeError(f"{len(faults)} of {len(named)} can't run:\n" + "\n".join(faults))


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
