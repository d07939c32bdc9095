"""Answers made up without a network: arrays of the right shapes and types, for a dry run.

Every distribution is even over the vocabulary. The confidence of what would be committed is random,
so that decoding takes a likely number of steps, and so are tokens sampled at a temperature: samples
of one text are different texts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.core.errors import TooLong
from mdlm_probe.engine.batches import check
from mdlm_probe.engine.queries import Answer, Query

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint


class LikelyAnswers:
    """Answers queries as an engine does, without a network.

    Attributes:
        vocab: columns of a row.
        token: the token that is predicted everywhere: no mask, and no end of text.
        sizes: most tokens of a query, by its name.
        too_long: queries longer than the context, by name, where they are answered all the same;
            None: they are refused.
    """

    def __init__(self, entry: Checkpoint, border: Border) -> None:
        self.entry = entry
        self.sizes: dict[str, int] = {}
        self.too_long: dict[str, TooLong] | None = None
        self.vocab = entry.geometry.get("vocab") or border.vocab
        special = {entry.mask_id, *entry.eos_ids}
        self.token, self._other = [i for i in range(len(special) + 2) if i not in special][:2]
        self._special = special
        self._logp = -math.log(self.vocab)
        self._shapes: dict[str, Callable[..., np.ndarray]] = {
            "entropy": lambda asked: self._floats(asked, fill=-self._logp),
            "top_id": lambda asked: np.full(asked, self.token),
            "top_logprob": lambda asked: self._floats(asked),
            "top_ids": lambda asked, count: np.tile(np.arange(self._most(count)), (asked, 1)),
            "top_logprobs": lambda asked, count: self._floats(asked, self._most(count)),
            "chosen": lambda asked, *ids: self._floats(asked, len(ids)),
            "mass": lambda asked, *ids: self._floats(asked, fill=len(set(ids)) / self.vocab),
            "drawn": lambda asked, share: np.full(asked, self.token),
            "whole": lambda asked: self._floats(asked, self.vocab),
            "own": lambda asked, first, *ids: self._floats(asked),
            "own_tokens": lambda asked, first, *ids: self._floats(asked, len(ids[0])),
            "candidates": lambda asked, *how: self._candidates(asked, *how[1:3]),
            "other": lambda asked, *how: np.full(asked, self._other),
            "mean": lambda asked: self._floats(self.vocab, fill=1 / self.vocab),
            "divergences": lambda asked, pairs, memory: self._floats(len(pairs), 2, fill=0.0),
        }
        self._of_attention: dict[str, Callable[..., int]] = {  # shares of a layer
            "received": lambda length, queries: length,
            "strongest": lambda length, begins: length,
            "to_groups": lambda length, queries, groups: len(groups),
            "by_distance": lambda length, queries, starts: len(starts),
        }

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Answers of the right shapes, in the order asked.

        Raises:
            ProbeError: a query that a real engine would refuse, too.
        """
        for query in queries:
            self.sizes[query.name] = max(len(query.ids), self.sizes.get(query.name, 0))
            try:
                check(query, self.entry)
            except TooLong as error:
                if self.too_long is None:
                    raise
                self.too_long[query.name] = error
        return [self._answer(query) for query in queries]

    def _answer(self, query: Query) -> Answer:
        asked = len(query.positions)
        found = Answer()
        for readout in query.readouts:
            found[readout] = self._shapes[readout.name](asked, *readout.args)
        for block in query.blocks:
            found[block] = self._shapes[block.name](len(block.places), *block.args)
        layers = self.entry.geometry.get("layers", 1)
        for asked_of in query.attention:
            count = self._of_attention[asked_of.name](len(query.ids), *asked_of.args)
            found[asked_of] = self._floats(layers, count, fill=1 / count)
        return found

    def _floats(self, *shape: int, fill: float | None = None) -> np.ndarray:
        value = np.float32(self._logp if fill is None else fill)
        return np.broadcast_to(value, shape)  # as one number: a row of a vocabulary is a megabyte

    def _most(self, count: int) -> int:
        return min(count, self.vocab)

    def _candidates(self, asked: int, temperature: float = 0.0, seed: int = 0) -> np.ndarray:
        """Token, log-probability, and a random confidence, the same for every so many masks."""
        found = np.full((asked, 3), self._logp, dtype=np.float32)
        sampled = seed % self.vocab
        found[:, 0] = sampled if temperature and sampled not in self._special else self.token
        found[:, 2] = -1 - np.random.default_rng(asked).random(asked)
        return found
