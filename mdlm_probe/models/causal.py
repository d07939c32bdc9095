"""Autoregressive baselines (Llama, Qwen, Mistral, ...), as transformers itself computes them."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import Config

KIND = "causal"
# Listed by name, because the output layer runs on its own here: an architecture that scales or caps
# its logits afterwards would be wrong. The self-test at load compares with the full forward pass.
MODEL_TYPES = ("llama", "qwen2", "qwen3", "mistral", "olmo2", "phi3", "smollm3")
NATIVE = "AutoModelForCausalLM"
SHIFT = 1
KEYS: dict[str, str] = {}


def translate(config: Config) -> dict[str, Any]:
    """config.json as it is: transformers knows these architectures.

    Raises:
        ProbeError: when the vocabulary size is missing or of a wrong type.
    """
    config.integer("vocab_size")
    return dict(config.data)
