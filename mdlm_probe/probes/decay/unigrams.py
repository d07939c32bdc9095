"""Which tokens are frequent: counted in the prompts, or as a list says, a user's or a model's own.

A list is a text file of one token per line, as it is spelt, leading space included; a tab and a
count may follow, and then the list also says how frequent each token is. Words of several tokens
count for each of these; a line break in a token is written `\\n`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.shipped import UNIGRAMS

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

CORPUS, MODEL = "corpus", "model"
"""The prompts themselves, and the checkpoint's own counts, beside paths of lists."""
TINY = np.finfo(float).tiny
"""No share is smaller, but zero."""

FrequentOption = Annotated[
    str, "frequent tokens: by the prompts (corpus), by the model's own counts, or path to a list"
]


@dataclass(frozen=True)
class Unigrams:
    """Tokens and their shares of a corpus.

    Attributes:
        frequent: ids of the frequent tokens, most frequent first.
        shares: of every counted token, by id; they sum to 1.
        halves: Jensen-Shannon divergence (nats) between the shares in every other text and in the
            rest: how far counting alone sets two samples apart. None for a list with counts.
    """

    frequent: tuple[int, ...]
    shares: dict[int, float]
    halves: float | None = None

    @property
    def largest(self) -> float:
        """The share of the most frequent token."""
        return max(self.shares.values())

    def divergence(self, probs: np.ndarray) -> tuple[float, float]:
        """Jensen-Shannon divergence (nats) and total variation of a distribution from this one.

        Args:
            probs: [vocabulary].
        """
        p, q = probs.astype(float), np.zeros(len(probs))
        q[list(self.shares)] = list(self.shares.values())
        return jensen_shannon(p, q), float(np.abs(p - q).sum() / 2)


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence of two distributions, in nats."""
    middle = np.maximum((p + q) / 2, TINY)
    # in half the time of scipy's rel_entr: a vocabulary is long
    parts = [(one * np.log(np.maximum(one / middle, TINY))).sum() for one in (p, q)]
    return float(sum(parts) / 2)


@lru_cache(maxsize=8)
def load(border: Border, texts: tuple[Text, ...], frequent: str, count: int) -> Unigrams:
    """The most frequent tokens, and every token's share.

    Shares come from the texts, prompts and continuations, unless a list has counts.

    Args:
        border: text in, ids out.
        texts: the corpus.
        frequent: `CORPUS`, `MODEL`, or a list's path.
        count: frequent tokens, at most.
    """
    if frequent == MODEL:
        frequent = _of_model(border)
    lines = () if frequent == CORPUS else read(frequent)
    halves: float | None = None
    if lines and lines[0][1] is not None:
        counts = _counted(border, [(text, number or 0) for text, number in lines])
    else:
        parts = [(text.prompt + text.continuation, 1.0) for text in texts]
        counts = _counted(border, parts)
        if len(parts) > 1:
            both = [_counted(border, parts[start::2]) for start in (0, 1)]
            p, q = (np.array([half.get(t, 0) for t in counts], dtype=float) for half in both)
            halves = jensen_shannon(p / p.sum(), q / q.sum())
    total = sum(counts.values())
    shares = {token: number / total for token, number in counts.items()}
    named: Mapping[int, float] = counts
    if lines and lines[0][1] is None:
        named = dict.fromkeys((t for text, _ in lines for t in border.pieces(text)), 1)
    ranked = sorted(named, key=lambda token: -named[token])  # stable: first seen, first named
    return Unigrams(tuple(ranked[:count]), shares, halves)


def _counted(border: Border, parts: Sequence[tuple[str, float]]) -> dict[int, float]:
    found: dict[int, float] = {}
    for text, number in parts:
        for token in border.pieces(text):
            found[token] = found.get(token, 0) + number
    return found


def _of_model(border: Border) -> str:
    path = Path(border.entry.source) / UNIGRAMS
    if not path.is_file():
        raise ProbeError(
            f"--frequent {MODEL}: '{border.entry.name}' comes without counts of its own",
            expected=f"a file {UNIGRAMS} in its folder: one token per line, a tab, its count",
            hint=f"--frequent {CORPUS} counts in the prompts, --frequent FILE takes a list",
            option="frequent",
        )
    return str(path)


def digest(frequent: str) -> str:
    """A hash of a list: with another one, a measurement is another one."""
    if frequent in (CORPUS, MODEL):
        return frequent
    return hashlib.blake2b(repr(read(frequent)).encode(), digest_size=8).hexdigest()


def read(path: str) -> tuple[tuple[str, float | None], ...]:
    """The tokens of a list, with their counts where it has any.

    Raises:
        ProbeError: no such file, an empty one, or a line whose count is none.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ProbeError(
            f"cannot read {path}: {error}", expected=f"'{CORPUS}', or a text file of tokens"
        ) from None
    found = [_line(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise ProbeError(f"no tokens in {path}", expected="one token per line")
    if len({number is None for _, number in found}) > 1:
        raise ProbeError(f"{path} has counts in some lines only", expected="in all, or in none")
    return tuple(found)


def _line(path: str, number: int, line: str) -> tuple[str, float | None]:
    text, tab, count = line.rstrip("\r").partition("\t")
    text = text.replace("\\n", "\n")
    if not tab:
        return text, None
    try:
        value = float(count)
    except ValueError:
        value = 0.0
    if not (text and 0 < value < float("inf")):
        raise ProbeError(
            f"{path}, line {number}: found {line!r}", expected="a token, a tab, a count above 0"
        )
    return text, value
