"""Small checkpoints of the dense diffusion families, in the formats that their authors ship.

folder = write_dense(tmp_path / "m", "sdar")         # SDAR: Qwen3's names, config of its own
plain = plain_of(folder, "sdar", origin=0)           # the same in plain torch
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from checkpoints import (
    MASK_TEXT,
    TEMPLATE,
    hf_config,
    llama_weights,
    save_weights,
    special_ids,
    write_config,
    write_tokenizer_json,
)
from plain import LLAMA, Plain, read

MASK_ID = special_ids()[MASK_TEXT]


@dataclass(frozen=True)
class Dense:
    """What a family's files say.

    Attributes:
        family: its file in `models/`.
        config: keys of config.json besides those that all have.
        network: arguments of `llama_weights` that make the network.
        mask: the mask token's id in these small checkpoints.
        shift: 1 where the row before a position scores it.
        block: of the attention, by config.json or the family; 0: none.
    """

    family: str
    config: dict[str, Any]
    network: dict[str, Any] = field(default_factory=dict)
    mask: int = MASK_ID
    shift: int = 0
    block: int = 0


def _named(model_type: str, cls: str, file: str, **more: Any) -> dict[str, Any]:
    auto = {"AutoModel": f"{file}.{cls}", "AutoModelForCausalLM": f"{file}.{cls}"}
    return {"model_type": model_type, "architectures": [cls], "auto_map": auto, **more}


QWEN3 = {"head_dim": 16, "qk_norm": True}  # four heads of 16 in a width of 32
QWEN2 = {"qkv_bias": True}
MASKED = {"mask_token_id": MASK_ID}
"""Real vocabularies hold the ids that families have; these small ones don't."""
DENSE = {
    "a2d-qwen3": Dense(
        "a2d",
        _named("a2d-qwen3", "A2DQwen3LMHeadModel", "modeling_qwen3", **MASKED),
        {**QWEN3, "tied": True},
    ),
    "a2d-qwen2": Dense(
        "a2d",
        _named("a2d-qwen2", "A2DQwen2LMHeadModel", "modeling_qwen2", **MASKED),
        {**QWEN2, "tied": True},
    ),
    "a2d-llama": Dense("a2d", _named("a2d-llama", "A2DLlamaLMHeadModel", "modeling", **MASKED)),
    "a2d-bd3lm": Dense(
        "a2d",
        _named("a2d-qwen3", "A2DQwen3LMHeadModel", "modeling_qwen3", **MASKED),
        {**QWEN3, "tied": True},
        block=4,
    ),
    "sdar": Dense(
        "sdar",
        _named("sdar", "SDARForCausalLM", "modeling_sdar", block_size=4, **MASKED),
        QWEN3,
        block=4,
    ),
    "dream_reasoner": Dense(
        "dream_reasoner",
        _named("Dream", "DreamForCausalLM", "modeling_dream", block_size=3, **MASKED),
        QWEN3,
        block=3,
    ),
    "illada": Dense(
        "illada",
        _named("illada", "ILLaDAForCausalLM", "modeling_illada", layer_norm_eps=None),
        {"tied": True},
        mask=5,
    ),
    "stable_diffcoder": Dense(
        "stable_diffcoder",
        _named("llama", "StableDiffcoderForCausalLM", "modeling_stable_diffcoder"),
        mask=5,
        block=4,
    ),
    "fast_dllm": Dense(
        "fast_dllm",
        _named("Fast_dLLM_Qwen", "Fast_dLLM_QwenForCausalLM", "modeling", bd_size=4, **MASKED),
        QWEN2,
        shift=1,
        block=4,
    ),
}
"""By a name of their own: a family may have several."""
BLOCK_SIZES = {"a2d-qwen3": 0, "a2d-qwen2": 0, "a2d-llama": 0, "a2d-bd3lm": 4}
"""What --block-size has to say of those whose config.json doesn't."""

THETA, EPS = 1e6, 1e-6


def write_dense(
    folder: Path,
    name: str,
    *,
    shards: int = 1,
    template: str = TEMPLATE,
    config: dict[str, Any] | None = None,
    **geometry: Any,
) -> Path:
    """A checkpoint of `DENSE`; arguments as for `write_llada`."""
    folder.mkdir(parents=True, exist_ok=True)
    kind = DENSE[name]
    geometry = {"kv_heads": 2, **kind.network, **geometry}
    weights = llama_weights(**geometry)
    save_weights(folder, weights, shards)
    told = {
        **hf_config(geometry, weights),
        "max_position_embeddings": 4096,
        "rope_theta": THETA,
        "rms_norm_eps": EPS,
        "rope_scaling": None,
        **({"head_dim": geometry["head_dim"]} if "head_dim" in geometry else {}),
        **kind.config,
    }
    write_config(folder, told, config)
    write_tokenizer_json(folder, False, template)
    return folder


def plain_of(folder: Path, name: str, **more: Any) -> Plain:
    """A checkpoint of `DENSE` in plain torch."""
    kind = DENSE[name]
    size = kind.network.get("head_dim", 0)
    shape = {"kv_heads": 2, "theta": THETA, "eps": EPS, "size": size, "block": kind.block}
    return Plain(read(folder), LLAMA, **{**shape, **more})
