"""Haystacks: a needle among made-up prose, cut to a number of tokens.

The filler is drawn from the project's small language (`grammar`): no text is shipped, and any
length can be had. Source of the test: needle depth x context length, as in arXiv 2506.14429; the
filler and how it is cut are ours.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.probes.needle.facts import Needle, Needles, names
from mdlm_probe.prompts import toy_language
from mdlm_probe.prompts.prompt import Prompt

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border

THIN = 64
"""Most words of prose that are drawn for each word wanted."""


def filler(needle: Needle, item: int, seed: int, words: int) -> tuple[str, ...]:
    """Sentences of `words` words or more in all; none of them names the needle's key or value.

    They depend on the item and the seed; more words begin with the same sentences. They start with
    a capital where the fact does.

    Raises:
        ProbeError: nearly every sentence names one of the two.
    """
    capital = needle.fact[0].isupper()
    return _filler(needle.key, needle.value, capital, seed_of("filler", item, seed), words)


@lru_cache(maxsize=32)
def _filler(key: str, value: str, capital: bool, seed: int, words: int) -> tuple[str, ...]:
    drawn = toy_language.STRETCH
    while drawn <= THIN * max(words, toy_language.STRETCH):
        texts = (text.strip() for text in toy_language.sentences(drawn, seed))
        kept = [text for text in texts if not names(text, key) and not names(text, value)]
        if sum(len(text.split()) for text in kept) >= words:
            return tuple(text[0].upper() + text[1:] if capital else text for text in kept)
        drawn *= 2
    raise ProbeError(
        f"nearly every sentence of the filler names '{key}' or '{value}'",
        expected="keys and values that are rare in it",
    )


# ---------------------------------------------------------------------- haystacks


@dataclass(frozen=True)
class Haystack:
    """A needle's filler, cut for one tokenizer and length; the needle can be put anywhere in it.

    Attributes:
        needles, needle: what is hidden.
        sentences: the filler.
        ends: tokens of the filler up to the end of every sentence.
        answer: token ids of the answer where it follows its opening.
    """

    needles: Needles
    needle: Needle
    sentences: tuple[str, ...]
    ends: tuple[int, ...]
    answer: tuple[int, ...]

    def prompt(self, depth: int | None) -> Prompt:
        """The prompt with the fact at a depth, in percent of the filler's tokens; None: nowhere.

        The fact goes between the two sentences nearest to that depth; 0 is before all of them.
        """
        if depth is None:
            return self.needles.prompt(self.needle, self.sentences, None)
        goal, starts = self.ends[-1] * depth / 100, (0, *self.ends)
        at = min(range(len(starts)), key=lambda i: abs(starts[i] - goal))
        return self.needles.prompt(self.needle, self.sentences, at)


@lru_cache(maxsize=64)
def fit(border: Border, needles: Needles, item: int, seed: int, length: int) -> Haystack:
    """The haystack of an item: as many whole sentences as a length allows, answer included.

    The same sentences for every depth, whatever stands around them: a shorter haystack is the
    beginning of a longer one.

    Args:
        border: the model's tokenizer and chat template.
        needles: where the needle comes from.
        item, seed: which needle, and which filler.
        length: tokens, at most.

    Raises:
        ProbeError: the needle and one sentence are longer than that, or hold unknown words.
    """
    needle = needles.needle(item, seed)
    answer = border.cut(needle.opening, needle.answer)[1]
    _check_known(border, needles, needle)
    texts = filler(needle, item, seed, length)
    room, empty = length - len(answer), len(border.encode(""))
    ends = list(accumulate(len(border.encode(needles.between + t)) - empty for t in texts))

    def tokens(count: int) -> int:
        places = {0, min(1, count), count}  # first, amid and last it may be cut differently
        written = (needles.prompt(needle, texts[:count], at) for at in places)
        return max(len(border.encode(prompt)) for prompt in written)

    count = max(1, bisect_right(ends, room - tokens(0)))
    while count > 1 and tokens(count) > room:
        count -= 1
    while count < len(texts) and tokens(count + 1) <= room:
        count += 1
    if (least := tokens(count)) > room:
        raise TooLong(
            f"a context of {length} tokens can't hold the needle '{needle.fact}'",
            expected=f"{least + len(answer)} or more, for fact, question and a sentence of filler",
            hint="raise --lengths",
            reason=f"{length} tokens can't hold fact, question and a sentence of filler",
        )
    return Haystack(needles, needle, texts[:count], tuple(ends[:count]), answer)


def queries(
    asker: Asker, hidden: Haystack, depth: int | None, readouts: tuple[Readout, ...], name: str
) -> list[Query]:
    """Asks for every token of the answer, given those before it.

    Masked models: a query for each, with masks in place of the tokens still to come. Causal models:
    one query for all of them.
    """
    ids, answer = asker.border.encode(hidden.prompt(depth)), hidden.answer
    if asker.entry.kind == "causal":
        places = tuple(range(len(ids), len(ids) + len(answer)))
        return [Query((*ids, *answer[:-1]), places, readouts, name)]
    masks, origin = (asker.entry.mask,) * len(answer), asker.entry.origin_at(len(ids))
    return [
        Query((*ids, *answer[:n], *masks[n:]), (len(ids) + n,), readouts, name, origin=origin)
        for n in range(len(answer))
    ]


def start_of(border: Border, hidden: Haystack, depth: int | None) -> int | None:
    """Tokens before the fact, those of a chat template included; None where there is no fact."""
    prompt, fact = hidden.prompt(depth), hidden.needle.fact
    text = border.chat(prompt) if border.entry.chat else prompt.text()
    if depth is None or fact not in text:
        return None
    before = border.pieces(text[: text.index(fact)].rstrip(" "))
    return len(before) if border.entry.chat else len(border.start) + len(before)


def _check_known(border: Border, needles: Needles, needle: Needle) -> None:
    text = needles.prompt(needle, (), 0).text() + needle.answer
    ids = border.encode(text)
    if border.is_rough or _alike(border.decode(ids[len(border.start) :]), text):
        return
    parts = {"intro": needles.intro, "fact": needle.fact, "question": needle.question}
    parts |= {"turn": needles.turn, "answer": needle.opening + needle.answer}
    unknown = [
        name
        for name, part in parts.items()
        if part.strip(" ") and not _alike(border.decode(border.pieces(part)), part)
    ]
    name = unknown[0] if unknown else "fact"
    raise ProbeError(
        f"{name} {parts[name]!r} can't be written in the vocabulary of {border.entry.name}",
        expected="words that its tokenizer knows",
        hint="--lexicon small is for the bundled models; or give your own --needles",
    )


def _alike(read: str, text: str) -> bool:
    """Whether two texts are the same but for white space and capitals."""
    return "".join(read.split()).casefold() == "".join(text.split()).casefold()
