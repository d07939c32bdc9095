"""Texts of lm-eval's requests as tokens, cut the way lm-eval cuts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint

Ids = tuple[int, ...]


class Pair(NamedTuple):
    """A context and its continuation.

    Attributes:
        before, after: tokens of the two.
        apart: whether they were cut one by one, as a token of both together belongs to either.
    """

    before: Ids
    after: Ids
    apart: bool = False


class Clipped(NamedTuple):
    """A context and its continuation, cut to what the model can read.

    Attributes:
        ids: of both.
        first: position of the continuation's first token, 1 or more.
        cut: tokens that were left away.
    """

    ids: Ids
    first: int
    cut: int


def encode(border: Border, text: str) -> Ids:
    """A text as it stands, after the tokens that its tokenizer puts first unless it has them."""
    ids = border.pieces(text)
    return ids if border.opening(ids) else border.start + ids


def prefix(border: Border) -> int:
    """The token that stands for an empty context: the first of a text, or else its end.

    Raises:
        ProbeError: the tokenizer has neither.
    """
    for name in ("bos_token", "eos_token"):
        found = border.tokenizer.token_to_id(border.specials.get(name, ""))
        if found is not None:
            return found
    if border.entry.eos_ids:
        return border.entry.eos_ids[0]
    raise ProbeError(
        f"'{border.entry.name}' has no token to begin a text with",
        expected="bos_token or eos_token in tokenizer_config.json",
    )


def pair(border: Border, context: str, continuation: str) -> Pair:
    """A context and its continuation, tokenised together and cut where the context ends.

    Spaces at the context's end go to the continuation, as a word's first space belongs to its
    token. An empty context is one token, see `prefix`. Where a token would belong to both, they are
    tokenised apart (ours: lm-eval cuts after as many tokens as the context has by itself).
    """
    kept = context.rstrip()
    if not kept:
        ids, begin = border.pieces(context + continuation), prefix(border)
        return Pair(ids[:1], ids[1:]) if ids[:1] == (begin,) else Pair((begin,), ids)
    before, after, apart = border.cut(kept, context[len(kept) :] + continuation)
    return Pair(before if border.opening(before) else border.start + before, after, apart)


def longest(entry: Checkpoint) -> int:
    """Most tokens of a context with its continuation; causal models are not fed the last one."""
    return entry.context + (entry.kind == "causal")


def clip(before: Ids, after: Ids, most: int, kept: int = 0) -> Clipped:
    """Cuts on the left; one token of context stays, whatever the continuation's length.

    Args:
        before, after: context and continuation.
        most: tokens that the model reads.
        kept: of the context's first tokens, those that stay: it is cut behind them.
    """
    whole = before + after
    cut = max(0, len(whole) - most)
    kept = min(kept, most - 1) if cut else 0
    ids = whole[:kept] + whole[kept + cut :]
    return Clipped(ids, max(1, kept, len(ids) - len(after)), cut)
