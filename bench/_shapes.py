"""Models with random weights at the shapes of known ones, whose cost depends on nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import LlamaConfig, LlamaForCausalLM

from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._config import parameters
from mdlm_probe.models._hf import NativeModel

VOCAB = 126464
"""LLaDA's."""


@dataclass(frozen=True)
class Shape:
    """What a model's cost depends on; every head has keys and values of its own unless told."""

    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int = 0
    vocab: int = VOCAB
    tied: bool = False

    @property
    def geometry(self) -> dict[str, int]:
        """As a checkpoint knows it."""
        found = {name: int(size) for name, size in asdict(self).items()}
        found["kv_heads"] = self.kv_heads or self.heads
        return {**found, "parameters": parameters(found)}

    def body_operations(self, length: float) -> float:
        """Operations a token in all layers: two a weight, and attention."""
        kv = self.hidden // self.heads * (self.kv_heads or self.heads)
        weights = self.hidden * (2 * self.hidden + 2 * kv + 3 * self.intermediate)
        return self.layers * (2 * weights + 4 * self.hidden * length)


LIKE_8B = Shape(4096, 2, 12288, 32, vocab=VOCAB // 16)
"""Two of LLaDA-8B's 32 layers, and a sixteenth of its output layer: all in proportion."""
SMALL = Shape(256, 4, 768, 4)
WIDE = Shape(1024, 6, 3072, 8)
LLADA = Shape(4096, 32, 12288, 32)
TWO_LAYERS = Shape(4096, 2, 12288, 32)
"""LLaDA-8B's, as much of it as a CPU takes."""
SMOLLM2 = Shape(576, 30, 1536, 9, 3, 49152, tied=True)
"""SmolLM2-135M's."""
TINY = Shape(64, 2, 128, 2, vocab=2048)
"""To try out what needs a GPU."""


def build(
    shape: Shape,
    device: str,
    dtype: torch.dtype,
    *,
    sharp: float = 1.0,
    border: Border | None = None,
    quantize: str = "",
    context: int = 4096,
) -> NativeModel:
    """A bidirectional model with random weights, behind the Model protocol.

    Args:
        shape, device, dtype: of its weights.
        sharp: what the layers' weights are multiplied by: its predictions then differ from mask to
            mask.
        border: the tokenizer of another checkpoint; default: one without words, and a mask 128
            before the vocabulary's end.
        quantize: "4bit" or "": as `--quantize` packs the layers' weights.
        context: the longest sequence.
    """
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        num_hidden_layers=shape.layers,
        intermediate_size=shape.intermediate,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads or shape.heads,
        max_position_embeddings=context,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        attn_implementation="sdpa",
        use_cache=False,
        tie_word_embeddings=shape.tied,
    )
    config.is_causal = False
    torch.manual_seed(0)
    network = _network(config, device, dtype)
    if sharp != 1:
        with torch.no_grad():
            for weight in network.model.layers.parameters():
                if weight.ndim == 2:
                    weight.mul_(sharp)
    if quantize:
        _pack(network)
    known: dict[str, Any] = {"geometry": shape.geometry, "context": context}
    if border is None:
        entry = Checkpoint("random", "llada", "masked", mask_id=shape.vocab - 128, **known)
        border = Border(Tokenizer(models.BPE()), entry)
    name = str(dtype).removeprefix("torch.")
    return NativeModel(network, border, 0, {"quantize": quantize, "dtype": name})


def _network(config: LlamaConfig, device: str, dtype: torch.dtype) -> LlamaForCausalLM:
    default = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(default)


def _pack(network: LlamaForCausalLM) -> None:
    from optimum.quanto import freeze, qint4, quantize

    from mdlm_probe.models import _packing

    quantize(network, weights=qint4, exclude="lm_head")
    freeze(network)
    _packing.unpack_in_large_passes(network)
