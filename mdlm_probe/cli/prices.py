"""What plans would cost: a row for each, and what a reader should know of the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from mdlm_probe.cli.show import echo_table
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs import loaded_models, survey
from mdlm_probe.runs.cost import Cost
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.survey import Survey

HEADS = ("run", "model", "cells", "forwards", "tokens", "operations", "memory")
USUAL = "h100"
"""The card whose hours are told where there is none."""


@dataclass(frozen=True)
class Price:
    """What a plan costs; None where a model's geometry isn't known.

    Attributes:
        cells, forwards, tokens: how much is asked, sequences and their tokens once a pass.
        operations: floating-point operations.
        memory: bytes.
        seconds: on this machine's device; None where a card was named.
        card: seconds on a card.
    """

    cells: int
    forwards: int
    tokens: float
    operations: float | None
    memory: float | None
    seconds: float | None
    card: float | None


def show_plans(named: Sequence[tuple[str, Plan]], notes: Sequence[str] = (), gpu: str = "") -> None:
    """Prints what plans would cost; a tokenizer that can't be had is replaced by a rough count.

    Args:
        named: plans, each with the name of its run; "" for all: no such column.
        notes: what a reader should know beforehand.
        gpu: a card of `estimate.CARDS` to plan for; "": this machine.
    """
    pricing = Pricing(gpu)
    prices = [pricing.of(plan, run) for run, plan in named]
    runs = any(run for run, _ in named)
    rows = [
        [run] * runs + [plan.entry.name, *pricing.shown(price)]
        for (run, plan), price in zip(named, prices, strict=True)
    ]
    if len(rows) > 1:
        rows.append(["total"] + [""] * runs + pricing.shown(total(prices)))
    echo_table([*HEADS[1 - runs :], *pricing.heads()], rows)
    for note in (*dict.fromkeys(notes), *pricing.notes()):
        click.echo(note)


def total(prices: Sequence[Price]) -> Price:
    """All of them, one after another: sums, and the largest memory. What isn't known adds nothing,
    unless nothing is known at all.
    """

    def known(name: str) -> list[float]:
        return [value for price in prices if (value := getattr(price, name)) is not None]

    sums = {n: sum(known(n)) if known(n) else None for n in ("operations", "seconds", "card")}
    return Price(
        sum(price.cells for price in prices),
        sum(price.forwards for price in prices),
        sum(price.tokens for price in prices),
        memory=max(known("memory"), default=None),
        **sums,
    )


class Pricing:
    """Prices plans one after another; tokenizers are loaded and layers timed once for all.

    Args:
        gpu: as for `show_plans`.
    """

    def __init__(self, gpu: str = "") -> None:
        self._gpu, self._card = gpu, gpu or USUAL
        self._shelf = loaded_models.LoadedModels()
        self._rates: dict[tuple[Any, ...], float] = {}
        self._device = self._fault = ""
        self._notes: dict[tuple[str, str], dict[str, None]] = {}
        self._dtypes: dict[str, None] = {}
        self._batches: dict[int, None] = {}

    def of(self, plan: Plan, run: str = "") -> Price:
        """What a plan costs, its scorer with it.

        Args:
            plan: what is to be measured.
            run: its name, for the notes.

        Raises:
            ProbeError: an unknown device.
        """
        load, name = plan.job.load, plan.entry.name
        device, dtype = self._place(load)
        for reason, number in plan.refused.items():
            self._note(f"{number} cells left out: {reason}", name, run)
        seen = survey.survey(plan, device, self._shelf.border)
        for note in seen.notes:
            self._note(note, name)
        self._fault = self._fault or seen.fault
        self._dtypes[dtype] = self._batches[seen.batch_tokens] = None
        gradients = getattr(plan.probe, "GRADIENTS", False)
        if gradients:
            self._note("memory is for the gradients of one prompt at a time, at least", name)
        cost, seconds = self._costs(plan.entry, load, seen, device, dtype, gradients)
        forwards, tokens = seen.queries, seen.tokens
        if scorer := loaded_models.scorer_of(plan.options, plan.entry):
            self._note(f"with {scorer.name}, which scores what is written", name, run)
            more, how = survey.scored(plan, seen), loaded_models.scorer_load(scorer, load)
            own, own_seconds = self._costs(scorer, how, more, device, dtype)
            cost = cost.with_scorer(own)
            forwards, tokens = forwards + more.queries, tokens + more.tokens
            seconds = None if seconds is None or own_seconds is None else seconds + own_seconds
        card = cost.operations and cost.operations / (estimate.CARDS[self._card] * estimate.SHARE)
        return Price(
            *(len(plan.cells), forwards, tokens, cost.operations, cost.memory, seconds, card)
        )

    def _place(self, load: LoadOptions) -> tuple[str, str]:
        """The device and number format that a model would have."""
        from mdlm_probe.models._load import pick_device, pick_dtype

        if self._gpu:
            self._device = "cuda"
            return "cuda", "bfloat16" if load.dtype == "auto" else load.dtype
        picked = pick_device(load.device)
        self._device = str(picked)
        return self._device, str(pick_dtype(load.dtype, picked)).removeprefix("torch.")

    def _costs(
        self,
        entry: Checkpoint,
        load: LoadOptions,
        seen: Survey,
        device: str,
        dtype: str,
        gradients: bool = False,
    ) -> tuple[Cost, float | None]:
        """What passes cost, and the seconds that they take here."""
        asked = (seen.tokens, seen.asked, seen.length, seen.batch_tokens)
        cost = estimate.cost(entry, load, dtype, *asked, gradients)
        if load.quantize:
            self._note(
                f"{load.quantize} weights are taken to be as fast as {dtype} ones: they are slower",
                entry.name,
            )
        if cost.operations is None or self._gpu:
            return cost, None
        at = (estimate.layer_size(entry.geometry), device, dtype)
        if at not in self._rates:
            self._rates[at] = estimate.layer_rate(entry.geometry, device, dtype)
        return cost, cost.operations / (self._rates[at] * estimate.PACE)

    @property
    def _on_card(self) -> bool:
        """Whether a card's hours are told: where one is named, or this machine has none."""
        return bool(self._gpu) or not self._device.startswith("cuda")

    def heads(self) -> list[str]:
        """Heads of the columns after HEADS."""
        here = [] if self._gpu else [f"time on {self._device}"]
        return here + ([f"time on {self._card}"] if self._on_card else [])

    def shown(self, price: Price) -> list[str]:
        """A price as a row's cells."""
        times = ([] if self._gpu else [price.seconds]) + ([price.card] if self._on_card else [])
        return [
            str(price.cells),
            estimate.quantity(price.forwards) if price.forwards >= 10**6 else str(price.forwards),
            estimate.quantity(price.tokens),
            estimate.quantity(price.operations) if price.operations else "unknown",
            f"{price.memory / 2**30:.2f} GiB" if price.memory else "unknown",
            *("unknown" if seconds is None else estimate.duration(seconds) for seconds in times),
        ]

    def _note(self, text: str, model: str, run: str = "") -> None:
        self._notes.setdefault((run, text), {})[model] = None

    def notes(self) -> list[str]:
        """What a reader should know, each thing once; and how the numbers came about."""
        notes = [
            f"{run}{run and ': '}{', '.join(models)}: {text}"
            for (run, text), models in self._notes.items()
        ]
        if self._fault:
            notes.append(f"No tokenizer: {self._fault}")
        notes.append(f"Tokens are scaled up from {survey.SAMPLE} cells.")
        batches = " or ".join(map(str, self._batches))
        of = "such a card" if self._gpu else "this machine"
        notes.append(
            f"Memory: weights and activations in {' or '.join(self._dtypes)}, the number format on"
            f" {of}, in batches of {batches} tokens; smaller ones are taken where less is free."
        )
        if self._rates:
            speeds = ", ".join(estimate.quantity(rate) for rate in self._rates.values())
            notes.append(
                f"Time on {self._device}: in {' or '.join(self._dtypes)}, at {estimate.PACE:.0%} of"
                f" the speed of single layers of such sizes, timed now ({speeds} op/s)."
            )
        if self._on_card:
            peak = estimate.quantity(estimate.CARDS[self._card])
            notes.append(
                f"Time on {self._card}: GPU-hours of one card, if it reaches {estimate.SHARE:.0%}"
                f" of its published {peak} op/s (dense bfloat16); --gpu"
                f" {'names another' if self._gpu else 'plans for one, its memory with it'}."
            )
        return notes
