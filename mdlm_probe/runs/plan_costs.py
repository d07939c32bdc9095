"""What plans cost, one after another: forwards, operations, memory and time, and notes on them."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mdlm_probe import models
from mdlm_probe.core import machine, quantities
from mdlm_probe.core.contract import value
from mdlm_probe.core.extras import advice, is_there
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.runs import cost as estimate
from mdlm_probe.runs import loaded_models, survey
from mdlm_probe.runs.cost import Cost
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.survey import Survey

USUAL = "h100"
"""The GPU whose hours are told where this machine has none."""


@dataclass(frozen=True)
class PlanCost:
    """What a plan costs; None where a model's geometry isn't known.

    Attributes:
        cells, forwards, tokens: how much is asked, sequences and their tokens once a pass.
        operations: floating-point operations.
        memory: bytes.
        seconds: on this machine's device; None where a GPU was named.
        gpu_seconds: on a GPU by its published speed.
    """

    cells: int
    forwards: int
    tokens: float
    operations: float | None
    memory: float | None
    seconds: float | None
    gpu_seconds: float | None


def total(costs: Sequence[PlanCost]) -> PlanCost:
    """All of them, one after another: sums, and the largest memory. What isn't known adds nothing,
    unless nothing is known at all.
    """

    def known(name: str) -> list[float]:
        return [value for cost in costs if (value := getattr(cost, name)) is not None]

    def summed(name: str) -> float | None:
        return sum(known(name)) if known(name) else None

    return PlanCost(
        sum(cost.cells for cost in costs),
        sum(cost.forwards for cost in costs),
        sum(cost.tokens for cost in costs),
        summed("operations"),
        max(known("memory"), default=None),
        summed("seconds"),
        summed("gpu_seconds"),
    )


def gpu_hours(seconds: float, card: str) -> str:
    """A time on a GPU, as it is paid for: 19 GPU-hours on an H100."""
    article = "an" if card[0] in "ahlr" else "a"
    return f"{quantities.hours(seconds)} GPU-hours on {article} {card.upper()}"


@dataclass(frozen=True)
class Passes:
    """One model's passes: how much it is asked, what they cost, and how long they take here."""

    seen: Survey
    cost: Cost
    seconds: float | None


class PlanCosts:
    """Estimates plans one after another; tokenizers are loaded and layers timed once for all.

    Args:
        gpu: a GPU of `cost.CARDS` to plan for; "": this machine.
        made: adapters that will have been trained by then.

    Attributes:
        device: of this machine, once a plan was estimated.
        card: the GPU whose published speed is told beside it.
    """

    def __init__(self, gpu: str = "", made: Collection[str] = ()) -> None:
        self._made = made
        self.gpu, self.card, self.device = gpu, gpu or USUAL, ""
        self._loaded = loaded_models.LoadedModels()
        self._rates: dict[tuple[int, str, str], float] = {}
        self._fault = ""
        self._notes: dict[tuple[str, str], dict[str, None]] = {}
        self._models: dict[str, None] = {}
        self._dtypes: dict[str, None] = {}
        self._batches: dict[int, None] = {}

    def of(self, plan: Plan, run: str = "") -> PlanCost:
        """What a plan costs, its scorer with it.

        Args:
            plan: what is to be measured.
            run: its name, for the notes.

        Raises:
            ProbeError: an unknown device, or an adapter that doesn't fit.
        """
        if plan.job.load.adapter not in self._made:
            models.check_adapter(plan.entry, plan.job.load)
        self._models[plan.entry.name] = None
        device, dtype = self._place(plan.job.load)
        seen = self._surveyed(plan, run, device)
        self._dtypes[dtype] = self._batches[seen.batch_tokens] = None
        gradients = value("probe", plan.probe, "GRADIENTS")
        if gradients:
            note = "memory is for the gradients of one prompt at a time, at least"
            self._note(note, plan.entry.name)
        own = self._passes(plan.entry, plan.job.load, seen, device, dtype, gradients)
        return self._together(seen.cells, own, self._scored(plan, run, seen, device, dtype))

    @property
    def with_card(self) -> bool:
        """Whether a GPU's hours are told: where one is named, or this machine has none."""
        return bool(self.gpu) or not self.device.startswith("cuda")

    def _place(self, load: LoadOptions) -> tuple[str, str]:
        """The device and number format that a model would have."""
        if self.gpu:
            self.device = "cuda"
            return "cuda", "bfloat16" if load.dtype == "auto" else load.dtype
        if load.device in ("auto", "cpu") and load.dtype == "auto" and not machine.may_have_gpu():
            self.device = "cpu"
            return "cpu", "float32"
        from mdlm_probe.models._load import pick_device, pick_dtype

        picked = pick_device(load.device)
        self.device = str(picked)
        return self.device, str(pick_dtype(load.dtype, picked)).removeprefix("torch.")

    def _surveyed(self, plan: Plan, run: str, device: str) -> Survey:
        """How much a plan asks; notes what is left out, and what is a guess."""
        seen = survey.survey(plan, device, self._loaded.border)
        for text in seen.left_out:
            self._note(text, plan.entry.name, run)
        for note in seen.notes:
            self._note(note, plan.entry.name)
        self._fault = self._fault or seen.fault
        return seen

    def _scored(self, plan: Plan, run: str, seen: Survey, device: str, dtype: str) -> Passes | None:
        """The passes of a plan's scorer; None where there is none."""
        scorer = loaded_models.scorer_of(plan.options, plan.entry)
        if scorer is None:
            return None
        self._note(f"with {scorer.name}, which scores what is written", plan.entry.name, run)
        load = loaded_models.scorer_load(scorer, plan.job.load)
        return self._passes(scorer, load, survey.scored(plan, seen), device, dtype)

    def _passes(
        self,
        entry: Checkpoint,
        load: LoadOptions,
        seen: Survey,
        device: str,
        dtype: str,
        gradients: bool = False,
    ) -> Passes:
        """What a model's passes cost, and the seconds that they take here."""
        asked = (seen.tokens, seen.asked, seen.length, seen.batch_tokens)
        cost = estimate.cost(entry, load, dtype, *asked, gradients, seen.cached)
        if load.quantize:
            self._note(
                f"{load.quantize} weights are taken to be as fast as {dtype} ones: they are slower",
                entry.name,
            )
            if not is_there("optimum.quanto"):
                self._note(f"--quantize needs optimum-quanto: {advice('quanto')}", entry.name)
        if cost.operations is None or self.gpu:
            return Passes(seen, cost, None)
        at = (estimate.layer_size(entry.geometry), device, dtype)
        if at not in self._rates:
            timed = estimate.layer_rate if "torch" in sys.modules else estimate.layer_rate_aside
            self._rates[at] = timed(entry.geometry, device, dtype)
        return Passes(seen, cost, cost.operations / (self._rates[at] * estimate.PACE))

    def _together(self, cells: int, own: Passes, scored: Passes | None) -> PlanCost:
        """A model's passes with its scorer's, which follow them."""
        cost, seconds = own.cost, own.seconds
        forwards, tokens = own.seen.queries, own.seen.tokens
        if scored:
            cost = cost.with_scorer(scored.cost)
            forwards, tokens = forwards + scored.seen.queries, tokens + scored.seen.tokens
            both = (seconds, scored.seconds)
            seconds = None if None in both else sum(s for s in both if s is not None)
        speed = estimate.CARDS[self.card] * estimate.SHARE
        on_card = cost.operations and cost.operations / speed
        return PlanCost(cells, forwards, tokens, cost.operations, cost.memory, seconds, on_card)

    def _note(self, text: str, model: str, run: str = "") -> None:
        self._notes.setdefault((run, text), {})[model] = None

    def notes(self) -> list[str]:
        """What a reader should know, each thing once; and how the numbers came about."""
        notes = [
            f"{run}{run and ': '}{self._named(models)}: {text}"
            for (run, text), models in self._notes.items()
        ]
        if self._fault:
            notes.append(f"No tokenizer: {self._fault}")
        notes.append(f"Tokens are scaled up from {survey.SAMPLE} cells.")
        notes.append(self._memory_note())
        if self._rates:
            notes.append(self._time_note())
        if self.with_card:
            notes.append(self._card_note())
        return notes

    def _named(self, models: Collection[str]) -> str:
        """Models of a note, by their names unless they are all of several."""
        return ", ".join(models) if len(models) < max(2, len(self._models)) else "all models"

    def _memory_note(self) -> str:
        batches = " or ".join(map(str, self._batches))
        of = "such a card" if self.gpu else "this machine"
        return (
            f"Memory: weights and activations in {' or '.join(self._dtypes)}, the number format on"
            f" {of}, in batches of {batches} tokens; smaller ones are taken where less is free."
        )

    def _time_note(self) -> str:
        speeds = ", ".join(quantities.flops(rate) for rate in self._rates.values())
        return (
            f"Time on {self.device}: in {' or '.join(self._dtypes)}, at {estimate.PACE:.0%} of"
            f" the speed of single layers of such sizes, timed now ({speeds})."
        )

    def _card_note(self) -> str:
        peak = quantities.flops(estimate.CARDS[self.card])
        return (
            f"Time on {self.card}: GPU-hours of one card, if it reaches {estimate.SHARE:.0%}"
            f" of its published {peak} (dense bfloat16); --gpu"
            f" {'names another' if self.gpu else 'plans for one, its memory with it'}."
        )
