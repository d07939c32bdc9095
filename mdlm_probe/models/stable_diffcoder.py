"""Stable-DiffCoder: a Llama with attention in blocks of 4, under Llama's own model_type."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"llama": "StableDiffcoderForCausalLM"}
NATIVE = "LlamaForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
MASK_ID = 5
BLOCK = 4


def translate(config: Config) -> dict[str, Any]:
    """The Llama configuration that computes what the authors' code computes.

    Raises:
        ProbeError: naming file and key, for a variant that Llama does not compute.

    Source: copies of the authors' modelling code; our layers equal an independent implementation,
    by test.
    """
    return _dense.translate(config, "llama")
