"""An oracle with a known bias: it reads near tokens only, and fewer the more masks there are.

It stands beside real models to show what each probe sees of a model that reads by distance and is
distracted by masks. It also doubts that there is a rule, and takes the first option until examples
tell it better: a question alone would often give the answer away. Of what it reads its answers are
the exact posterior. Source: ours.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mdlm_probe.models import oracle
from mdlm_probe.models._base import Model
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions

REACH, LEAST = 64, 12
"""How many places on either side are read in a text with one mask, and with however many."""

DOUBT = 0.999
"""Share of the few-shot documents in which it expects no rule: three examples or so refute it."""


class BiasedOracle(oracle.Oracle):
    """The posterior of a masked token given the tokens within its reach, and nothing else."""

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked states"]:
        """Posterior over hidden states at the asked positions; see the Model protocol."""
        own = torch.arange(len(rows))
        seen = self._near(ids[rows], positions)
        return super().states(seen, lengths[rows], own, positions)

    def _near(
        self, ids: Int[Tensor, "asked length"], positions: Int[Tensor, " asked"]
    ) -> Int[Tensor, "asked length"]:
        """The texts as they are read for each asked position: what is too far away is masked."""
        away = (torch.arange(ids.shape[1]) - positions[:, None]).abs()
        far: Bool[Tensor, "asked length"] = away > self.reach(ids)[:, None]
        return ids.masked_fill(far, self.mask)

    def reach(self, ids: Int[Tensor, "asked length"]) -> Int[Tensor, " asked"]:
        """How many places on either side are read of each text: one fewer for each further mask."""
        masks = (ids == self.mask).sum(1)
        return (REACH + 1 - masks).clamp(LEAST)

    @property
    def mask(self) -> int:
        """The mask's id."""
        assert self.entry.mask_id is not None
        return self.entry.mask_id


def build(entry: Checkpoint, options: LoadOptions) -> Model:
    """The biased oracle of the small language, with the bundled models' vocabulary."""
    return oracle.made(BiasedOracle, oracle.language(DOUBT), entry, options)
