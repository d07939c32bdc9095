"""Pairs of words that only go together: sentences with two slots that must agree. No torch.

"AB" or "A'B'" may fill the slots, never "AB'": a model that fills both at once, each from its own
marginal, mixes them (the failure example of arXiv 2510.03289). Read from YAML: tasks/pairs.yaml, or
a user's own. Source: ours; the paper's sentences are not published.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts.prompt import MASK
from mdlm_probe.prompts.shipped import path_of

SLOTS = ("{a}", "{b}")
FIELDS = ("context", "text", "space", "pairs")


@dataclass(frozen=True)
class PairSet:
    """A sentence with two slots, and the pairs of words that may fill them.

    Attributes:
        name: the template's.
        context: what stands before the sentence; "" for nothing.
        before, between, after: the sentence, cut at its slots.
        pairs: what fills the first slot and the second, each with the space before it if there is
            one, so that the texts join as they are; no word stands twice on a side.
    """

    name: str
    context: str
    before: str
    between: str
    after: str
    pairs: tuple[tuple[str, str], ...]

    def prompt(self) -> str:
        """The text with one `MASK` in each slot."""
        return self.fill(MASK, MASK)

    def fill(self, first: str, second: str) -> str:
        """The text with these words in its slots."""
        return self.context + self.before + first + self.between + second + self.after

    def tokens(self, pieces: Callable[[str], Sequence[int]]) -> tuple[tuple[int, int], ...]:
        """Token ids of the pairs whose two words are one token each, in the order of the pairs.

        Fewer than two are no test of anything: whoever asks leaves the set out, and says so. Pairs
        of which a word is a token that another pair has there, too (an unknown token), are left
        out.

        Args:
            pieces: cuts a text into token ids, such as a border's.
        """
        cut = [tuple(tuple(pieces(word)) for word in pair) for pair in self.pairs]
        sides = [[pair[side] for pair in cut] for side in (0, 1)]
        return tuple(
            (first[0], second[0])
            for first, second in cut
            if len(first) == len(second) == 1
            and sides[0].count(first) == 1
            and sides[1].count(second) == 1
        )


@cache
def load(pairs: str = "pairs", lexicon: str = "full") -> tuple[PairSet, ...]:
    """Reads a file of pairs for one of its lexicons, in the file's order.

    Under `lexicons.LEXICON` stand the templates by name, each with the fields `text` (with {a} and
    {b} once each, in this order), `pairs` (lists of two words, two lists or more), `context`
    (written right before the text; default: "") and `space`: "word" (default) if a space before a
    slot belongs to the word in it, as most tokenizers cut, or "text" if it belongs to the text.

    Args:
        pairs: the shipped name, or the path of a YAML file.
        lexicon: which of the file's lexicons to read.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    doc = Document(path_of(pairs, "pairs", ("pairs", "toy")))
    doc.only((), ("name", "lexicons"))
    at = ("lexicons", lexicon)
    lexicons = doc.get(at[:1], dict)
    if lexicon not in lexicons:
        raise doc.error(at[:1], f"no lexicon '{lexicon}'", "one of " + ", ".join(lexicons))
    found = tuple(_pair_set(doc, (*at, name)) for name in doc.get(at, dict))
    if not found:
        raise doc.error(at, "found none", "a template or more")
    return found


def find(source: str, lexicon: str, name: str) -> PairSet:
    """The pair set of a file by its name."""
    return next(found for found in load(source, lexicon) if found.name == name)


def begins_with_slot(source: str, lexicon: str, name: str) -> bool:
    """Whether nothing stands before the first slot of a pair set."""
    return find(source, lexicon, name).prompt().startswith(MASK)


def digest(pairs: str = "pairs", lexicon: str = "full") -> str:
    """A hash of all that is written: with other pairs, a measurement is another one."""
    made = repr(load(pairs, lexicon))
    return hashlib.blake2b(made.encode(), digest_size=8).hexdigest()


def _pair_set(doc: Document, at: tuple[str, ...]) -> PairSet:
    doc.only(at, FIELDS)
    text = doc.get((*at, "text"), str)
    for slot in SLOTS:
        if text.count(slot) != 1:
            found = f"{slot} stands {text.count(slot)} times in {text!r}"
            raise doc.error((*at, "text"), found, "a text with {a} and {b} once each")
    if text.index("{a}") > text.index("{b}"):
        raise doc.error((*at, "text"), f"{{b}} stands first in {text!r}", "{a} before {b}")
    space = doc.get((*at, "space"), str, "word")
    if space not in ("word", "text"):
        raise doc.error((*at, "space"), f"found '{space}'", "word or text")
    context = doc.get((*at, "context"), str, "")
    for field, written in (("context", context), ("text", text)):
        if MASK in written:
            raise doc.error((*at, field), "holds U+E000, which stands for a mask", "other text")
    before, rest = text.split("{a}")
    between, after = rest.split("{b}")
    pairs = _pairs(doc, (*at, "pairs"))
    if space == "word":
        pairs = tuple((_lead(before) + a, _lead(between) + b) for a, b in pairs)
        before, between = before.removesuffix(" "), between.removesuffix(" ")
    return PairSet(at[-1], context, before, between, after, pairs)


def _lead(text: str) -> str:
    return " " if text.endswith(" ") else ""


def _pairs(doc: Document, at: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    listed = doc.get(at, list)
    for number, pair in enumerate(listed):
        whole = isinstance(pair, list) and len(pair) == 2
        if not whole or not all(isinstance(w, str | int) and str(w).strip() for w in pair):
            raise doc.error((*at, number), f"found {pair!r}", "a list of two words")
        if any(isinstance(word, bool) for word in pair):
            raise doc.error((*at, number), f"found {pair!r}", "words like yes and no in quotes")
        if any(MASK in str(word) for word in pair):
            raise doc.error((*at, number), "found U+E000, which stands for a mask", "other words")
    pairs = tuple((str(a), str(b)) for a, b in listed)
    if len(pairs) < 2:
        raise doc.error(at, f"found {len(pairs)} pairs", "two or more")
    for side in (0, 1):
        words = [pair[side] for pair in pairs]
        for number, word in enumerate(words):
            if word in words[:number]:
                raise doc.error(
                    (*at, number),
                    f"'{word}' is in two pairs on the {('first', 'second')[side]} side",
                    "pairs that share no word on a side: a mixture must be wrong",
                )
    return pairs
