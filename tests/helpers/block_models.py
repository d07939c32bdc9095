"""Small block-causal networks with random weights, whose attention is known to the last token."""

from __future__ import annotations

from dataclasses import replace

import torch

from mdlm_probe import models
from mdlm_probe.models._border import Border
from mdlm_probe.models._hf import NativeModel


def network(vocab, *, layers=2, seed=0, dtype=torch.float64):
    """A Qwen3 whose heads are wider than its hidden states divided by their number."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=vocab,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initializer_range=0.3,
        attn_implementation="sdpa",
        use_cache=False,
    )
    config.is_causal = False
    return Qwen3ForCausalLM(config).to(dtype)


def tiny(block=4, *, shift=0, origin="start", kind=NativeModel, dtype=torch.float64, **entry):
    """A model with the bundled models' tokenizer; `entry` changes what its checkpoint says."""
    usual = models.resolve("tiny-mdlm")
    known = models.load_border(usual)
    geometry = {
        "hidden": 32,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "intermediate": 48,
        "vocab": known.vocab,
    }
    told = replace(
        usual,
        name="tiny-blocks",
        block=block,
        shift=shift,
        origin=origin,
        **{"geometry": geometry, "context": 256} | entry,
    )
    border = Border(known.tokenizer, told, known.template, known.specials)
    facts = {"quantize": "", "dtype": str(dtype).removeprefix("torch.")}
    return kind(network(known.vocab, dtype=dtype), border, shift, facts)
