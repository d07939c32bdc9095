"""The small language's truth of a text: closed forms, brute force, and what repetition can't do."""

import itertools

import numpy as np
import pytest

from mdlm_probe.prompts import small_texts, toy_grammar, toy_language

PROMPT = "the old king crossed the road"
LENGTH = 32


@pytest.fixture(scope="module")
def chain():
    return toy_language.prose()


def prose(chain, length, seed):
    """A prompt of twenty words and what follows it, both true."""
    ids = chain.sample(20 + length, np.random.default_rng(seed))
    return toy_language.texts(chain, ids[:20]), toy_language.texts(chain, ids[20:])


@pytest.mark.parametrize("length", [8, 32, 64])
def test_true_prose_is_valid_throughout_and_hardly_repeats(chain, length):
    kept = 0
    for seed in range(40):
        found = toy_grammar.truth(*prose(chain, length, seed))
        assert found.tokens == found.valid == length
        assert found.kept == found.pairs
        assert found.score > 0.95
        kept += found.kept
    assert kept > 10


@pytest.mark.parametrize("sentence", [". the pale wind", ". the copper kettle", ". the wind"])
def test_no_sentence_said_again_wins_over_true_prose(chain, sentence):
    """Every transition of these is valid: shares alone, and likelihoods, don't see it."""
    again = (sentence * LENGTH).split(" ")
    text = " ".join(again[:LENGTH])
    for seed in range(50):
        prompt, true = prose(chain, LENGTH, seed)
        said, followed = toy_grammar.truth(prompt, text), toy_grammar.truth(prompt, true)
        assert said.valid >= said.tokens - 1, "its first word may not suit the prompt's last"
        assert said.kept >= said.pairs - 2
        assert followed.score > 1.5 * said.score


@pytest.mark.parametrize("sentence", ["", ". the pale wind", ". the copper kettle", ". the wind"])
def test_two_neighbours_that_change_places_never_pay(chain, sentence):
    """In true prose, and in a text that says the same again, where a break makes new spans."""
    for seed in range(5):
        prompt, true = prose(chain, LENGTH, seed)
        said = toy_grammar.words(sentence * LENGTH or true)[:LENGTH]
        whole = toy_grammar.truth(prompt, " ".join(said)).score
        found = []
        for at in range(LENGTH - 1):
            moved = [*said[:at], said[at + 1], said[at], *said[at + 2 :]]
            found.append(toy_grammar.truth(prompt, " ".join(moved)).score)
        assert max(found) <= whole, "the first word may not suit the prompt, the last has no next"
        assert max(found[1:-1]) < whole


def test_the_eight_pale_winds_in_closed_form():
    """The first round and three more words are new: 7 of 32; the others count half."""
    found = toy_grammar.truth(PROMPT, ". the pale wind" * 8)
    assert found == toy_grammar.Truth(32, 32, 7, 0, 0, 0)
    assert found.score == (7 + 25 / 2) / 32
    kettles = toy_grammar.truth(PROMPT, ". the copper kettle" * 8)
    assert kettles == toy_grammar.Truth(32, 32, 7, 8, 8, 1)
    assert kettles.score == (8 + 32 / 2) / 40


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        (" crossed the wind.", (4, 4, 0, 0)),
        (" wind wind", (2, 0, 0, 0)),
        (" kettle.", (2, 1, 1, 0)),  # a second without its first
        (". the copper wind.", (5, 4, 1, 0)),  # a first with another word
        (". the copper gate.", (5, 4, 2, 0)),  # and with another's second: both pairs are broken
        (". the copper kettle.", (5, 5, 1, 1)),
        (". the copper", (3, 3, 0, 0)),  # cut: nobody knows
        (". The wind 42", (4, 1, 0, 0)),
        ("", (0, 0, 0, 0)),
    ],
)
def test_counts_by_hand(text, counts):
    found = toy_grammar.truth(PROMPT, text)
    assert (found.tokens, found.valid, found.pairs, found.kept) == counts


def test_a_first_word_at_the_end_of_the_prompt_waits_for_its_second():
    prompt = PROMPT + ". the copper"
    assert toy_grammar.truth(prompt, " kettle.").kept == 1
    broken = toy_grammar.truth(prompt, " wind.")
    assert (broken.pairs, broken.kept, broken.valid) == (1, 0, 1)


def test_followers_are_what_the_chain_gives_any_probability(chain):
    """Against all pairs of words that long prose has, and the other way by the matrices."""
    names = [token.strip() for token in chain.tokens]
    ids = chain.sample(20_000, np.random.default_rng(1))
    followers = toy_grammar.followers()
    seen = {(names[a], names[b]) for a, b in itertools.pairwise(ids)}
    assert all(b in followers[a] for a, b in seen)
    possible = sum(map(len, followers.values()))
    assert 0.3 * possible < len(seen) < possible < 0.5 * len(names) ** 2
    assert followers["copper"] == {"kettle"}
    assert followers["."] == set(toy_language.SLOTS["determiner"].split())


def test_prompts_of_the_language_are_told_from_others():
    assert all(toy_grammar.is_prose(text.prompt) for text in small_texts.prose())
    assert not any(toy_grammar.is_prose(text.prompt) for text in small_texts.questions(opened=True))
    for prompt in (
        "",
        "the wind",
        "the wind wind wind",
        "The old king crossed",
        "Hi! Who are you?",
    ):
        assert not toy_grammar.is_prose(prompt)
        assert toy_grammar.truth(prompt, ". the pale wind") is None


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_words_and_broken_pairs_are_worse(chain, seed):
    prompt, true = prose(chain, 64, seed)
    words = toy_grammar.words(true)
    mixed = " ".join(np.random.default_rng(seed).permutation(words))
    assert toy_grammar.truth(prompt, mixed).score < 0.6 < toy_grammar.truth(prompt, true).score
