"""Writes small checkpoints in the formats of the real ones, random weights, for tests of any room.

    folder = write_llada(tmp_path / "m")            # the LLaDA authors' names and config
    folder = write_dream(tmp_path / "m")            # Dream: Qwen2's names, vocab.json + merges.txt
    folder = write_llama(tmp_path / "m")            # a plain Llama, causal

All share one byte-level BPE tokenizer (`bpe`), whose words of `WORDS` are one token each with and
without a space before them, as are the letters.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors

WORDS = ("cat", "dog", "red", "Options", "Answer", "answer", "question")
BOS, EOS, EOT, MASK_TEXT = "<|startoftext|>", "<|endoftext|>", "<|eot_id|>", "<|mdm_mask|>"
START, END = "<|start_header_id|>", "<|end_header_id|>"
SPECIALS = (BOS, EOS, START, END, EOT, MASK_TEXT)

TEMPLATE = (
    "{% for m in messages %}{% if loop.first %}{{ bos_token }}{% endif %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim "
    "+ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


def bpe_parts() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges: 256 bytes, then words letter by letter, then after a space."""
    vocab = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        for n in range(2, len(word) + 1):
            if word[:n] not in vocab:
                vocab[word[:n]] = len(vocab)
                merges.append((word[: n - 1], word[n - 1]))
    for word in WORDS:
        vocab["Ġ" + word] = len(vocab)
        merges.append(("Ġ", word))
    return vocab, merges


def special_ids() -> dict[str, int]:
    """Ids of the special tokens: they follow the words."""
    first = len(bpe_parts()[0])
    return {text: first + n for n, text in enumerate(SPECIALS)}


VOCAB = 8 * -(-(len(bpe_parts()[0]) + len(SPECIALS)) // 8) + 8
"""Rows of the written networks: more than the tokenizer knows, as in real checkpoints."""


def bpe(*, bos: bool = False) -> Tokenizer:
    """The tokenizer; with `bos` it puts BOS before every text, as Llama 3's does."""
    vocab, merges = bpe_parts()
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIALS])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
        )
    return tokenizer


# ---------------------------------------------------------------------- weights


def llama_weights(
    *,
    hidden: int = 32,
    layers: int = 2,
    heads: int = 4,
    kv_heads: int = 4,
    intermediate: int = 64,
    vocab: int = VOCAB,
    tied: bool = False,
    qkv_bias: bool = False,
    head_dim: int = 0,
    qk_norm: bool = False,
    seed: int = 0,
) -> dict[str, torch.Tensor]:
    """Random weights of a Llama (Qwen2, Qwen3) by its native names; large enough to tell apart."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int, scale: float = 0.2) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale

    size = head_dim or hidden // heads
    inner, width = size * heads, size * kv_heads
    weights = {"model.embed_tokens.weight": draw(vocab, hidden, scale=1.0)}
    for i in range(layers):
        at = f"model.layers.{i}."
        for name, rows in (("q", inner), ("k", width), ("v", width)):
            weights[f"{at}self_attn.{name}_proj.weight"] = draw(rows, hidden)
            if qkv_bias:
                weights[f"{at}self_attn.{name}_proj.bias"] = draw(rows)
        for name in ("q_norm", "k_norm") if qk_norm else ():
            weights[f"{at}self_attn.{name}.weight"] = 1 + draw(size)
        weights[f"{at}self_attn.o_proj.weight"] = draw(hidden, inner)
        weights[f"{at}mlp.gate_proj.weight"] = draw(intermediate, hidden)
        weights[f"{at}mlp.up_proj.weight"] = draw(intermediate, hidden)
        weights[f"{at}mlp.down_proj.weight"] = draw(hidden, intermediate)
        weights[f"{at}input_layernorm.weight"] = 1 + draw(hidden)
        weights[f"{at}post_attention_layernorm.weight"] = 1 + draw(hidden)
    weights["model.norm.weight"] = 1 + draw(hidden)
    if not tied:
        weights["lm_head.weight"] = draw(vocab, hidden)
    return weights


LLADA_NAMES = {
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
    "self_attn.q_proj": "q_proj",
    "self_attn.k_proj": "k_proj",
    "self_attn.v_proj": "v_proj",
    "self_attn.o_proj": "attn_out",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}


def llada_name(name: str) -> str:
    """The LLaDA authors' name of a native weight."""
    if name.startswith("model.layers."):
        _, _, number, module, kind = name.split(".", 3)[:3] + _split_last(name.split(".", 3)[3])
        return f"model.transformer.blocks.{number}.{LLADA_NAMES[module]}.{kind}"
    module, kind = name.rsplit(".", 1)
    return f"{LLADA_NAMES[module]}.{kind}"


def _split_last(text: str) -> list[str]:
    return ["", *text.rsplit(".", 1)][1:]


def save_weights(folder: Path, weights: dict[str, torch.Tensor], shards: int = 1) -> None:
    """One model.safetensors, or shards with an index."""
    weights = {name: tensor.contiguous() for name, tensor in weights.items()}
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, index = sorted(weights), {}
    for n in range(shards):
        file = f"model-{n + 1:05d}-of-{shards:05d}.safetensors"
        part = names[n::shards]
        save_file({k: weights[k] for k in part}, folder / file, metadata={"format": "pt"})
        index.update(dict.fromkeys(part, file))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )


# ---------------------------------------------------------------------- checkpoints


def write_llada(
    folder: Path,
    *,
    shards: int = 1,
    bos: bool = False,
    context: int = 128,
    template: str = TEMPLATE,
    config: dict[str, Any] | None = None,
    **geometry: Any,
) -> Path:
    """A LLaDA in its authors' format.

    Args:
        folder: made if it is not there.
        shards: number of weight files.
        bos: whether the tokenizer puts BOS before a text.
        context: max_sequence_length.
        template: chat template, "" for none.
        config: keys that replace those of config.json; a value of `...` leaves the key out.
        geometry: see `llama_weights`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = llama_weights(**geometry)
    save_weights(folder, {llada_name(k): v for k, v in weights.items()}, shards)
    ids, (vocab, hidden) = special_ids(), weights["model.embed_tokens.weight"].shape
    heads = geometry.get("heads", 4)
    told: dict[str, Any] = {
        "model_type": "llada",
        "architectures": ["LLaDAModelLM"],
        "auto_map": {"AutoModel": "modeling_llada.LLaDAModelLM"},
        "activation_type": "silu",
        "alibi": False,
        "attention_layer_norm": False,
        "bias_for_layer_norm": False,
        "block_group_size": 1,
        "block_type": "llama",
        "d_model": hidden,
        "embedding_size": vocab,
        "eos_token_id": ids[EOS],
        "include_bias": False,
        "include_qkv_bias": False,
        "input_emb_norm": False,
        "layer_norm_type": "rms",
        "layer_norm_with_affine": True,
        "mask_token_id": ids[MASK_TEXT],
        "max_sequence_length": context,
        "mlp_hidden_size": geometry.get("intermediate", 64),
        "multi_query_attention": None,
        "n_heads": heads,
        "n_kv_heads": geometry.get("kv_heads", 4),
        "n_layers": geometry.get("layers", 2),
        "pad_token_id": ids[EOS],
        "rms_norm_eps": 1e-5,
        "rope": True,
        "rope_full_precision": True,
        "rope_theta": 500000.0,
        "scale_logits": False,
        "vocab_size": vocab,
        "weight_tying": geometry.get("tied", False),
    }
    write_config(folder, told, config)
    write_tokenizer_json(folder, bos, template)
    return folder


def write_dream(
    folder: Path, *, shards: int = 1, config: dict[str, Any] | None = None, **geometry: Any
) -> Path:
    """A Dream in its authors' format: Qwen2's weights, and a tokenizer without tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    geometry = {"kv_heads": 2, "qkv_bias": True, **geometry}
    weights = llama_weights(**geometry)
    save_weights(folder, weights, shards)
    ids = special_ids()
    told = hf_config(geometry, weights) | {
        "model_type": "Dream",
        "architectures": ["DreamModel"],
        "auto_map": {"AutoModel": "modeling_dream.DreamModel"},
        "mask_token_id": ids[MASK_TEXT],
        "max_position_embeddings": 131072,
        "rope_theta": 1000000.0,
        "rms_norm_eps": 1e-6,
        "use_sliding_window": False,
        "rope_scaling": None,
    }
    write_config(folder, told, config)
    vocab, merges = bpe_parts()
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    lines = "\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n"
    (folder / "merges.txt").write_text(lines, encoding="utf-8")
    decoder = {
        str(number): {"content": text, "special": True, "normalized": False}
        for text, number in ids.items()
    }
    tokenizer = {
        "tokenizer_class": "DreamTokenizer",
        "auto_map": {"AutoTokenizer": ["tokenization_dream.DreamTokenizer", None]},
        "added_tokens_decoder": decoder,
        "bos_token": BOS,
        "eos_token": EOS,
        "chat_template": TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def write_llama(
    folder: Path,
    *,
    shards: int = 1,
    bos: bool = False,
    template: str = TEMPLATE,
    config: dict[str, Any] | None = None,
    **geometry: Any,
) -> Path:
    """A plain Llama, causal; arguments as for `write_llada`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = llama_weights(**geometry)
    save_weights(folder, weights, shards)
    told = hf_config(geometry, weights) | {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "mlp_bias": False,
        "max_position_embeddings": 128,
        "rope_theta": 500000.0,
        "rms_norm_eps": 1e-5,
    }
    write_config(folder, told, config)
    write_tokenizer_json(folder, bos, template)
    return folder


CAUSAL_TYPES: dict[str, dict[str, Any]] = {
    "qwen2": {},
    "qwen3": {"head_dim": 8},
    "mistral": {"sliding_window": 4},
    "olmo2": {},
    "phi3": {"pad_token_id": 0},
    "smollm3": {"pad_token_id": 0},
}
"""Other causal model types than llama, with what a small config of each needs."""


def write_causal(folder: Path, kind: str, **config: Any) -> tuple[Path, Any]:
    """A causal checkpoint of one of `CAUSAL_TYPES`, and transformers' own network of it."""
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 320}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    told = AutoConfig.for_model(kind, **{**sizes, **heads, **ends, **CAUSAL_TYPES[kind], **config})
    network = AutoModelForCausalLM.from_config(told).eval()
    write_llama(folder)  # for its tokenizer
    network.save_pretrained(folder)
    return folder, network


def hf_config(geometry: dict[str, Any], weights: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Keys of config.json that all in transformers' own terms have."""
    vocab, hidden = weights["model.embed_tokens.weight"].shape
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "num_hidden_layers": geometry.get("layers", 2),
        "num_attention_heads": geometry.get("heads", 4),
        "num_key_value_heads": geometry.get("kv_heads", 4),
        "intermediate_size": geometry.get("intermediate", 64),
        "hidden_act": "silu",
        "eos_token_id": special_ids()[EOS],
        "bos_token_id": special_ids()[BOS],
        "tie_word_embeddings": geometry.get("tied", False),
        "torch_dtype": "float32",
    }


def write_config(folder: Path, told: dict[str, Any], changes: dict[str, Any] | None) -> None:
    """config.json, with changed keys; a value of `...` leaves the key out."""
    told = {k: v for k, v in {**told, **(changes or {})}.items() if v is not ...}
    (folder / "config.json").write_text(json.dumps(told, indent=1))


def write_tokenizer_json(folder: Path, bos: bool, template: str) -> None:
    """The tokenizer as tokenizer.json, with what goes with it."""
    bpe(bos=bos).save(str(folder / "tokenizer.json"))
    told: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": {"__type": "AddedToken", "content": EOS, "lstrip": False},
        "mask_token": MASK_TEXT,
    }
    if template:
        told["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
