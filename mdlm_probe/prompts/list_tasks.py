"""List tasks: a list of words, what is to be done with it, and all right answers. No torch.

In some families a single answer is right; in others an even choice of several is. What an ideal
reader knows of a slot is the share of right answers that have each word there, among those that
agree with the slots already filled in: its conditional marginals, here in closed form. Families
as in ParallelBench (arXiv 2510.04767), whose items are not used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

Family = Literal[
    "copy",
    "reverse",
    "sort",
    "replace-index",
    "insert-index",
    "remove-index",
    "replace-random",
    "insert-random",
    "remove-random",
    "shuffle",
]
FAMILIES: tuple[Family, ...] = get_args(Family)
RANDOM: tuple[Family, ...] = ("replace-random", "insert-random", "remove-random", "shuffle")
"""Families in which several answers are right."""
FOREIGN = -1
"""What stands in a slot that holds none of the task's words."""

Arrangement = tuple[int, ...]
"""Of every slot of an answer, the place of its word in the list, from 0; the new word's is the
list's length."""


@dataclass(frozen=True)
class ListTask:
    """A list and what is to be done with it.

    Attributes:
        family: what is to be done.
        words: the list; no word stands twice.
        word: the new word of families that replace or insert one.
        place: where they do, or remove one, from 0, in families that say it.
    """

    family: Family
    words: tuple[str, ...]
    word: str = ""
    place: int = 0

    @property
    def all_words(self) -> tuple[str, ...]:
        """Words by the numbers that an arrangement has."""
        return (*self.words, self.word) if self.word else self.words

    @property
    def slots(self) -> int:
        """Words of a right answer."""
        return slots_of(self.family, len(self.words))

    def count(self) -> int:
        """How many answers are right."""
        n = len(self.words)
        return math.factorial(n) - 1 if self.family == "shuffle" else len(self.arrangements())

    def arrangements(self) -> tuple[Arrangement, ...]:
        """The answers that are right; not of shuffles, which have too many."""
        words, n = tuple(range(len(self.words))), len(self.words)
        if self.family == "copy":
            return (words,)
        if self.family == "reverse":
            return (words[::-1],)
        if self.family == "sort":
            return (tuple(sorted(words, key=self.words.__getitem__)),)
        verb, _, where = self.family.partition("-")
        ends = {"replace": n, "insert": n + 1, "remove": n}[verb]
        places = [self.place] if where == "index" else range(ends)
        new = () if verb == "remove" else (n,)
        skipped = 0 if verb == "insert" else 1
        return tuple((*words[:at], *new, *words[at + skipped :]) for at in places)

    def is_right(self, arrangement: Sequence[int]) -> bool:
        """Whether an answer is right. Of a shuffle that is any order but the list's own."""
        if self.family == "shuffle":
            words = list(range(len(self.words)))
            return sorted(arrangement) == words and list(arrangement) != words
        return tuple(arrangement) in self.arrangements()

    def marginals(self, known: Mapping[int, int]) -> Float[np.ndarray, "slots words"] | None:
        """What an ideal reader knows of each slot: the probability of every one of `all_words`.

        Args:
            known: words by their numbers in the slots that are filled in.

        Returns:
            probabilities, [slots, words]; None where no right answer agrees with what is known.
        """
        if self.family == "shuffle":
            return self._shuffled(known)
        agree = [
            one for one in self.arrangements() if all(one[at] == word for at, word in known.items())
        ]
        if not agree:
            return None
        found = np.zeros((self.slots, len(self.all_words)))
        for one in agree:
            found[range(self.slots), one] += 1 / len(agree)
        return found

    def _shuffled(self, known: Mapping[int, int]) -> Float[np.ndarray, "slots words"] | None:
        """Marginals of an even choice of all orders but the list's own."""
        n, used = len(self.words), set(known.values())
        left = n - len(known)
        own, others = shuffle_shares(left, all(at == word for at, word in known.items()))
        if len(used) < len(known) or FOREIGN in used or math.isnan(own):
            return None
        free = [word for word in range(n) if word not in used]
        found = np.zeros((n, n))
        for slot in range(n):
            if slot in known:
                found[slot, known[slot]] = 1
                continue
            found[slot, free] = others
            if slot in free:
                found[slot, slot] = own
        return found


def slots_of(family: Family, words: int) -> int:
    """Words of an answer to a list of so many."""
    return words + family.startswith("insert") - family.startswith("remove")


def has_new_word(family: Family) -> bool:
    """Whether a family brings a word that isn't in the list."""
    return family.startswith(("insert", "replace"))


def shuffle_shares(left: int, unmoved: bool) -> tuple[float, float]:
    """Of a shuffle, the probability of the word that stood in a slot, and of each other one.

    Args:
        left: slots that are empty.
        unmoved: whether all that are filled in hold what stood there: the rest can't, too.

    Returns:
        both; NaN where nothing is right any more.
    """
    if not unmoved:
        return (1 / left, 1 / left) if left else (1.0, 0.0)
    if (total := math.factorial(left) - 1) <= 0:
        return math.nan, math.nan
    others = math.factorial(left - 1)
    return (others - 1) / total, others / total
