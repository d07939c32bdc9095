"""Coordinates that cells of written answers have in common, with their meanings and units."""

from __future__ import annotations

from typing import Annotated

from mdlm_probe.core.columns import FILE, Unit
from mdlm_probe.decoding.schedule import Cache, Eos, Order

PromptsFile = Annotated[str, "name of the prompts in tasks/, or their path", FILE]
Lexicon = Annotated[str, "lexicon of the shipped prompts: full or small"]
TaskName = Annotated[str, "type of the prompt"]
PromptId = Annotated[str, "id of the prompt"]

Length = Annotated[int, "masks of the canvas after the prompt", Unit("masks")]
Steps = Annotated[int, "unmasking steps that the canvas is filled in", Unit("steps")]
BlockSize = Annotated[int, "masks of a block; blocks are filled from left to right", Unit("masks")]
CommitOrder = Annotated[Order, "which masks of a block a step commits"]
Threshold = Annotated[
    float, "confidence above which the order threshold commits a mask", Unit("probability")
]
Temperature = Annotated[float, "sampling temperature; 0: the most probable token"]
Guidance = Annotated[float, "scale of classifier-free guidance; 0: none"]
EndOfText = Annotated[
    Eos, "when an end of text may be committed: free, never (eos_inf) or last (eos_last)"
]
KeptCache = Annotated[Cache, "which keys and values are kept within a block: none, prefix or dual"]
Seed = Annotated[int, "seed of random orders and sampled tokens"]
