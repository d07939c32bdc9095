"""An oracle of list tasks: the exact marginals of their answers, from the task alone.

It reads the last question of a prompt, and gives every empty slot of its answer the words that
right answers have there, each with its share of those that agree with the slots filled in. That is
what an ideal reader can know; what it gets wrong is lost by filling in several slots at once. Words
that are equally probable differ by a random ten-thousandth, so that the most probable one, too, is
any of them. Where no right answer is left, all words of the task are alike. Source: ours.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import oracle
from mdlm_probe.models._base import Model
from mdlm_probe.models._border import Border, load_border
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FOREIGN, ListTask
from mdlm_probe.prompts.prompt import MASK

SMOOTHING = 1e-9
"""Probability that a slot holds any token at all: what can't be has a logarithm."""
TIES = 1e-4
"""By how much, at most, words that are equally probable differ."""


class ListOracle:
    """The ideal reader of list tasks in the small lexicon, as a masked model.

    Args:
        entry: name, mask id and context.
        border: text in, ids out.
    """

    device = "cpu"

    def __init__(self, entry: Checkpoint, border: Border) -> None:
        self.entry, self.border, self.vocab = entry, border, border.vocab
        self.facts: dict[str, Any] = {"dtype": "float64", "device": "cpu", "weight_hash": "none"}
        self._lists = list_prompts.load("lists", "small")
        possible = torch.ones(1, self.vocab, dtype=torch.float64)
        possible[0, entry.mask] = 0
        self._even = possible / possible.sum()

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked vocab"]:
        """Probabilities at the asked positions; see the Model protocol."""
        found = torch.zeros(len(rows), self.vocab, dtype=torch.float64)
        if bool(ids.eq(self.entry.mask).all()):  # nothing to read, as where memory is measured
            return self._even.expand(len(rows), -1)
        texts = {row: ids[row, : int(lengths[row])].tolist() for row in set(rows.tolist())}
        known = {row: self._read(own) for row, own in texts.items()}
        for at, (row, place) in enumerate(zip(rows.tolist(), positions.tolist(), strict=True)):
            tokens, table = known[row]
            slot = place - len(texts[row]) + len(table)
            if slot < 0 or texts[row][place] != self.entry.mask_id:
                raise ProbeError("the oracle answers at the masks of an answer only")
            rng = random.Random(seed_of("ties", texts[row], place))
            shares = table[slot] * [1 + TIES * rng.random() for _ in tokens]
            found[at, tokens] = torch.from_numpy(shares / shares.sum())
        return (1 - SMOOTHING) * found + SMOOTHING * self._even

    def logprobs(self, states: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
        """Log-probabilities of the tokens, float32; the mask's is minus infinity."""
        return states.log().float()

    def _read(self, ids: list[int]) -> tuple[list[int], Float[np.ndarray, "slots words"]]:
        """The tokens of a task's words, and what its answer tells of each slot."""
        mask = self.entry.mask_id
        text = "".join(MASK if token == mask else self.border.decode([token]) for token in ids)
        before, _, _ = text.rpartition(self._lists.turn)
        task = self._lists.read(before.rpartition(self._lists.end)[2])
        if task is None or len(ids) < task.slots or text.count(MASK) > task.slots:
            raise ProbeError(
                f"'{self.entry.name}' reads list tasks only",
                expected="tasks of tasks/lists.yaml, with --lexicon small",
            )
        tokens = [self.border.token(f" {word}") for word in task.all_words]
        return tokens, _told(task, ids[-task.slots :], tokens, mask)


def _told(
    task: ListTask, answer: list[int], tokens: list[int], mask: int | None
) -> Float[np.ndarray, "slots words"]:
    """Marginals given an answer's tokens; even ones where nothing right agrees with them."""
    known = {
        slot: tokens.index(token) if token in tokens else FOREIGN
        for slot, token in enumerate(answer)
        if token != mask
    }
    rows = task.marginals(known)
    even = np.full((task.slots, len(tokens)), 1 / len(tokens))
    return even if rows is None else rows


def build(entry: Checkpoint, options: LoadOptions) -> Model:
    """The oracle of list tasks, with the bundled models' vocabulary."""
    oracle.check_options(entry, options)
    return ListOracle(entry, load_border(Path(entry.source), entry))
