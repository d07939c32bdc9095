"""The small language as a judge of texts: which word may follow which, and which pairs are kept.

The bundled models' language is known, so that what they write is right or wrong without any scorer.
Likelihood isn't that: even the exact one prefers a probable sentence said eight times to true prose
(arXiv 2604.02718 says so of perplexity). The measures are ours.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from mdlm_probe.prompts import toy_language

SPAN = 4
"""Words of a span that is said again: those that end one count for nothing new."""
AGAIN = 0.5
"""What a valid word counts that says nothing new.

Not nothing: an error in a text that only repeats itself would cost nothing, and would win by the
spans that it breaks.
"""
LEAST = 4
"""Fewest words of a prompt that say it is of the small language."""


@dataclass(frozen=True)
class Truth:
    """How far a text keeps to the small language. All are counts.

    Attributes:
        tokens: its words, stops and commas among them.
        valid: words that the language lets follow the one before them, the first of the text the
            last of its prompt.
        valid_new: of these, those that end a span of `SPAN` words, each a valid one after the one
            before, which wasn't said before in the text.
        pairs: first and second words of the fixed pairs: each first that something follows, with
            whatever follows it, and each second without its first.
        kept: of these, first words followed by their own second.
        kept_new: of these, pairs whose second word counts as new.
    """

    tokens: int
    valid: int
    valid_new: int
    pairs: int
    kept: int
    kept_new: int

    @property
    def score(self) -> float:
        """Valid transitions and kept pairs, per token and pair; those that aren't new count half.

        0 to 1. True prose has 1 but for what it says again by chance. No repetition wins over it,
        and no error over a repetition: two neighbours that change places never pay. 0 for no
        text.
        """
        new = self.valid_new + self.kept_new
        again = self.valid + self.kept - new
        return (new + AGAIN * again) / max(1, self.tokens + self.pairs)


def truth(prompt: str, text: str) -> Truth | None:
    """How far what follows a prompt keeps to the small language.

    Args:
        prompt: a text of that language, cut anywhere; see `is_prose`.
        text: what was written after it, up to the end of text.

    Returns:
        None where the prompt is of another language: there is no truth to measure by.
    """
    return counted(words(prompt), words(text)) if is_prose(prompt) else None


def is_prose(prompt: str) -> bool:
    """Whether a prompt is of the small language: four words or more, each a valid one."""
    said = words(prompt)
    if len(said) < LEAST or said[0] not in followers():
        return False
    return all(after in followers()[word] for word, after in pairwise(said))


def counted(before: list[str], said: list[str]) -> Truth:
    """The counts for words after other words; a text without any begins a sentence."""
    last = (before or [toy_language.STOP])[-1]
    partner, seconds = _partners(), set(_partners().values())
    known = followers()
    valid = valid_new = pairs = kept = kept_new = row = 0
    spans: set[tuple[str, ...]] = set()
    for place, word in enumerate(said):
        follows = word in known.get(last, ())
        row = row + 1 if follows else 0  # valid transitions up to here
        span = tuple(said[place - SPAN + 1 : place + 1]) if place >= SPAN - 1 else ()
        new = row >= min(place + 1, SPAN - 1) and (not span or span not in spans)
        spans.add(span)
        valid, valid_new = valid + follows, valid_new + (follows and new)
        whole = partner.get(last) == word
        kept, kept_new = kept + whole, kept_new + (whole and new)
        pairs += (last in partner) + (word in seconds and not whole)
        last = word
    return Truth(len(said), valid, valid_new, pairs, kept, kept_new)


def words(text: str) -> list[str]:
    """A text's words and punctuation marks, each one word of the language or none."""
    return re.findall(r"\w+|[^\w\s]", text)


@cache
def followers() -> dict[str, frozenset[str]]:
    """The words that may follow each word of the language: every word has one hidden state."""
    chain = toy_language.prose()
    names = [token.strip() for token in chain.tokens]
    state = chain.emission.argmax(0)
    possible = (chain.transition @ chain.emission)[state] > 0
    return {
        name: frozenset(other for other, may in zip(names, row, strict=True) if may)
        for name, row in zip(names, possible, strict=True)
    }


@cache
def _partners() -> dict[str, str]:
    """The second word of each pair's first."""
    firsts, seconds = toy_language.FIRSTS.split(), toy_language.SECONDS.split()
    return dict(zip(firsts, seconds, strict=True))
