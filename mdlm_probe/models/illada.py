"""iLLaDA: a Llama with attention in both directions, under its own model_type and Llama's names."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"illada": "ILLaDAForCausalLM"}
NATIVE = "LlamaForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
MASK_ID = 5


def translate(config: Config) -> dict[str, Any]:
    """The Llama configuration that computes what the authors' code computes.

    Raises:
        ProbeError: naming file and key, for a variant that Llama does not compute.

    Source: the authors' modeling_illada.py; our layers equal an independent implementation, by
    test.
    """
    config.must("layer_norm_eps", None)  # it would mean LayerNorm
    config.present("tie_word_embeddings", "true or false")  # its class's default isn't known
    return _dense.translate(config, "llama")
