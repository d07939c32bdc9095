"""The prose chain: its matrices, its samples, and what only goes together."""

import numpy as np
import pytest

from mdlm_probe.prompts import toy_language


@pytest.fixture(scope="module")
def chain():
    return toy_language.prose()


@pytest.fixture(scope="module")
def sample(chain):
    return chain.sample(20_000, np.random.default_rng(0))


def pairs(chain):
    index = {text: i for i, text in enumerate(chain.tokens)}
    both = zip(toy_language.FIRSTS.split(), toy_language.SECONDS.split(), strict=True)
    return {index[f" {a}"]: index[f" {b}"] for a, b in both}


def bigram_rule(chain):
    """P(next token | token): exact, because every token has one state."""
    state = chain.emission.argmax(0)
    return (chain.transition.toarray() @ chain.emission)[state]


def test_rows_are_distributions(chain):
    for rows in (chain.initial[None], chain.transition.toarray(), chain.emission):
        assert (rows >= 0).all()
        np.testing.assert_allclose(rows.sum(-1), 1.0, atol=1e-12)


def test_tokens_are_distinct_and_belong_to_one_state(chain):
    assert len(set(chain.tokens)) == len(chain.tokens)
    assert ((chain.emission > 0).sum(0) == 1).all()
    assert all(text in (",", ".") or text.startswith(" ") for text in chain.tokens)


def test_zipf_by_hand():
    np.testing.assert_allclose(toy_language.zipf(3), np.array([6, 3, 2]) / 11)
    np.testing.assert_allclose(toy_language.zipf(2, exponent=2.0), [0.8, 0.2])


def test_pairs_only_go_together(chain, sample):
    partner = pairs(chain)
    left, right = sample[:-1], sample[1:]
    begun = np.isin(left, list(partner))
    ended = np.isin(right, list(partner.values()))
    assert begun.sum() > 1000
    assert (begun == ended).all()
    assert all(partner[a] == b for a, b in zip(left[begun], right[begun], strict=True))


def test_a_text_starts_a_sentence(chain):
    determiners = {f" {w}" for w in toy_language.SLOTS["determiner"].split()}
    starts = {chain.tokens[chain.sample(1, np.random.default_rng(i))[0]] for i in range(50)}
    assert starts <= determiners
    assert len(starts) > 1


def test_bigrams_of_a_sample_agree_with_the_matrices(chain, sample):
    rule = bigram_rule(chain)
    counts = np.zeros_like(rule)
    np.add.at(counts, (sample[:-1], sample[1:]), 1)
    assert (rule[counts > 0] > 0).all()
    total = counts.sum(1, keepdims=True)
    expected = rule * total
    seen = expected > 20
    z = (counts - expected)[seen] / np.sqrt(expected * (1 - rule))[seen].clip(0.1)
    assert seen.sum() > 100
    assert np.abs(z).max() < 5
    assert abs(z.std() - 1) < 0.15


def test_samples_depend_on_the_generator_only(chain):
    one, two, other = (chain.sample(200, np.random.default_rng(s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_longer_sample_continues_a_shorter_one(chain):
    long = chain.sample(100, np.random.default_rng(5))
    np.testing.assert_array_equal(chain.sample(40, np.random.default_rng(5)), long[:40])


def test_text_concatenates_tokens(chain):
    ids = chain.sample(12, np.random.default_rng(6))
    assert toy_language.texts(chain, ids) == "".join(chain.tokens[i] for i in ids)
    assert toy_language.texts(chain, ids).startswith(" ")


def test_sentences_are_whole_prose_and_a_longer_text_begins_the_same():
    short, long = toy_language.sentences(100, 3), toy_language.sentences(2000, 3)
    assert long[: len(short)] == short
    tokens = set(toy_language.prose().tokens)
    for sentence in long:
        assert sentence.endswith(".")
        assert sentence.count(".") == 1
        assert {f" {w}" for w in sentence[:-1].replace(",", "").split()} <= tokens
    words = [w for s in long for w in s.replace(",", " ,").replace(".", " .").split()]
    assert 2000 <= len(words) < 2100
    assert toy_language.sentences(100, 4) != short
