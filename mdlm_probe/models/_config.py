"""config.json of a checkpoint, read with errors that name the file and the key. No torch."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._json import read_json

REQUIRED: Any = object()
"""As a default: the key has to be there."""

LARGEST = 2**31 - 1
"""Of the sizes that a config.json may name."""


@dataclass(frozen=True)
class Config:
    """The facts of a config.json, each checked when it is asked for.

    Attributes:
        path: the file, for error messages.
        data: what it holds.
    """

    path: Path
    data: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Reads `folder/config.json`.

        Raises:
            ProbeError: when it is missing or is not a JSON object.
        """
        return cls(folder / "config.json", read_json(folder / "config.json"))

    def error(self, key: str, found: str, expected: str, hint: str = "") -> ProbeError:
        """The error for a key, naming file and key."""
        return ProbeError(f"{self.path}, key '{key}': {found}", expected=expected, hint=hint)

    @overload
    def integer(self, key: str, default: int = REQUIRED) -> int: ...

    @overload
    def integer(self, key: str, default: None) -> int | None: ...

    def integer(self, key: str, default: int | None = REQUIRED) -> int | None:
        """A positive whole number; a missing key or null gives the default, where there is one."""
        value = self._get(key, "a positive whole number", default)
        if value is default:
            return value
        if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= LARGEST:
            raise self.error(key, f"found {value!r}", "a positive whole number")
        return value

    def number(self, key: str, default: float = REQUIRED) -> float:
        """A positive number; a missing key or null gives the default, where there is one."""
        value = self._get(key, "a positive number", default)
        if value is default:
            return value
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0 < value <= sys.float_info.max:
            raise self.error(key, f"found {value!r}", "a positive number")
        return float(value)

    def present(self, key: str, expected: str) -> None:
        """Refuses a config without a key, for which the authors' code has a default of its own."""
        if key not in self.data:
            raise self.error(
                key,
                "is missing",
                expected,
                hint="the authors' code would take a default of its own",
            )

    def nullable(self, key: str) -> int | None:
        """A positive whole number or null; the key has to be there."""
        self.present(key, "a positive whole number, or null")
        return self.integer(key, None)

    def flag(self, key: str, default: bool) -> bool:
        """true or false; a missing key gives the default, and null is false: where the default is
        true, it is refused.
        """
        value = self.data.get(key, default)
        if value is None and not default:
            return False
        if not isinstance(value, bool):
            raise self.error(key, f"found {value!r}", "true or false")
        return value

    def token(self, key: str) -> int | None:
        """A token id, or None where the key is missing or null."""
        value = self.data.get(key)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, int) or value < 0
        ):
            raise self.error(key, f"found {value!r}", "a token id")
        return value

    def tokens(self, key: str) -> tuple[int, ...]:
        """Token ids: one id, a list of ids, or none."""
        value = self.data.get(key)
        ids = [] if value is None else value if isinstance(value, list) else [value]
        if any(isinstance(i, bool) or not isinstance(i, int) or i < 0 for i in ids):
            raise self.error(key, f"found {value!r}", "a token id, or a list of them")
        return tuple(ids)

    def must(self, key: str, *allowed: Any) -> None:
        """Refuses a value that the native network does not compute; the first is the default.

        A missing key means the default, and so does null, unless the default is true (the authors'
        code takes null for false). REQUIRED as the first makes the key required.
        """
        value = self.data.get(key)
        if value is None and allowed[0] is not REQUIRED and not (key in self.data and allowed[0]):
            return
        named = [a for a in allowed if a is not REQUIRED]
        if value not in named or isinstance(value, bool) != isinstance(named[0], bool):
            expected = " or ".join("none" if one is None else repr(one) for one in named)
            if key not in self.data:
                self.present(key, expected)
            hint = "this variant of the architecture is not supported"
            raise self.error(key, f"found {value!r}", expected, hint=hint)

    def _get(self, key: str, expected: str, default: Any) -> Any:
        value = self.data.get(key)
        if value is not None:
            return value
        if default is REQUIRED:
            raise self.error(key, "is missing" if key not in self.data else "found null", expected)
        return default


def head_dim(geometry: dict[str, int]) -> int:
    """The width of an attention head, which need not be the network's over the number of heads."""
    return geometry.get("head_dim") or geometry["hidden"] // geometry["heads"]


def parameters(geometry: dict[str, int]) -> int:
    """Exact number of parameters of a Llama-like decoder.

    Args:
        geometry: hidden, layers, heads, kv_heads, intermediate, vocab; `head_dim`, `tied` (1: the
            output layer is the embedding), `qkv_bias` (1: queries, keys, values have a bias) and
            `qk_norm` (1: queries and keys have a norm, one for all heads) may be absent. Mixtures
            of experts have `experts` to choose from in a layer, `experts_per_token` that are
            chosen, `shared_experts` that need not be, the width of each (`expert_intermediate`),
            and `dense_layers` without experts, which come first and are `intermediate` wide;
            `float32_router` (1: routers are in float32 whatever the other weights) is for memory.

    Source: ours; equals the count of the built network, by test.
    """
    g, hidden, size = geometry, geometry["hidden"], head_dim(geometry)
    queries, keys = size * g["heads"], size * g["kv_heads"]
    attention = 2 * hidden * (queries + keys)
    if g.get("qkv_bias"):
        attention += queries + 2 * keys
    if g.get("qk_norm"):
        attention += 2 * size
    mixed = mixed_layers(g)
    inner = 3 * hidden * g["intermediate"] * (g["layers"] - mixed)
    if mixed:
        every = g["experts"] + g["shared_experts"]
        inner += mixed * hidden * (3 * g["expert_intermediate"] * every + g["experts"])
    tables = 1 if g.get("tied") else 2
    return (tables * g["vocab"] + 1) * hidden + g["layers"] * (attention + 2 * hidden) + inner


def mixed_layers(geometry: dict[str, int]) -> int:
    """How many layers have experts."""
    return geometry["layers"] - geometry["dense_layers"] if geometry.get("experts") else 0


def idle(geometry: dict[str, int]) -> int:
    """Parameters that do nothing for a token: those of the experts that aren't chosen for it."""
    g = geometry
    if not (mixed := mixed_layers(g)):
        return 0
    return (
        mixed * (g["experts"] - g["experts_per_token"]) * 3 * g["hidden"] * g["expert_intermediate"]
    )


def widest(geometry: dict[str, int]) -> int:
    """The inner width of the layers that most are like: of all experts of a token together."""
    if not mixed_layers(g := geometry):
        return g["intermediate"]
    return (g["experts_per_token"] + g["shared_experts"]) * g["expert_intermediate"]


def cached_numbers(geometry: dict[str, int]) -> int:
    """Numbers of the keys and values of a token."""
    return 2 * geometry["layers"] * geometry["kv_heads"] * head_dim(geometry)
