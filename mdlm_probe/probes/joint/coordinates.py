"""Coordinates of the probe `joint`: one measure of one text, or of one pair set."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from mdlm_probe.core.cells import seeded_as
from mdlm_probe.core.columns import FILE, Holds, Unit
from mdlm_probe.decoding import coordinates


@dataclass(frozen=True, slots=True)
class Cell:
    """One measure of one text, or of one pair set; "none" and 0 are what it has no use for.

    `masks` is the window's length.
    """

    measure: Annotated[str, "what is measured: pairs, sets, orders, budget or total"]
    source: Annotated[str, "name or path of the prompts, or of the pair sets", FILE]
    lexicon: coordinates.Lexicon
    task: coordinates.TaskName
    prompt: coordinates.PromptId
    masks: coordinates.Window
    layout: Annotated[
        str, "pairs: masks after the prompt (appended), or two holes", Holds("canvas")
    ] = field(default="none", metadata=seeded_as("canvas"))
    spacing: Annotated[str, "pairs: tokens from one mask to the other, all of them"] = "none"
    outcome: Annotated[str, "pairs: whose circulation, the top tokens' or the true ones'"] = "none"
    reveal_order: Annotated[
        str, "orders, total: in which the chain rule scores tokens, or draws them"
    ] = field(default="none", metadata=seeded_as("order"))
    anchors: Annotated[int, "pairs: first masks, spread over the window", Unit("masks")] = 0
    candidates: Annotated[
        int, "pairs: likeliest tokens of a mask that count", Unit("tokens"), Holds("top")
    ] = field(default=0, metadata=seeded_as("top"))
    at_once: Annotated[int, "budget: masks that a step commits", Unit("masks")] = 0
    eps: Annotated[
        float, "pairs: what an unlikely pair is less probable than", Unit("probability")
    ] = 0.0
    budget_eps: Annotated[
        float, "budget, total: what a step may cost a token", Unit("nats per token")
    ] = field(default=0.0, metadata=seeded_as(""))
    seed: coordinates.Seed = 0
