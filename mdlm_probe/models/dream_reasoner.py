"""DreamReasoner: Qwen3 with attention in blocks of 32, unshifted; Dream's model_type, no Dream."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"Dream": "DreamForCausalLM"}
NATIVE = "Qwen3ForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
MASK_ID = 151669
BLOCK = 32


def translate(config: Config) -> dict[str, Any]:
    """The Qwen3 configuration that computes what the authors' code computes.

    Raises:
        ProbeError: naming file and key, for a variant that Qwen3 does not compute.

    Source: the authors' README, and others' notes of its config.json; our layers equal an
    independent implementation, by test.
    """
    return _dense.translate(config, "qwen3")
