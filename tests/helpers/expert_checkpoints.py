"""Writes small mixtures of experts in the formats of the real ones, random weights.

folder = write_llada_moe(tmp_path / "m")        # LLaDA-MoE: a tensor for each expert
folder = write_llada2(tmp_path / "m")           # LLaDA2: queries, keys and values in one tensor
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from checkpoints import (
    BOS,
    EOS,
    MASK_TEXT,
    TEMPLATE,
    VOCAB,
    save_weights,
    special_ids,
    write_config,
    write_tokenizer_json,
)

Weights = dict[str, torch.Tensor]


class Drawn:
    """Random weights, large enough to tell apart."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: Weights = {}

    def add(self, name: str, *shape: int, scale: float = 0.2, around: float = 0.0) -> None:
        drawn = torch.randn(*shape, generator=self.generator) * scale
        self.weights[f"{name}.weight" if "bias" not in name else name] = drawn + around

    def gated(self, at: str, hidden: int, inner: int) -> None:
        self.add(f"{at}gate_proj", inner, hidden)
        self.add(f"{at}up_proj", inner, hidden)
        self.add(f"{at}down_proj", hidden, inner)

    def norms(self, at: str, hidden: int) -> None:
        self.add(f"{at}input_layernorm", hidden, around=1.0)
        self.add(f"{at}post_attention_layernorm", hidden, around=1.0)


def llada_moe_weights(told: dict[str, Any], seed: int = 0) -> Weights:
    """Weights by the authors' names, of the sizes that a config.json tells."""
    drawn, hidden, inner = Drawn(seed), told["hidden_size"], told["expert_intermediate_size"]
    size = hidden // told["num_attention_heads"]
    width = size * told["num_key_value_heads"]
    drawn.add("model.embed_tokens", told["vocab_size"], hidden, scale=1.0)
    for layer in range(told["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        for name, rows in (("q", hidden), ("k", width), ("v", width), ("o", hidden)):
            drawn.add(f"{at}self_attn.{name}_proj", rows, hidden)
        for name in "qk":
            drawn.add(f"{at}self_attn.{name}_norm", size, around=1.0)
        drawn.norms(at, hidden)
        drawn.add(f"{at}mlp.gate", told["num_experts"], hidden)
        for expert in range(told["num_experts"]):
            drawn.gated(f"{at}mlp.experts.{expert}.", hidden, inner)
    drawn.add("model.norm", hidden, around=1.0)
    drawn.add("lm_head", told["vocab_size"], hidden)
    return drawn.weights


def llada2_weights(told: dict[str, Any], seed: int = 0) -> Weights:
    """Weights by the authors' names, of the sizes that a config.json tells."""
    drawn, hidden, inner = Drawn(seed), told["hidden_size"], told["moe_intermediate_size"]
    size, heads = told["head_dim"], told["num_attention_heads"]
    rows = size * (heads + 2 * told["num_key_value_heads"])
    drawn.add("model.word_embeddings", told["vocab_size"], hidden, scale=1.0)
    for layer in range(told["num_hidden_layers"]):
        at = f"model.layers.{layer}."
        drawn.add(f"{at}attention.query_key_value", rows, hidden)
        drawn.add(f"{at}attention.dense", hidden, heads * size)
        drawn.add(f"{at}attention.query_layernorm", size, around=1.0)
        drawn.add(f"{at}attention.key_layernorm", size, around=1.0)
        drawn.norms(at, hidden)
        if layer < told["first_k_dense_replace"]:
            drawn.gated(f"{at}mlp.", hidden, told["intermediate_size"])
            continue
        drawn.add(f"{at}mlp.gate", told["num_experts"], hidden)
        drawn.add(f"{at}mlp.gate.expert_bias", told["num_experts"], scale=0.3)
        for expert in range(told["num_experts"]):
            drawn.gated(f"{at}mlp.experts.{expert}.", hidden, inner)
        drawn.gated(f"{at}mlp.shared_experts.", hidden, inner * told["num_shared_experts"])
    drawn.add("model.norm", hidden, around=1.0)
    drawn.add("lm_head", told["vocab_size"], hidden)
    return drawn.weights


def write_llada_moe(
    folder: Path, *, shards: int = 1, seed: int = 0, bits: str = "float32", **config: Any
) -> Path:
    """A LLaDA-MoE in its authors' format; `config` replaces keys of config.json, `...` removes."""
    told: dict[str, Any] = {
        "model_type": "llada",
        "architectures": ["LLaDAMoEModelLM"],
        "auto_map": {"AutoModel": "modeling_lladamoe.LLaDAMoEModelLM"},
        "attention_bias": False,
        "clip_qkv": None,
        "dense_intermediate_size": 80,
        "expert_intermediate_size": 24,
        "hidden_act": "silu",
        "hidden_size": 32,
        "max_position_embeddings": 128,
        "moe_router_enable_expert_bias": False,
        "moe_router_score_function": "softmax",
        "norm_topk_prob": None,
        "num_attention_heads": 4,
        "num_experts": 8,
        "num_experts_per_tok": 3,
        "num_hidden_layers": 2,
        "num_key_value_heads": 4,
        "partial_rotary_factor": 1,
        "qk_layernorm": True,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 50000,
        "routed_scaling_factor": 1,
        "router_num_group": None,
        "router_topk_group": None,
        "shared_expert_intermediate_size": None,
        "tie_word_embeddings": False,
    } | _texts()
    return _write(folder, told, config, llada_moe_weights, shards, seed, bits)


def write_llada2(
    folder: Path, *, shards: int = 1, seed: int = 0, bits: str = "float32", **config: Any
) -> Path:
    """A LLaDA2 in its authors' format; `config` as for `write_llada_moe`."""
    told: dict[str, Any] = {
        "model_type": "llada2_moe",
        "architectures": ["LLaDA2MoeModelLM"],
        "auto_map": {"AutoModel": "modeling_llada2_moe.LLaDA2MoeModel"},
        "attention_dropout": 0.0,
        "first_k_dense_replace": 1,
        "head_dim": 8,
        "hidden_act": "silu",
        "hidden_size": 24,
        "intermediate_size": 64,
        "max_position_embeddings": 128,
        "moe_intermediate_size": 16,
        "moe_router_enable_expert_bias": True,
        "n_group": 4,
        "norm_head": False,
        "norm_softmax": False,
        "norm_topk_prob": True,
        "num_attention_heads": 4,
        "num_experts": 16,
        "num_experts_per_tok": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "num_shared_experts": 1,
        "partial_rotary_factor": 0.5,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 600000,
        "rotary_dim": 4,
        "routed_scaling_factor": 2.5,
        "router_dtype": "fp32",
        "score_function": "sigmoid",
        "tie_word_embeddings": False,
        "topk_group": 2,
        "use_bias": False,
        "use_qkv_bias": False,
        "use_rmsnorm": True,
        "use_sliding_window": False,
        "using_split_qkv_in_self_attention": False,
    } | _texts()
    return _write(folder, told, config, llada2_weights, shards, seed, bits)


def _texts() -> dict[str, Any]:
    ids = special_ids()
    return {
        "vocab_size": VOCAB,
        "bos_token_id": ids[BOS],
        "eos_token_id": ids[EOS],
        "pad_token_id": ids[EOS],
        "mask_token_id": ids[MASK_TEXT],
        "torch_dtype": "bfloat16",
    }


def _write(folder, told, config, drawn, shards, seed, bits) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    weights = drawn({**told, **{k: v for k, v in config.items() if v is not ...}}, seed)
    kept = {n: t if "bias" in n else t.to(getattr(torch, bits)) for n, t in weights.items()}
    save_weights(folder, kept, shards)
    write_config(folder, told, config)
    write_tokenizer_json(folder, False, TEMPLATE)
    return folder
