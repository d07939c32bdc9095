"""Autoregressive baselines (Llama, Qwen, Mistral, ...), as transformers itself computes them."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import REQUIRED, Config

KIND = "causal"
# Listed by name, because the output layer runs on its own here: an architecture that scales or caps
# its logits afterwards would be wrong. The self-test at load compares with the full forward pass.
MODEL_TYPES = {
    "llama": "LlamaForCausalLM",
    "qwen2": "Qwen2ForCausalLM",
    "qwen3": "Qwen3ForCausalLM",
    "mistral": "MistralForCausalLM",
    "olmo2": "Olmo2ForCausalLM",
    "phi3": "Phi3ForCausalLM",
    "smollm3": "SmolLM3ForCausalLM",
}
NATIVE = "AutoModelForCausalLM"
SHIFT = 1
KEYS: dict[str, str] = {}

SIZES = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "max_position_embeddings",
)
IRRELEVANT = ("auto_map", "id2label", "label2id", "num_labels")
"""Of remote code and classifiers; transformers would make a label for every number there."""


def translate(config: Config) -> dict[str, Any]:
    """config.json as it is: transformers knows these architectures.

    Raises:
        ProbeError: another model_type, a size of a wrong type, or weights under other names than
            those that are checked.
    """
    config.must("model_type", REQUIRED, *MODEL_TYPES)
    config.must("transformers_weights", None)
    config.integer("vocab_size")
    for key in SIZES:
        config.integer(key, None)
    config.flag("tie_word_embeddings", False)
    return {key: value for key, value in config.data.items() if key not in IRRELEVANT}
