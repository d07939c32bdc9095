"""Coordinates that cells of several probes have, with their meanings and units."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any

from mdlm_probe.core import shared_columns as shared
from mdlm_probe.core.columns import FILE, Unit
from mdlm_probe.decoding import rules
from mdlm_probe.decoding.schedule import Cache, Eos, Schedule

PromptsFile = Annotated[str, "name of the prompts in tasks/, or their path", FILE]
Lexicon = Annotated[str, shared.LEXICON.meaning]
TaskName = Annotated[str, shared.TASK.meaning]
PromptId = Annotated[str, shared.PROMPT.meaning]
Item = Annotated[int, shared.ITEM.meaning]

Length = Annotated[int, "masks of the canvas after the prompt", Unit("masks")]
Window = Annotated[int, "masks of the window that is read", Unit("masks")]
Steps = Annotated[int, shared.STEPS.meaning, Unit(shared.STEPS.unit)]
BlockSize = Annotated[int, "masks of a block; blocks are filled from left to right", Unit("masks")]
CommitOrder = Annotated[str, shared.ORDER.meaning]
Threshold = Annotated[
    float, "confidence above which the order threshold commits a mask", Unit("probability")
]
Temperature = Annotated[float, "sampling temperature; 0: the most probable token"]
Guidance = Annotated[float, "scale of classifier-free guidance; 0: none"]
EndOfText = Annotated[
    Eos, "when an end of text may be committed: free, never (eos_inf) or last (eos_last)"
]
KeptCache = Annotated[Cache, "which keys and values are kept within a block: none, prefix or dual"]
Seed = Annotated[int, shared.SEED.meaning]


@dataclass(frozen=True, slots=True)
class PromptCell:
    """Which prompt it is: the first coordinates of probes whose cells are about one each."""

    prompts: PromptsFile
    lexicon: Lexicon
    task: TaskName
    prompt: PromptId


def schedule_of(cell: Any, seed: int, *, stop: bool = True) -> Schedule:
    """How a cell's canvas is filled in: its coordinates that a schedule has under the same names.

    Args:
        cell: with `order`, in which a rule's settings stand.
        seed: of random orders and sampled tokens.
        stop: whether decoding ends once the text is whole.
    """
    order, settings = rules.split(cell.order)
    own = {"order": order, "stop": stop, "seed": seed, "rule_settings": settings}
    given = {
        each.name: getattr(cell, each.name) for each in fields(Schedule) if hasattr(cell, each.name)
    }
    return Schedule(**given | own)
