"""A block-causal oracle: the exact posterior of a text whose later blocks nobody has seen.

What stands behind a masked token's own block is not read, masked or not: so the sum over blocks of
log p(block | blocks before it) is the log-likelihood of a text, in any order within blocks. With a
shift, the first token of a block is read from the blocks before it alone. Source: ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.models import oracle
from mdlm_probe.models._base import Model
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions


class BlockOracle(oracle.Oracle):
    """The posterior of a masked token given its own block and those before it."""

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked states"]:
        """Posterior over hidden states at the asked positions; see the Model protocol."""
        asked = list(zip(rows.tolist(), positions.tolist(), strict=True))
        first = torch.zeros_like(lengths) if origins is None else origins
        read = [
            (row, min(int(lengths[row]), self._end(place, int(first[row])))) for row, place in asked
        ]
        texts = list(dict.fromkeys(read))  # one for each end up to which a row is read
        seen, ends = (torch.tensor(part) for part in zip(*texts, strict=True))
        own = torch.tensor([texts.index(text) for text in read])
        return super().states(ids[seen, : int(ends.max())], ends, own, positions)

    def _end(self, place: int, origin: int) -> int:
        """The first position that the prediction for a place doesn't read."""
        begin, end = self.entry.block_span(place, origin)
        return place + 1 if self.entry.shift and place == begin else end


def build(entry: Checkpoint, options: LoadOptions) -> Model:
    """The block-causal oracle of the small language, with the bundled models' vocabulary."""
    return oracle.made(BlockOracle, oracle.language(), entry, options)
