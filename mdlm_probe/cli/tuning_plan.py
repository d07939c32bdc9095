"""The commands `plan tune OBJECTIVE`: what a tuning would cost."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from mdlm_probe.cli.commands import tune
from mdlm_probe.cli.cost_table import UNKNOWN
from mdlm_probe.cli.groups import ProbeGroup
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table
from mdlm_probe.core import catalog, quantities
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs.plan_costs import USUAL, gpu_hours
from mdlm_probe.tuning.request import Tuning

HEADS = ("model", "steps", "samples", "tokens", "scored", "trained", "operations", "memory")


def plan_objective(name: str, gpu_option: click.Option) -> click.Command:
    """The command that says what a tuning with an objective would cost."""

    def callback(gpu: str | None, **given: Any) -> None:
        from mdlm_probe.runs import tuning_cost

        asked = tune.tuning_of(name, given)
        # as on the card that is planned for
        dtype = "bfloat16" if given["dtype"] == "auto" else given["dtype"]
        found = tuning_cost.cost(asked, dtype, again=given["gradient_checkpointing"] != "off")
        card = gpu or USUAL
        seconds = found.operations and found.operations / (estimate.CARDS[card] * estimate.SHARE)
        counts = (found.tokens, found.scored, found.trained)
        row = [asked.model, *map(quantities.in_words, (found.steps, found.samples))]
        row += [quantities.in_words(count) if count else UNKNOWN for count in counts]
        row += [quantities.operations(found.operations) if found.operations else UNKNOWN]
        row += [quantities.memory(found.memory) if found.memory else UNKNOWN]
        row += [quantities.duration(seconds) if seconds else UNKNOWN]
        record = {"model": asked.model, **asdict(found), "gpu_seconds": seconds}
        del record["notes"]
        echo_table([*HEADS, f"time on {card}"], [row], records=[record])
        if seconds:
            echo(f"In all: {gpu_hours(seconds, card)}.")
        for note in found.notes:
            echo(note)
        echo(
            f"Memory: of one device, {found.at_once} samples at once, weights in "
            f"{'float32' if asked.full else dtype}; time: of one {card}, if it reaches"
            f" {estimate.SHARE:.0%} of its published speed."
        )

    return click.Command(
        name,
        callback=callback,
        params=[*tune.options(name), gpu_option],
        help=f"What `tune {name}` would cost: steps, tokens, operations, memory, GPU-hours.\n\n"
        f"Example: mdlm-probe plan tune {name} --model llada-8b",
        short_help=catalog.first_line(tune.PART, name),
    )


def told(asked: Tuning, gpu: str | None) -> str:
    """What a tuning would cost, in a sentence; no data are fetched for that."""
    from mdlm_probe.runs import tuning_cost

    known = asked.options | {"data": asked.options["data"] if is_local(asked) else ""}
    dtype = "bfloat16" if asked.load.dtype == "auto" else asked.load.dtype
    again = asked.options["gradient_checkpointing"] != "off"
    found = tuning_cost.cost(replace(asked, options=known), dtype, again)
    card = gpu or USUAL
    time = "unknown time"
    if found.operations:
        time = gpu_hours(found.operations / (estimate.CARDS[card] * estimate.SHARE), card)
    return (
        f"trains {asked.model} with {asked.objective}: {found.steps} steps,"
        f" {quantities.in_words(found.tokens)} tokens, {time}"
    )


def is_local(asked: Tuning) -> bool:
    """Whether a tuning's data are a file."""
    from mdlm_probe.tuning import conversations

    return conversations.path_of(asked.options["data"] or "").is_file()


def group(gpu_option: click.Option) -> click.Group:
    """The group of them all."""
    return ProbeGroup(
        name="tune",
        make=lambda name: plan_objective(name, gpu_option),
        part=tune.PART,
        titles=("Objectives", "Commands"),
        subcommand_metavar="OBJECTIVE ...",
        help="What a tuning would cost: steps, tokens, operations, memory, GPU-hours; loads no"
        " weights.\n\nExample: mdlm-probe plan tune mask-agnostic --model llada-8b",
        short_help="What a tuning would cost.",
    )
