"""The bundled models' tokenizer and training stream: few-shot documents and prose, without torch.

Every batch is drawn from its own seed, so that any step's batch can be made again by itself.
"""

from __future__ import annotations

import itertools
import re
import zlib
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Bool, Int
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from mdlm_probe.prompts import suite, toy_language

EOS, MASK, UNKNOWN = "<eos>", "<mask>", "<unk>"
EOS_ID, MASK_ID = 0, 1
OPTIONS = ("Options: (A) ", ", (B) ", ", (C) ")
OPENING, CLOSING, BETWEEN = "\nAnswer:[", "].", "\n\n"
LARGEST = 40
EXAMPLE = 10
"""Tokens of one example, the blank line after it included."""
ANSWER = 7
"""The place of the answer among an example's tokens."""
CLOSES = 8
"""The place of the example's last token before the blank line."""
SPLITS = np.array(["test", "test", "validation", "train", "train", "train", "train", "train"])

Ids = Int[np.ndarray, "..."]


# ---------------------------------------------------------------------- tokens


@cache
def words() -> dict[str, tuple[str, ...]]:
    """The words of the suite's small lexicon, by category."""
    return suite.load("few-shot", "small").words


@cache
def vocabulary() -> tuple[str, ...]:
    """Every token's text; its index is its id."""
    numbers = [str(n) for n in range(1, LARGEST + 1)]
    listed = [word for group in words().values() for word in group]
    specials = (EOS, MASK, UNKNOWN)
    template = (*OPTIONS, OPENING, CLOSING, BETWEEN)
    return (*specials, *template, "A", "B", "C", *listed, *numbers, *toy_language.prose().tokens)


@cache
def ids_of() -> dict[str, int]:
    """The id of every token's text."""
    return {text: i for i, text in enumerate(vocabulary())}


def tokenizer() -> PreTrainedTokenizerFast:
    """The word-level tokenizer of both models; decoding gives back the text exactly.

    Tokens carry their white space. Prose words begin with a space, suite words don't, so that the
    same spelling in a list and in a sentence is two tokens.
    """
    core = Tokenizer(models.WordLevel(ids_of(), unk_token=UNKNOWN))
    template = "|".join(map(re.escape, (*OPTIONS, OPENING, CLOSING, BETWEEN)))
    pieces = Regex(rf"{template}| ?[A-Za-z]+|[0-9]+|[\s\S]")
    core.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    core.decoder = decoders.Fuse()
    core.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in (EOS, MASK, UNKNOWN)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=EOS,
        pad_token=EOS,
        mask_token=MASK,
        unk_token=UNKNOWN,
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


# ---------------------------------------------------------------------- exercises


@cache
def _hashes() -> np.ndarray:
    """zlib.crc32 of every token's text, for `splits_of`."""
    return np.array([zlib.crc32(text.encode()) for text in vocabulary()], dtype=np.uint64)


def splits_of(options: Int[np.ndarray, "*shape 3"]) -> np.ndarray:
    """The split of every option triple, given as token ids; equal to `split` of the texts."""
    total = _hashes()[options].sum(-1)  # wraps at 2^64, which the remainder by 2^32 divides
    bucket = (total * np.uint64(2654435761) % np.uint64(2**32)) >> np.uint64(29)
    return SPLITS[bucket.astype(np.int64)]


@dataclass(frozen=True)
class Topics:
    """The topics of some documents: word topics by category, and one number rule each.

    Attributes:
        target: category of the right option, [documents, word topics].
        wrong: categories of wrong options, [documents, word topics, 6]: one to three different,
            repeated to six, so that an even draw of six is an even draw of them.
        largest: whether the right number is the largest, else the smallest, [documents].
        weight: share of each topic in the long run, the last one the numbers',
            [documents, word topics + 1].
        stay: chance that an example keeps the topic of the one before, [documents].
    """

    target: Ids
    wrong: Ids
    largest: Bool[np.ndarray, " documents"]
    weight: np.ndarray
    stay: np.ndarray


WORD_TOPICS = 3
PAIRED = 0.1
"""Share of word topics that set a word's two cases against each other."""


def topics(count: int, rng: np.random.Generator) -> Topics:
    """Topics for documents: fixed for the whole of each, so an old example tells as much as a new.

    No two word topics of a document contradict each other: a category that is right in one is never
    wrong in a topic whose right category is wrong in it. Topics share the examples by random
    weights; a document has 1 to 3 word topics and, 17 in 20 times, numbers.
    """
    names = list(words())
    cases = [names.index("capitalised"), names.index("lower")]
    order = rng.random((count, WORD_TOPICS, len(names))).argsort(-1)
    paired = rng.random((count, WORD_TOPICS)) < PAIRED
    flip = rng.random((count, WORD_TOPICS)) < 0.5
    target = np.where(paired, np.where(flip, cases[0], cases[1]), order[..., 0])
    width = np.where(paired, 1, rng.integers(1, 4, (count, WORD_TOPICS)))
    wrong = order[..., 1:4].copy()
    wrong[paired, 0] = np.where(flip, cases[1], cases[0])[paired]
    wrong = np.take_along_axis(wrong, np.arange(6) % width[..., None], -1)
    for later in range(1, WORD_TOPICS):  # a contradicting topic repeats the first one
        for earlier in range(later):
            against = (wrong[:, earlier] == target[:, later, None]).any(-1) & (
                wrong[:, later] == target[:, earlier, None]
            ).any(-1)
            target[against, later], wrong[against, later] = target[against, 0], wrong[against, 0]
    weight = rng.exponential(size=(count, WORD_TOPICS + 1))
    weight[:, 1:WORD_TOPICS] *= np.arange(1, WORD_TOPICS) < rng.integers(1, 4, count)[:, None]
    weight[:, -1] *= rng.random(count) < 0.85
    weight /= weight.sum(-1, keepdims=True)
    return Topics(target, wrong, rng.random(count) < 0.5, weight, rng.uniform(0, 0.97, count))


def sequence(topics: Topics, length: int, rng: np.random.Generator) -> Ids:
    """The topic of every example, [documents, length]: a sticky Markov chain over the topics."""
    bounds = topics.weight.cumsum(-1)
    draws = rng.random((len(bounds), length))
    fresh = (draws[..., None] > bounds[:, None, :-1]).sum(-1)
    change = rng.random((len(bounds), length)) >= topics.stay[:, None]
    change[:, 0] = True
    last = np.maximum.accumulate(np.where(change, np.arange(length), 0), axis=1)
    return np.take_along_axis(fresh, last, 1)


def exercises(
    topics: Topics, which: Ids, rng: np.random.Generator, split: str = "train"
) -> tuple[Ids, Ids]:
    """Option triples of one split, and the place of the right one.

    Args:
        topics: of the documents.
        which: topic of every example, [documents, length].
        rng: the source of chance.
        split: "train", "validation" or "test".

    Returns:
        Token ids [documents, length, 3], and 0..2 [documents, length].
    """
    options = np.empty((*which.shape, 3), dtype=np.int64)
    right = np.empty(which.shape, dtype=np.int64)
    document, place = np.indices(which.shape).reshape(2, -1)
    while len(document):
        drawn, answer = _draw(topics, document, which[document, place], rng)
        options[document, place], right[document, place] = drawn, answer
        doubled = (drawn[:, [0, 0, 1]] == drawn[:, [1, 2, 2]]).any(-1)
        again = doubled | (splits_of(drawn) != split)
        document, place = document[again], place[again]
    return options, right


def _draw(topics: Topics, document: Ids, which: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
    count = len(document)
    first_word, first_number = ids_of()[next(iter(words().values()))[0]], ids_of()["1"]
    number = rng.integers(1, LARGEST + 1, (count, 3))
    sign = np.where(topics.largest[document], 1, -1)
    best = (number * sign[:, None]).argmax(-1)
    topic = np.minimum(which, WORD_TOPICS - 1)
    pick = rng.integers(0, 6, (count, 2))
    wrong = np.take_along_axis(topics.wrong[document, topic], pick, -1)
    category = np.concatenate([topics.target[document, topic][:, None], wrong], -1)
    size = len(next(iter(words().values())))
    word = first_word + category * size + rng.integers(0, size, (count, 3))
    right = rng.integers(0, 3, count)
    word = np.take_along_axis(word, (np.arange(3) - right[:, None]) % 3, -1)
    is_number = which == WORD_TOPICS
    options = np.where(is_number[:, None], first_number + number - 1, word)
    return options, np.where(is_number, best, right)


def spell(options: Ids, right: Ids) -> Ids:
    """The ten tokens of every example, [..., 10]."""
    ids = ids_of()
    out = np.empty((*right.shape, EXAMPLE), dtype=np.int64)
    out[..., 0:6:2] = [ids[text] for text in OPTIONS]
    out[..., 1:6:2] = options
    out[..., 6] = ids[OPENING]
    out[..., ANSWER] = np.take_along_axis(options, right[..., None], -1)[..., 0]
    out[..., CLOSES] = ids[CLOSING]
    out[..., 9] = ids[BETWEEN]
    return out


# ---------------------------------------------------------------------- prose


@cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    chain = toy_language.prose()
    return (
        chain.initial.cumsum()[:-1],
        chain.transition.toarray().cumsum(1)[:, :-1],
        chain.emission.cumsum(1)[:, :-1],
    )


def prose(rows: int, length: int, rng: np.random.Generator) -> Ids:
    """Texts of the prose chain as token ids, [rows, length]; many at once."""
    initial, transition, emission = _tables()
    draws = rng.random((2, length, rows, 1))
    state = (rng.random((rows, 1)) > initial).sum(-1)
    out = np.empty((rows, length), dtype=np.int64)
    for i in range(length):
        out[:, i] = (draws[0, i] > emission[state]).sum(-1)
        state = (draws[1, i] > transition[state]).sum(-1)
    return out + ids_of()[toy_language.prose().tokens[0]]


def sentences(count: int, rng: np.random.Generator, longest: int = 40) -> list[Ids]:
    """Sentences of at most `longest` tokens, each with the blank line that follows it."""
    stop, blank = ids_of()[toy_language.STOP], ids_of()[BETWEEN]
    found: list[Ids] = []
    while len(found) < count:
        text = prose(8, 24 * (count // 8 + 2), rng)
        for row in text:
            ends = np.flatnonzero(row == stop) + 1
            found += [
                np.append(row[a:b], blank)
                for a, b in itertools.pairwise([0, *ends])
                if b - a <= longest
            ]
    return found[:count]
