"""Coordinates of the probe `context`: a span of a text, and what it is asked with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from mdlm_probe.core.cells import seeded_as
from mdlm_probe.core.columns import Holds, Unit
from mdlm_probe.decoding import coordinates

Beyond = Literal["cut", "masks"]
"""What stands where a text goes on, but isn't shown."""
Order = Literal["left_to_right", "right_to_left", "random"]
"""Those that hang on nothing that is read: every right side is scored in the same one."""


@dataclass(frozen=True, slots=True)
class Cell(coordinates.PromptCell):
    """A span of one text, scored with nothing at its right and with every right side."""

    span_tokens: Annotated[
        int, "length of the span; 0: the prompt's whole answer", Unit("tokens"), Holds("span")
    ]
    beyond: Annotated[Beyond, "what stands where the text goes on unseen: nothing (cut), or masks"]
    chain_order: Annotated[str, "in which the chain rule scores the span's tokens", Holds("order")]
    right_amounts: Annotated[
        str, "tokens wanted at the right of the span, all of them", Holds("right")
    ] = field(metadata=seeded_as(""))
    right_sources: Annotated[
        str, "whose tokens stand at the right of the span, all of them", Holds("right_from")
    ] = field(metadata=seeded_as(""))
    seed: coordinates.Seed
