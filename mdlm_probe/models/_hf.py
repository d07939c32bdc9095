"""Asking a network of transformers: which row scores which position, masks, output layer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _attention_weights, _blocks
from mdlm_probe.models._border import Border
from mdlm_probe.models._cache import Cache, computed_rows, visible
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._device import on
from mdlm_probe.models._kv_cache import KVCache

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SLICE = {"cpu": 8 * 2**20, "cuda": 256 * 2**20}
"""Bytes of the output layer that are widened to float32 at a time. What fits a CPU's cache takes a
fifth of the time of what doesn't: measured at hidden 1024, 8 rows."""


def wide(dtype: torch.dtype) -> torch.dtype:
    """The number format to compute in: float32, or float64 where the weights have that."""
    return torch.promote_types(dtype, torch.float32)


class NativeModel:
    """A network behind the Model protocol; see there for shapes and conventions.

    Args:
        network: a transformers causal-LM class, on its device.
        border: text in, ids out; holds the completed entry.
        shift: 1 where the network's row i-1 scores the token at i.
        facts: what run.json records.

    Attributes:
        network: for tuning and attribution, which need more than the protocol.
    """

    def __init__(
        self, network: PreTrainedModel, border: Border, shift: int, facts: dict[str, Any]
    ) -> None:
        self.network = network.eval()
        self.border = border
        self.entry: Checkpoint = border.entry
        self.shift = shift
        self.facts = facts
        self.device = str(network.device)
        config: Any = network.config  # each architecture has a class of its own
        self.vocab: int = config.vocab_size

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """Final hidden states that score the tokens at (rows, positions).

        Raises:
            ProbeError: for position 0 of a shifted model, which nothing predicts.
        """
        with self._forward_only():
            return self.body(ids, lengths, rows, positions, origins=origins)

    def states_with_attention(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        removed: _attention_weights.Removed,
        take: _attention_weights.Take,
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """`states`, with the weights of attention looked at on the way; see `AttendingModel`.

        Raises:
            ProbeError: as `states`.
        """
        with _attention_weights.opened(self.network, lengths.tolist(), removed, take):
            return self.states(ids, lengths, rows, positions, origins)

    def body(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        embeddings: Float[Tensor, "batch length width"] | None = None,
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """`states`, with gradients where they are switched on.

        Args:
            ids, lengths, rows, positions: as in `states`.
            embeddings: stand in for the embeddings of `ids`, for gradient attribution.
            origins: as in `states`.
        """
        self._check_asked(positions)
        given = {"input_ids": ids} if embeddings is None else {"inputs_embeds": embeddings}
        hidden: Tensor = self.network.base_model(
            **given, attention_mask=self.mask(ids, lengths, origins), use_cache=False
        ).last_hidden_state
        return hidden[on(hidden.device, rows), on(hidden.device, positions - self.shift)]

    def states_with_cache(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        computed: Int[Tensor, "batch computed"] | None,
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        caches: Sequence[KVCache],
        origins: Int[Tensor, " batch"] | None = None,
        read_only: bool = False,
    ) -> Float[Tensor, "asked width"]:
        """`states`, keeping keys and values; see `CachingModel`.

        Raises:
            ProbeError: as `states`.
        """
        self._check_asked(positions)
        assert self.network.config._attn_implementation == "sdpa", "others read masks differently"
        places, device = positions - self.shift, ids.device
        cache = Cache(caches, lengths.tolist(), computed, device, read_only=read_only)
        mask: Tensor | None
        if computed is None:
            at = torch.arange(ids.shape[1], device=device).expand_as(ids)
            mask, index = self.mask(ids, lengths, origins), places
        else:
            mask = self._visible(computed, lengths, origins)
            mask = None if mask is None else on(device, mask)
            index, at = computed_rows(computed, rows, places), on(device, computed)
            ids = ids.gather(1, at)
        with self._forward_only():
            hidden: Tensor = self.network.base_model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=at,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            return hidden[on(hidden.device, rows), on(hidden.device, index)]

    def states_beside_clean(
        self,
        ids: Int[Tensor, "batch length"],
        clean: Int[Tensor, "batch longest"],
        lengths: Int[Tensor, " batch"],
        computed: Int[Tensor, "batch computed"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """States of blocks that are noised independently, in one pass; see `TwoStreamModel`.

        Raises:
            ProbeError: as `states`.
        """
        self._check_asked(positions)
        block, places, count = self.entry.block, positions - self.shift, computed.shape[1]
        asked = _blocks.numbers(torch.stack([places, positions]).T, _of(origins, rows), block)
        own = asked[:, 0] == asked[:, 1]  # else it is the row of a finished block
        index = count + places
        index[own] = computed_rows(computed, rows[own], places[own])
        at, device = on(ids.device, computed), ids.device
        behind = torch.arange(clean.shape[1], device=device).expand_as(clean)
        with self._forward_only():
            hidden: Tensor = self.network.base_model(
                input_ids=torch.cat([ids.gather(1, at), clean], dim=1),
                attention_mask=_blocks.seen_beside(at, lengths, clean.shape[1], origins, block),
                position_ids=torch.cat([at, behind], dim=1),
                use_cache=False,
            ).last_hidden_state
            return hidden[on(hidden.device, rows), on(hidden.device, index)]

    def logprobs(self, states: Float[Tensor, "asked width"]) -> Float[Tensor, "asked vocab"]:
        """Log-probabilities in float32; minus infinity for the mask token, and for nothing else."""
        with nullcontext() if states.requires_grad else self._forward_only():
            logits = self._logits(states)
            if self.entry.mask_id is not None:
                logits[:, self.entry.mask_id] = -torch.inf
            return torch.log_softmax(logits, dim=-1)

    def masked_logprobs(self, states: Float[Tensor, "asked width"]) -> Float[Tensor, "asked vocab"]:
        """As `logprobs`, but that the mask's logit counts as any other, and has its probability."""
        with nullcontext() if states.requires_grad else self._forward_only():
            return torch.log_softmax(self._logits(states), dim=-1)

    def _logits(self, states: Float[Tensor, "asked width"]) -> Float[Tensor, "asked vocab"]:
        """The output layer in float32, whatever the weights: few rows are asked, that costs little.

        In bfloat16 logits near 20 would lie on a grid of 1/8, where letters tie and the first wins.
        Quantised layers compute in their own way.
        """
        head, home = self.network.get_output_embeddings(), states.device
        states = states.to(head.weight.device)  # where a model is on several cards
        if type(head) is not nn.Linear or head.weight.dtype == torch.float32:
            whole: Tensor = head(states)
            return whole.float().to(home)
        kind = wide(head.weight.dtype)
        logits = _product(states, head.weight, kind)
        return (logits if head.bias is None else logits + head.bias.to(kind)).to(home)

    def logit(
        self, states: Float[Tensor, "asked width"], tokens: Int[Tensor, " asked"]
    ) -> Float[Tensor, " asked"]:
        """The logit of one token for each state, in float32: on the way back to the states, only
        these rows of the output layer are kept.
        """
        head, home = self.network.get_output_embeddings(), states.device
        states, tokens = states.to(head.weight.device), tokens.to(head.weight.device)
        if type(head) is not nn.Linear:
            whole: Tensor = head(states)
            return whole.float().gather(1, tokens[:, None])[:, 0].to(home)
        kind = wide(head.weight.dtype)
        logits = (states.to(kind) * head.weight[tokens].to(kind)).sum(-1)
        return (logits if head.bias is None else logits + head.bias[tokens].to(kind)).to(home)

    @contextmanager
    def _forward_only(self) -> Iterator[None]:
        """No gradients. Quanto's 4-bit tensors refuse inference mode, even a caller's."""
        with torch.inference_mode(not self.facts["quantize"]), torch.no_grad():
            yield

    def _check_asked(self, positions: Int[Tensor, " asked"]) -> None:
        if len(positions) and int(positions.min()) < self.shift:
            raise ProbeError(
                f"position {int(positions.min())} of {self.entry.name} was asked",
                expected=f"{self.shift} or more: nothing stands before it to predict it from",
            )

    def mask(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Shaped[Tensor, " ..."] | None:
        """The attention mask of a whole pass, as networks of transformers take it.

        Block-causal: bool [batch, 1, length, length], always. Else [batch, length], or None where
        nothing is padded, or causal attention never looks right: fast kernels.
        """
        if self.entry.block:
            at = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
            return _blocks.seen(at, lengths, ids.shape[1], origins, self.entry.block)
        if self.entry.kind == "causal" or bool((lengths == ids.shape[1]).all()):
            return None
        return (
            torch.arange(ids.shape[1], device=ids.device) < on(ids.device, lengths)[:, None]
        ).long()

    def _visible(
        self,
        computed: Int[Tensor, "batch computed"],
        lengths: Int[Tensor, " batch"],
        origins: Int[Tensor, " batch"] | None,
    ) -> Bool[Tensor, "batch 1 computed length"] | None:
        """What the computed tokens of a pass on a cache see."""
        longest = int(lengths.max())
        if self.entry.block:
            return _blocks.seen(computed, lengths, longest, origins, self.entry.block)
        return visible(computed, lengths, longest, causal=self.entry.kind == "causal")


def _product(
    states: Float[Tensor, "asked width"], weight: Float[Tensor, "vocab width"], kind: torch.dtype
) -> Float[Tensor, "asked vocab"]:
    """States times weights, added up in a wider number format than the weights have.

    CUDA's products do that by themselves: an eighth of the time of widened weights, at LLaDA-8B's
    shape. Elsewhere, and with gradients, the weights are widened piece by piece.
    """
    narrow = states.dtype == weight.dtype and kind == torch.float32
    if states.is_cuda and not torch.version.hip and narrow and not states.requires_grad:
        return torch.mm(states, weight.T, out_dtype=kind)
    states, width = states.to(kind), weight.shape[1] * kind.itemsize
    rows = max(1, SLICE.get(states.device.type, SLICE["cuda"]) // width)
    return torch.cat([states @ part.to(kind).T for part in weight.split(rows)], dim=1)


def _of(
    origins: Int[Tensor, " batch"] | None, rows: Int[Tensor, " asked"]
) -> Int[Tensor, " asked"] | None:
    return None if origins is None else origins[rows]
