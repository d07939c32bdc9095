"""LLaDA2.0, LLaDA2.1: mixtures of experts with a shared one, and block-causal attention."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import REQUIRED, Config

KIND = "masked"
MODEL_TYPES = {"llada2_moe": "LLaDA2MoeModelLM"}
NATIVE = "Glm4MoeForCausalLM"
SHIFT = 0
MASK_ID = 156895  # `<|mask|>`: config.json names none
BLOCK = 32  # from position 0; config.json names none

# Authors' names -> Glm4Moe's.
KEYS = {
    r"^model\.word_embeddings\.": "model.embed_tokens.",
    r"^model\.layers\.(\d+)\.attention\.query_layernorm\.": r"model.layers.\1.self_attn.q_norm.",
    r"^model\.layers\.(\d+)\.attention\.key_layernorm\.": r"model.layers.\1.self_attn.k_norm.",
    r"^model\.layers\.(\d+)\.attention\.dense\.": r"model.layers.\1.self_attn.o_proj.",
    r"^model\.layers\.(\d+)\.mlp\.gate\.expert_bias": (
        r"model.layers.\1.mlp.gate.e_score_correction_bias"
    ),
}
CONVERSION = {
    "attention.query_key_value.weight": tuple(f"self_attn.{n}_proj.weight" for n in "qkv")
}
FLOAT32 = (r"mlp\.gate\.weight",)  # the router's; its bias is among Glm4Moe's own

# What the authors' code can be told to compute and Glm4Moe does not.
FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "use_bias": (False,),
    "use_qkv_bias": (False,),
    "use_qk_norm": (True,),
    "use_rmsnorm": (True,),
    "use_sliding_window": (False,),
    "using_split_qkv_in_self_attention": (False,),
    "norm_head": (False,),
    "norm_softmax": (False,),
    "norm_topk_prob": (True,),
    "score_function": ("sigmoid",),
    "router_dtype": ("fp32",),
    "moe_router_enable_expert_bias": (True,),
    "num_nextn_predict_layers": (None, 0),
    "rope_scaling": (None,),
}


def translate(config: Config) -> dict[str, Any]:
    """The Glm4Moe configuration that computes what the authors' code computes.

    The router's sigmoids are computed in float32. A bias is added to them to choose experts, in the
    groups whose two largest sum to most; the weights are the sigmoids without it, divided by their
    sum. A shared expert is added. Queries and keys are normalised head by head, before the first
    half of each is rotated.

    Raises:
        ProbeError: naming file and key, for a variant that Glm4Moe does not compute.

    Source: the checkpoint authors' code (arXiv 2512.15745); checked against it (logits equal).
    """
    for key, values in FIXED.items():
        config.must(key, *values)
    heads, kv_heads = config.integer("num_attention_heads"), config.integer("num_key_value_heads")
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"found {kv_heads}", f"a divisor of {heads}")
    size = config.integer("head_dim", None) or config.integer("hidden_size") // heads
    return {
        "model_type": "glm4_moe",
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": config.integer("hidden_size"),
        "num_hidden_layers": config.integer("num_hidden_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": size,
        "intermediate_size": config.integer("intermediate_size"),
        **_experts(config),
        "use_qk_norm": True,
        "num_mtp_layers": 0,
        "max_position_embeddings": config.integer("max_position_embeddings"),
        "rms_norm_eps": config.number("rms_norm_eps", 1e-6),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config.number("rope_theta"),
            "partial_rotary_factor": _rotated(config, size) / size,
        },
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": config.flag("tie_word_embeddings", False),
    }


def _rotated(config: Config, size: int) -> int:
    """How many dimensions of a head are rotated; `rotary_dim` says it, too."""
    rotated = round(config.number("partial_rotary_factor") * size)
    if rotated % 2 or not 0 < rotated <= size:
        raise config.error(
            "partial_rotary_factor", f"rotates {rotated} of {size}", "an even number of dimensions"
        )
    config.must("rotary_dim", None, rotated)
    return rotated


def _experts(config: Config) -> dict[str, Any]:
    """What the configuration says of experts.

    Raises:
        ProbeError: groups that the experts can't be divided into, or that hold too few of them.
    """
    experts, chosen = config.integer("num_experts"), config.integer("num_experts_per_tok")
    groups, kept = config.integer("n_group"), config.integer("topk_group")
    if experts % groups or experts // groups < 2:
        found = f"found {groups} groups of {experts} experts"
        raise config.error("n_group", found, "groups of equal size, of two or more")
    if kept > groups:
        raise config.error("topk_group", f"found {kept}", f"at most {groups}")
    if chosen > (most := kept * experts // groups):
        raise config.error("num_experts_per_tok", f"found {chosen}", f"at most {most}")
    layers, dense = config.integer("num_hidden_layers"), config.integer("first_k_dense_replace")
    if dense >= layers:
        raise config.error("first_k_dense_replace", f"found {dense}", f"less than {layers}")
    config.must("model_type", REQUIRED, *MODEL_TYPES)  # others hold their experts in another order
    return {
        "moe_intermediate_size": config.integer("moe_intermediate_size"),
        "n_routed_experts": experts,
        "num_experts_per_tok": chosen,
        "n_shared_experts": config.integer("num_shared_experts"),
        "n_group": groups,
        "topk_group": kept,
        "first_k_dense_replace": dense,
        "norm_topk_prob": True,
        "routed_scaling_factor": config.number("routed_scaling_factor"),
    }
