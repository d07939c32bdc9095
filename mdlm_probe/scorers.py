"""Scorers: the causal models that give perplexities to what other models write."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mdlm_probe import models
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import Entry, LoadOptions, Model


def scorer_of(options: dict[str, Any], entry: Entry) -> Entry | None:
    """The causal model that is to score what a model writes, where a probe has that option.

    Raises:
        ProbeError: an unknown model, or one that isn't causal.
    """
    name = options.get("scorer", "none")
    name = entry.companion if name == "companion" else name
    if name in ("none", ""):
        return None
    found = models.resolve(name)
    if found.kind != "causal":
        raise ProbeError(
            f"--scorer '{name}' is a {found.kind} model",
            expected="a causal model: its perplexity is exact",
        )
    return found


def load(
    options: dict[str, Any], entry: Entry, load: LoadOptions, note: Callable[[str], None]
) -> Model | None:
    """The scorer, on the same device and in the same number format; None where there is none."""
    scorer = scorer_of(options, entry)
    if scorer is None:
        if options.get("scorer") == "companion":
            note(f"{entry.name} has no known companion: no perplexities without --scorer MODEL")
        return None
    note(f"loading {scorer.name}, which scores what {entry.name} writes")
    if not scorer.gradients:  # what is computed without weights has no choice
        return models.load(scorer)
    return models.load(scorer, LoadOptions(load.dtype, load.device, quantize=load.quantize))
