"""Attention computed in the open: every layer's weights are looked at, and tokens can be hidden.

Networks of transformers look up their function of attention by name in every pass. For one pass
this one stands in for the fast kernels, which keep no weights. It computes what they compute, one
sequence at a time: no more than one layer's weights of one sequence are there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAME = "mdlm_probe_open_attention"
"""What transformers knows the function by."""

Take = Callable[[int, int, Tensor], None]
"""Is told the sequence's number, the layer and its weights [heads, length, length], unpadded."""
Removed = Sequence[Sequence[tuple[int, int]]]
"""Of each sequence (layer, position): no other token attends to that position in that layer."""


@dataclass(frozen=True)
class _Pass:
    """What is done in a pass: tokens of each sequence, what is hidden, who looks."""

    lengths: Sequence[int]
    removed: Removed
    take: Take


_PASS: ContextVar[_Pass] = ContextVar("open_attention")


@contextmanager
def opened(
    network: PreTrainedModel, lengths: Sequence[int], removed: Removed, take: Take
) -> Iterator[None]:
    """Within it, passes of a network compute their attention in the open.

    Args:
        network: a transformers causal-LM class.
        lengths: tokens of each sequence of the batch; what lies beyond is padding.
        removed: what is hidden in each sequence.
        take: looks at the weights of each layer, which aren't kept.
    """
    _register()
    config: Any = network.config
    usual, config._attn_implementation = config._attn_implementation, NAME
    token = _PASS.set(_Pass(lengths, removed, take))
    try:
        yield
    finally:
        _PASS.reset(token)
        config._attn_implementation = usual


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, eager_mask)  # never None where anything is unseen


def _attend(
    module: nn.Module,
    query: Float[Tensor, "batch heads length width"],
    key: Float[Tensor, "batch kv_heads length width"],
    value: Float[Tensor, "batch kv_heads length value_width"],
    attention_mask: Shaped[Tensor, "some one length length"] | None,
    scaling: float,
    **_: Any,
) -> tuple[Float[Tensor, "batch length heads value_width"], None]:
    """Softmax attention with explicit weights, in float32 whatever the network's format."""
    own = _PASS.get()
    layer: int = module.layer_idx  # type: ignore[assignment]
    kind = torch.promote_types(query.dtype, torch.float32)
    shared = query.shape[1] // key.shape[1]
    out = query.new_empty(*query.shape[:3], value.shape[-1])
    for row, length in enumerate(own.lengths):
        keys, values = (part[row].repeat_interleave(shared, dim=0) for part in (key, value))
        scores = query[row].to(kind) @ keys.to(kind).transpose(1, 2) * scaling
        if attention_mask is not None:
            _hide(scores, attention_mask[row if len(attention_mask) > 1 else 0])
        places = [place for at, place in own.removed[row] if at == layer]
        if places:
            itself = scores.diagonal(dim1=1, dim2=2)[:, places].clone()
            scores[:, :, places] = -torch.inf
            scores[:, places, places] = itself
        weights = scores.softmax(-1)
        own.take(row, layer, weights[:, :length, :length])
        out[row] = weights.to(values.dtype) @ values
    return out.transpose(1, 2).contiguous(), None


def _hide(
    scores: Float[Tensor, "heads length length"], mask: Shaped[Tensor, "one length length"]
) -> None:
    """Puts what isn't seen out of reach: a mask says so in yes and no, or adds a large number."""
    if mask.dtype == torch.bool:
        scores.masked_fill_(~mask, torch.finfo(scores.dtype).min)
    else:
        scores += mask
