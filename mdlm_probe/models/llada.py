"""LLaDA-8B, LLaDA-1.5: a Llama under other names, with attention in both directions."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models._config import REQUIRED, Config

KIND = "masked"
MODEL_TYPES = {"llada": "LLaDAModelLM"}
NATIVE = "LlamaForCausalLM"
SHIFT = 0

# Authors' names -> Llama's. One capture group at most: transformers substitutes no second one.
KEYS = {
    r"^model\.transformer\.wte\.": "model.embed_tokens.",
    r"^model\.transformer\.ln_f\.": "model.norm.",
    r"^model\.transformer\.ff_out\.": "lm_head.",
    r"^model\.transformer\.blocks\.(\d+)\.attn_norm\.": r"model.layers.\1.input_layernorm.",
    r"^model\.transformer\.blocks\.(\d+)\.ff_norm\.": r"model.layers.\1.post_attention_layernorm.",
    r"^model\.transformer\.blocks\.(\d+)\.q_proj\.": r"model.layers.\1.self_attn.q_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.k_proj\.": r"model.layers.\1.self_attn.k_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.v_proj\.": r"model.layers.\1.self_attn.v_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.attn_out\.": r"model.layers.\1.self_attn.o_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.ff_proj\.": r"model.layers.\1.mlp.gate_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.up_proj\.": r"model.layers.\1.mlp.up_proj.",
    r"^model\.transformer\.blocks\.(\d+)\.ff_out\.": r"model.layers.\1.mlp.down_proj.",
}

# What the authors' code can be told to compute and Llama does not. First value: what a missing key
# is taken for, which is the default of the authors' code; where that isn't what Llama computes, the
# key is required. So are `embedding_size` (default: 50304) and `eos_token_id` (50256), below.
FIXED: dict[str, tuple[Any, ...]] = {
    "block_type": (REQUIRED, "llama"),
    "layer_norm_type": (REQUIRED, "rms"),
    "activation_type": (REQUIRED, "silu"),
    "include_bias": (False,),
    "include_qkv_bias": (False,),
    "alibi": (False,),
    "rope": (REQUIRED, True),
    "rope_full_precision": (True,),
    "attention_layer_norm": (False,),
    "layer_norm_with_affine": (True,),
    "bias_for_layer_norm": (False,),
    "block_group_size": (1,),
    "multi_query_attention": (False,),
    "scale_logits": (False,),
    "input_emb_norm": (False,),
}


def translate(config: Config) -> dict[str, Any]:
    """The Llama configuration that computes what the authors' code computes.

    Raises:
        ProbeError: naming file and key, for a variant that Llama does not compute.

    Source: the checkpoint authors' config.json; checked against their code (logits equal).
    """
    for key, values in FIXED.items():
        config.must(key, *values)
    config.present("eos_token_id", "the id that ends a text, or null")
    heads, hidden = config.integer("n_heads"), config.integer("d_model")
    if hidden % heads:
        raise config.error("n_heads", f"found {heads}", f"a divisor of d_model = {hidden}")
    kv_heads = config.integer("n_kv_heads", None) or heads
    if heads % kv_heads:
        raise config.error("n_kv_heads", f"found {kv_heads}", f"a divisor of n_heads = {heads}")
    vocab = config.integer("vocab_size")
    rows = config.nullable("embedding_size") or vocab
    if rows < vocab:
        raise config.error("embedding_size", f"found {rows}", f"vocab_size = {vocab} or more")
    return {
        "model_type": "llama",
        "vocab_size": rows,
        "hidden_size": hidden,
        "num_hidden_layers": config.integer("n_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": config.integer("mlp_hidden_size"),
        "max_position_embeddings": config.integer("max_sequence_length"),
        "rms_norm_eps": config.number("rms_norm_eps", 1e-5),
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": config.number("rope_theta", 10000.0),
        },
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": config.flag("weight_tying", True),
    }
