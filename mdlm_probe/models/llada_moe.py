"""LLaDA-MoE: a mixture of experts, with attention in both directions."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"llada": "LLaDAMoEModelLM"}  # the type of LLaDA-8B, too: the class tells them apart
NATIVE = "Qwen3MoeForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
MASK_ID = 156895  # `<|mask|>`: config.json names none

# What the authors' code can be told to compute and Qwen3Moe does not, or not as they do: there, a
# bias of the router would enter the weights of the experts, not only their choice.
FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "attention_bias": (False,),
    "clip_qkv": (None,),
    "qk_layernorm": (True,),
    "moe_router_score_function": ("softmax",),
    "moe_router_enable_expert_bias": (False,),
    "norm_topk_prob": (False,),
    "routed_scaling_factor": (1.0,),
    "router_num_group": (None, 1),
    "router_topk_group": (None, 1),
    "shared_expert_intermediate_size": (None, 0),
    "partial_rotary_factor": (1.0,),
    "rope_scaling": (None,),
}


def translate(config: Config) -> dict[str, Any]:
    """The Qwen3Moe configuration that computes what the authors' code computes.

    A softmax over all experts in float32 gives their weights; the largest are kept as they are, so
    that they don't sum to 1. Queries and keys are normalised head by head, before they are rotated.

    Raises:
        ProbeError: naming file and key, for a variant that Qwen3Moe does not compute.

    Source: the checkpoint authors' code (arXiv 2509.24389); checked against it (logits equal).
    """
    for key, values in FIXED.items():
        config.must(key, *values)
    layers, frequency = config.integer("num_hidden_layers"), config.data.get("moe_layer_freq")
    if frequency not in (None, 1, [1] * layers):
        raise config.error(
            "moe_layer_freq", f"found {frequency!r}", "1 for each layer: experts in all of them"
        )
    heads, hidden = config.integer("num_attention_heads"), config.integer("hidden_size")
    kv_heads = config.integer("num_key_value_heads", None) or heads
    if hidden % heads:
        raise config.error("num_attention_heads", f"found {heads}", f"a divisor of {hidden}")
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"found {kv_heads}", f"a divisor of {heads}")
    config.must("head_dim", None, hidden // heads)
    experts, chosen = config.integer("num_experts"), config.integer("num_experts_per_tok")
    if chosen > experts:
        raise config.error("num_experts_per_tok", f"found {chosen}", f"at most {experts}")
    width = config.integer("expert_intermediate_size")
    return {
        "model_type": "qwen3_moe",
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": hidden // heads,
        "intermediate_size": width,  # of dense layers, of which there are none
        "moe_intermediate_size": width,
        "num_experts": experts,
        "num_experts_per_tok": chosen,
        "norm_topk_prob": False,
        "max_position_embeddings": config.integer("max_position_embeddings"),
        "rms_norm_eps": config.number("rms_norm_eps", 1e-5),
        "rope_parameters": {"rope_type": "default", "rope_theta": config.number("rope_theta")},
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": config.flag("tie_word_embeddings", False),
    }
