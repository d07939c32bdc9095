"""Options of rules that published recipes use, the same for every command that writes."""

from __future__ import annotations

from typing import Annotated

from mdlm_probe.core.options import Traits
from mdlm_probe.decoding.rules import LastBlock

LATER = Traits(later=True)

TopPOption = Annotated[
    float, "keep the most probable tokens that reach this share of each distribution; 1: all", LATER
]
TopKOption = Annotated[int, "keep so many most probable tokens of each distribution; 0: all", LATER]
AlgTempOption = Annotated[
    float, "Dream's orders: draw masks by confidence at this temperature; 0: the surest", LATER
]
EpsOption = Annotated[float, "Dream's orders: last time step of the schedule", LATER]
FactorOption = Annotated[
    float, "--order factor: the n-th surest mask needs 1 - factor / (n + 1)", LATER
]
EntropyBoundOption = Annotated[
    float, "--order entropy_bounded: nats that a step's masks may have together", LATER
]
EditThresholdOption = Annotated[
    float, "probability above which another token replaces a written one of the block; 1: none",
    LATER,
]  # fmt: skip
LastBlockOption = Annotated[
    LastBlock, "block-causal models: masks to the end of the last block, or as many as asked for",
    LATER,
]  # fmt: skip
