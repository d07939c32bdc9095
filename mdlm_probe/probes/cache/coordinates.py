"""Coordinates of the probe `cache`: one prompt, and which keys and values are kept."""

from __future__ import annotations

from dataclasses import dataclass

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding import coordinates
from mdlm_probe.decoding.schedule import Schedule


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """One prompt answered exactly and from kept keys and values; `block` masks are one block."""

    length: coordinates.Length
    steps: coordinates.Steps
    order: coordinates.CommitOrder
    threshold: coordinates.Threshold
    temperature: coordinates.Temperature
    eos: coordinates.EndOfText
    seed: coordinates.Seed
    block: coordinates.BlockSize
    cache: coordinates.KeptCache

    def schedule(self) -> Schedule:
        """How its canvas is filled in: the same random numbers for every block and cache."""
        seed = seed_of(self.seed, self.prompts, self.lexicon, self.prompt)
        return coordinates.schedule_of(self, seed)
