"""Keys and values that are kept between passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False, slots=True)
class KVCache:
    """Keys and values of one sequence, kept between passes: created empty by the caller, filled
    by the engine. `layers` holds what the model puts there, or nothing.
    """

    layers: list[Any] = field(default_factory=list)
