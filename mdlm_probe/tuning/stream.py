"""The samples of a whole training, in order: each corrupted by itself and by its step alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.tuning.corruption import Corrupted, Moment, Objective, Sample, Tokens


class Stream:
    """`steps` x `batch` corrupted samples; how they are shared out changes none of them.

    Every sample comes once, in an order drawn anew for each pass, before any comes again. The order
    depends on the seed and the number of samples only: all objectives read the same.

    Args:
        samples: the data.
        objective: what corrupts them.
        tokens: what it writes with.
        steps, batch: optimiser steps, and samples of each, on all devices together.
        seed: of order and corruption.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        objective: Objective,
        tokens: Tokens,
        steps: int,
        batch: int,
        seed: int,
    ) -> None:
        self.samples, self.objective, self.tokens = samples, objective, tokens
        self.steps, self.batch, self.seed = steps, batch, seed

    def __len__(self) -> int:
        return self.steps * self.batch

    def __getitem__(self, item: int) -> Any:
        visit, place = divmod(item, len(self.samples))
        number = int(_order(self.seed, visit, len(self.samples))[place])
        step = item // self.batch
        rng = np.random.default_rng(seed_of("corruption", self.seed, number, step, visit))
        moment = Moment(rng, item, step, self.steps)
        return self.objective.corrupt(self.samples[number], self.tokens, moment)


@lru_cache(maxsize=4)
def _order(seed: int, visit: int, count: int) -> Int[np.ndarray, " count"]:
    return np.random.default_rng(seed_of("order", seed, visit)).permutation(count)


def collate(items: Sequence[Corrupted], pad: int, shift: int) -> dict[str, Any]:
    """A batch: all rows of all items, padded on the right, where nothing attends.

    Args:
        items: corrupted samples.
        pad: id of the padding.
        shift: 1 where the network's row i-1 scores the token at i.

    Returns:
        "input_ids" and "attention_mask" [rows, length], the mask None where nothing is padded;
        "logits_to_keep" [rows, length], true where the network's output is needed; "items";
        "tokens", how many, padding apart.
    """
    import torch  # a plan counts samples without

    rows = [row for item in items for row in item.rows]
    lengths = [len(row) for row in rows]
    ids = np.full((len(rows), max(lengths)), pad, np.int64)
    keep, held = np.zeros(ids.shape, bool), np.zeros(ids.shape, np.int64)
    places = [item.places for item in items for _ in item.rows]
    for number, (row, scored) in enumerate(zip(rows, places, strict=True)):
        ids[number, : len(row)] = row
        held[number, : len(row)] = 1
        keep[number, scored - shift] = True
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": None if held.all() else torch.from_numpy(held),
        "logits_to_keep": torch.from_numpy(keep),
        "items": list(items),
        "tokens": sum(lengths),
    }
