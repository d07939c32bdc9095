"""Coordinates of the probe `blocks`: one prompt, and how its canvas is filled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding import coordinates
from mdlm_probe.decoding.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """One prompt, and how its canvas is filled in."""

    length: coordinates.Length
    block: coordinates.BlockSize
    steps: coordinates.Steps
    order: coordinates.CommitOrder
    threshold: coordinates.Threshold
    temperature: coordinates.Temperature
    guidance: coordinates.Guidance
    eos: coordinates.EndOfText
    cache: coordinates.KeptCache
    early_stop: Annotated[str, "whether decoding ends once the text is whole: yes or no"]
    seed: coordinates.Seed

    def schedule(self) -> Schedule:
        """As the loop takes it; equal random numbers for one prompt, whatever the schedule."""
        seed = seed_of("blocks", self.prompt, self.seed)
        return coordinates.schedule_of(self, seed, stop=self.early_stop == "yes")
