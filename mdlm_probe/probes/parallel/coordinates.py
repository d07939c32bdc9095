"""Coordinates of the probe `parallel`: one list task, and how its answer is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import FILE, Unit
from mdlm_probe.decoding import coordinates, rules
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.prompts.list_tasks import Family


@dataclass(frozen=True, slots=True)
class Cell:
    """One list task, and how many of its answer's slots a step fills in."""

    lists: Annotated[str, "name of the list tasks in tasks/, or their path", FILE]
    lexicon: coordinates.Lexicon
    seed: coordinates.Seed
    shots: Annotated[int, "relevant examples", Unit("examples")]
    temperature: coordinates.Temperature
    threshold: coordinates.Threshold
    family: Annotated[Family, "what is to be done with the list"]
    list_length: Annotated[int, "words of the list", Unit("words")]
    item: coordinates.Item
    order: coordinates.CommitOrder
    asked_per_step: Annotated[
        int, "masks that a step is to commit; 0: as many as the order does", Unit("masks")
    ]

    def schedule(self) -> Schedule:
        """As the loop takes it; equal random numbers for one item, whatever the schedule."""
        order, settings = rules.split(self.order)
        return Schedule(
            order=order,
            threshold=self.threshold,
            temperature=self.temperature,
            stop=False,
            at_once=self.asked_per_step,
            seed=seed_of("parallel", self.family, self.list_length, self.item, self.seed),
            rule_settings=settings,
        )
