"""What a user asks a tuning for. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.models._checkpoint import LoadOptions


@dataclass(frozen=True)
class Tuning:
    """What a user asks for.

    Attributes:
        objective: its name.
        own: the objective's options.
        options: the recipe's.
        model: name, folder or hub id.
        load: how to load it.
        output: the folder.
        full: train all weights, not an adapter.
        fresh: forget what the folder holds.
    """

    objective: str
    own: dict[str, Any]
    options: dict[str, Any]
    model: str
    load: LoadOptions
    output: Path
    full: bool = False
    fresh: bool = False
