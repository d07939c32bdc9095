"""Dream, Dream-Coder, DiffuCoder: Qwen2 with attention in both directions, rows shifted by one."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"Dream": "DreamModel"}
NATIVE = "Qwen2ForCausalLM"
SHIFT = 1
KEYS: dict[str, str] = {}

# config.json repeats Qwen2.5's 131072; arXiv 2511.21338 gives Dream's context as 2048.
CONTEXT = 2048

FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "use_mrope": (False,),
    "rope_scaling": (None,),
}


def translate(config: Config) -> dict[str, Any]:
    """The Qwen2 configuration that computes what the authors' code computes.

    The prediction for position i is the network's row i-1, because Dream started from an
    autoregressive Qwen2.5 (SHIFT).

    Raises:
        ProbeError: naming file and key, for a variant that Qwen2 does not compute.

    Source: the checkpoint authors' config.json; checked against their code (logits equal).
    """
    for key, values in FIXED.items():
        config.must(key, *values)
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    kv_heads = config.nullable("num_key_value_heads") or heads  # the authors' default: 32
    if hidden % heads:
        raise config.error("num_attention_heads", f"found {heads}", f"a divisor of {hidden}")
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"found {kv_heads}", f"a divisor of {heads}")
    return {
        "model_type": "qwen2",
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": hidden,
        "num_hidden_layers": config.integer("num_hidden_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": config.integer("intermediate_size"),
        "max_position_embeddings": min(config.integer("max_position_embeddings", CONTEXT), CONTEXT),
        "rms_norm_eps": config.number("rms_norm_eps", 1e-6),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config.number("rope_theta", 10000.0),
        },
        "hidden_act": "silu",
        "use_sliding_window": False,
        "tie_word_embeddings": config.flag("tie_word_embeddings", False),
    }
