"""Run ids: the short name of a measurement, which its rows carry and run.json holds.

Two measurements have the same id where all is equal that makes their rows what they are. Source:
ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError

ELSEWHERE = ("device", "device_map", "dtype")
"""Options of loading that say where, or what the model's own facts say better."""
FACTS = ("name", "weight_hash", "dtype", "quantize")
"""What is told of a model."""


def run_id(config: Mapping[str, Any], facts: Mapping[str, Mapping[str, Any]]) -> str:
    """The id of a measurement: 10 hexadecimal digits.

    Made of the probe, its resolved options and what they read, the model's name, weights (an
    adapter's among them), revision, number format, quantisation and style, and of the scorer's. Not
    of where and when it ran, its executor, shard or batches.

    Args:
        config: of the measurement, as run.json has it.
        facts: of the models that take part, by what run.json calls them.
    """
    load = {name: value for name, value in config["load"].items() if name not in ELSEWHERE}
    models = {
        role: {name: told.get(name) for name in FACTS}
        for role, told in facts.items()
        if role in ("model", "scorer")
    }
    asked = {name: config[name] for name in ("probe", "model", "options", "sources")}
    return digest(asked, load, models)


def digest(*parts: Any) -> str:
    """An id of anything that JSON can hold."""
    return hashlib.blake2b(key(*parts).encode(), digest_size=5).hexdigest()


def same_run(name: str, own: str, known: dict[str, Any]) -> str:
    """The id of a measurement; refuses to continue one with another.

    Args:
        name: the model's.
        own: the id by what is measured now.
        known: the measurement's entry in run.json.
    """
    old = known.get("run", own)
    if old != own:
        raise ProbeError(
            f"'{name}' was measured as run {old}; what is asked now is run {own}",
            expected="the same options, prompts, weights, number format and scorer",
            hint="--output DIR keeps both; --fresh starts over",
        )
    return own
