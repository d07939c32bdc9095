"""SDAR and TraDo: Qwen3 with attention in blocks, 4 tokens each or as many as its name says."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"sdar": "SDARForCausalLM"}
NATIVE = "Qwen3ForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
MASK_ID = 151669
MASK_TEXT = "<|MASK|>"
BLOCK = None  # 4 to 64, a checkpoint each


def translate(config: Config) -> dict[str, Any]:
    """The Qwen3 configuration that computes what the authors' code computes.

    Raises:
        ProbeError: naming file and key, for a variant that Qwen3 does not compute.

    Source: JetAstra/SDAR, Gen-Verse/dLLM-RL; our layers equal an independent implementation, by
    test.
    """
    config.must("use_regular_causal", False)  # others' hybrids, which read from left to right
    return _dense.translate(config, "qwen3")
