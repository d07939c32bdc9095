"""The Model protocol: every convention of a checkpoint is settled behind it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from jaxtyping import Float, Int

from mdlm_probe.models._checkpoint import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from mdlm_probe.models._border import Border
    from mdlm_probe.models._kv_cache import KVCache


@runtime_checkable
class Model(Protocol):
    """A network behind one convention, whatever its family.

    The row handed out for a position scores the token *at* that position: the shift of causal and
    Dream models happens here and nowhere else. The mask token is never predicted. Rows are float32.
    Only the asked positions reach the output layer. Same input, same output. Attention is what
    `entry.attention` says, proven when a network is loaded.

    Attributes:
        entry: what is known of the checkpoint.
        border: its tokenizer: text in, ids out.
        device: where it runs, a torch device as text.
        facts: what run.json records: dtype, revision, weight hash, attention backend and so on.
        vocab: number of columns of a row.
    """

    entry: Checkpoint
    border: Border
    device: str
    facts: dict[str, Any]
    vocab: int

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, batch],
        rows: Int[Tensor, asked],
        positions: Int[Tensor, asked],
        origins: Int[Tensor, batch] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """What the output layer needs to score the tokens at (rows, positions).

        Args:
            ids: right-padded token ids on the model's device.
            lengths: tokens of each sequence; what lies beyond is never attended to.
            rows, positions: the asked places. Causal models: position 1..length, where `length` is
                the token after the end. Masked models: 0..length-1 (Dream: 1..length-1). These and
                `lengths` come from the host, where looking at them waits for nothing.
            origins: offset of block boundaries in each row, on the host; None: 0 in all. Only
                block-causal attention looks at them: position p lies in block
                (p - origin) // block, rounded down.
        """
        ...

    def logprobs(self, states: Float[Tensor, "asked width"]) -> Float[Tensor, "asked vocab"]:
        """Log-probabilities in float32; the mask token's is minus infinity."""
        ...


@runtime_checkable
class MaskScoring(Model, Protocol):
    """A model whose output layer has a logit for the mask, too."""

    def masked_logprobs(self, states: Float[Tensor, "asked width"]) -> Float[Tensor, "asked vocab"]:
        """`logprobs`, but that the mask's logit counts as any other, and has its probability."""
        ...


@runtime_checkable
class CachingModel(Model, Protocol):
    """A model that can keep keys and values between passes."""

    def states_with_cache(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, batch],
        computed: Int[Tensor, "batch computed"] | None,
        rows: Int[Tensor, asked],
        positions: Int[Tensor, asked],
        caches: Sequence[KVCache],
        origins: Int[Tensor, batch] | None = None,
        read_only: bool = False,
    ) -> Float[Tensor, "asked width"]:
        """`states`, keeping keys and values: only tokens at `computed` go through the network, the
        keys and values of the others come from `caches`, and the new ones are written there.

        Causal models: exact. Block-causal models: exact where all cached blocks before the computed
        ones are finished. Else an approximation where the canvas has changed.

        Args:
            ids, lengths, rows, positions, origins: as in `states`: whole sequences, which may have
                grown since the last pass.
            computed: ascending in each row, as many in every row, on the host; None computes all.
                Whatever isn't cached yet must be among them, and `position - shift` of every asked
                position.
            caches: one per row. Afterwards each of `layers` gives (keys, values) of a layer, each
                [kv_heads, length of the row, head_dim] on the device, unpadded.
            read_only: `caches` stay as they are; then rows may share one, and it may hold more
                positions than a row has.
        """
        ...


@runtime_checkable
class TwoStreamModel(Model, Protocol):
    """A block-causal model that takes blocks beside a clean text."""

    def states_beside_clean(
        self,
        ids: Int[Tensor, "batch length"],
        clean: Int[Tensor, "batch longest"],
        lengths: Int[Tensor, batch],
        computed: Int[Tensor, "batch computed"],
        rows: Int[Tensor, asked],
        positions: Int[Tensor, asked],
        origins: Int[Tensor, batch] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """`states` of a block-causal model, of several blocks that don't see each other.

        Args:
            ids: as in `states`; only tokens at `computed` matter, whole blocks.
            clean: the same texts without noise from position 0 on, right-padded: what the computed
                tokens see of the blocks before their own.
            lengths: clean tokens of each row, up to the last computed block or farther.
            computed, rows, positions, origins: as in `states_with_cache`.
        """
        ...


@runtime_checkable
class AttendingModel(Model, Protocol):
    """A model that shows the weights of its attention."""

    def states_with_attention(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, batch],
        rows: Int[Tensor, asked],
        positions: Int[Tensor, asked],
        removed: Sequence[Sequence[tuple[int, int]]],
        take: Callable[[int, int, Tensor], None],
        origins: Int[Tensor, batch] | None = None,
    ) -> Float[Tensor, "asked width"]:
        """`states`, by the same attention computed in the open, layer by layer.

        Args:
            ids, lengths, rows, positions, origins: as in `states`.
            removed: of each row (layer, position), both from 0: in that layer no other token
                attends to that position; it still attends to itself.
            take: is told the row, the layer and its weights [heads, length, length] (query, key),
                in float32, without padding; they are made anew in every layer.
        """
        ...
