"""The bundled models' tokenizer and training stream."""

import itertools
import random

import numpy as np
import pytest

from mdlm_probe.prompts import few_shot_sets, prompt, toy_language
from mdlm_probe.prompts import suite as tasks
from training import _bundled_data as data

SMALL = tasks.load("few-shot", "small")
FULL_SETS = 16


@pytest.fixture(scope="module")
def tokenizer():
    return data.tokenizer()


def suite_text(name, masks=None):
    fewshot = SMALL[name]
    template = fewshot.template
    turns = [
        few_shot_sets.shot(template, example, "word")
        for side, count in (("relevant", 10), ("distractor", 40))
        for example in fewshot.shots(side, count, 0)
    ]
    asked = few_shot_sets.ask(template, fewshot.items(1, 0, 10)[0], masks)
    return prompt.Prompt((*turns, asked), template.turn, template.end).text()


# ---------------------------------------------------------------------- tokens


def test_tokens_are_distinct_and_few_are_special(tokenizer):
    assert len(set(data.vocabulary())) == len(data.vocabulary()) == len(tokenizer)
    assert (tokenizer.eos_token_id, tokenizer.mask_token_id) == (data.EOS_ID, data.MASK_ID)
    assert tokenizer.pad_token_id == tokenizer.eos_token_id
    assert tokenizer.chat_template is None
    assert [tokenizer.decode([i]) for i in range(len(tokenizer))] == list(data.vocabulary())


@pytest.mark.parametrize("name", list(SMALL.sets))
def test_suite_prompts_round_trip_in_ten_tokens_an_example(tokenizer, name):
    text = suite_text(name)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids
    assert len(ids) == 50 * data.EXAMPLE + 7


def test_masks_and_letters_are_tokens(tokenizer):
    text = suite_text("animal-smallest", 3).replace(prompt.MASK, data.MASK)
    ids = tokenizer.encode(text)
    assert ids[-3:] == [data.MASK_ID] * 3
    assert tokenizer.decode(ids) == text
    letters = tokenizer.encode("\nAnswer:[B].")
    assert [tokenizer.decode([i]) for i in letters] == [data.OPENING, "B", data.CLOSING]


def test_prose_round_trips(tokenizer):
    chain = toy_language.prose()
    ids = chain.sample(300, np.random.default_rng(0))
    text = toy_language.texts(chain, ids)
    found = tokenizer.encode(text)
    assert tokenizer.decode(found) == text
    first = data.ids_of()[chain.tokens[0]]
    np.testing.assert_array_equal(np.array(found) - first, ids)


def test_unknown_text_is_unknown(tokenizer):
    assert tokenizer.encode("quasar") == [tokenizer.unk_token_id]


def test_saved_tokenizer_is_the_same(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = suite_text("colour-largest")
    assert again.encode(text) == tokenizer.encode(text)
    assert again.decode(again.encode(text)) == text


# ---------------------------------------------------------------------- splits


def texts_of(options):
    return tuple(data.vocabulary()[i] for i in options)


def test_splits_equal_those_of_the_suite():
    rng = random.Random(0)
    low, high = data.ids_of()["A"] + 3, data.ids_of()["40"]
    triples = [tuple(rng.sample(range(low, high + 1), 3)) for _ in range(3000)]
    found = data.splits_of(np.array(triples)).tolist()
    assert found == [few_shot_sets.split(texts_of(t)) for t in triples]
    assert set(found) == {"train", "validation", "test"}


def drawn_sets(split, documents=2000, length=100):
    rng = np.random.default_rng(1)
    topics = data.topics(documents, rng)
    which = data.sequence(topics, length, rng)
    options, _ = data.exercises(topics, which, rng, split)
    return np.unique(np.sort(options.reshape(-1, 3), axis=1), axis=0)


def suite_sets():
    found = set()
    for fewshot in SMALL.sets.values():
        examples = itertools.chain(
            fewshot.items(1000, 0, 10),
            fewshot.shots("relevant", 10, 0),
            fewshot.shots("distractor", 40, 0),
        )
        found |= {tuple(sorted(data.ids_of()[w] for w in e.options)) for e in examples}
    return found


@pytest.mark.slow
def test_the_suite_is_not_in_the_training_stream():
    suite = suite_sets()
    assert len(suite) > 5000
    assert len(SMALL.sets) == FULL_SETS
    trained = set(map(tuple, drawn_sets("train").tolist()))  # 200,000 exercises
    assert not suite & trained
    assert suite & set(map(tuple, drawn_sets("test").tolist()))  # the check can fail


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_exercises_stay_in_their_split(split):
    sets = drawn_sets(split, 50, 40)
    assert set(data.splits_of(sets).tolist()) == {split}


# ---------------------------------------------------------------------- exercises


@pytest.fixture(scope="module")
def documents():
    rng = np.random.default_rng(2)
    topics = data.topics(400, rng)
    which = data.sequence(topics, 60, rng)
    return topics, which, *data.exercises(topics, which, rng)


def category(ids):
    first = data.ids_of()[SMALL.words[next(iter(SMALL.words))][0]]
    return (ids - first) // 20


def test_right_words_are_of_the_target_and_wrong_ones_are_not(documents):
    topics, which, options, right = documents
    names = list(SMALL.words)
    flat = [w for group in SMALL.words.values() for w in group]
    assert all(len(group) == 20 for group in SMALL.words.values())
    for d, k in zip(*np.nonzero(which < data.WORD_TOPICS), strict=True):
        groups = category(options[d, k]).tolist()
        target = topics.target[d, which[d, k]]
        assert groups[right[d, k]] == target
        wrong = {g for i, g in enumerate(groups) if i != right[d, k]}
        assert wrong <= set(topics.wrong[d, which[d, k]].tolist())
        assert target not in wrong
        assert data.vocabulary()[options[d, k, 0]] in SMALL.words[names[groups[0]]]
    assert len(flat) == 260


def test_right_numbers_follow_the_rule(documents):
    topics, which, options, right = documents
    numeric = which == data.WORD_TOPICS
    values = np.array([int(t) if t.isdigit() else -1 for t in data.vocabulary()])[options]
    best = np.where(topics.largest[:, None], values.argmax(-1), values.argmin(-1))
    assert (best == right)[numeric].all()
    assert (values[numeric] >= 1).all()
    assert 0.15 < numeric.mean() < 0.4


def test_places_of_right_answers_are_even(documents):
    counts = np.bincount(documents[3].ravel(), minlength=3) / documents[3].size
    np.testing.assert_allclose(counts, 1 / 3, atol=0.02)


def test_topics_of_a_document_never_contradict(documents):
    topics = documents[0]
    for target, wrong in zip(topics.target, topics.wrong, strict=True):
        for a, b in itertools.combinations(range(data.WORD_TOPICS), 2):
            assert not (target[a] in wrong[b] and target[b] in wrong[a])
    assert any(
        t in w
        for target, wrong in zip(topics.target, topics.wrong, strict=True)
        for t in target
        for w in wrong.reshape(-1, 6)
    )  # some are near a contradiction


def test_an_old_example_tells_as_much_as_a_new_one(documents):
    """The long-run share of a topic does not drift within a document, and rules stay."""
    topics, which, _, _ = documents
    share = np.stack([(which == t) for t in range(data.WORD_TOPICS + 1)], -1)
    start, end = share[:, :20].mean((0, 1)), share[:, 40:].mean((0, 1))
    np.testing.assert_allclose(start, end, atol=0.05)
    np.testing.assert_allclose(share.mean((0, 1)), topics.weight.mean(0), atol=0.05)


def test_stickiness_is_as_drawn():
    rng = np.random.default_rng(3)
    topics = data.topics(300, rng)
    which = data.sequence(topics, 400, rng)
    same = (which[:, 1:] == which[:, :-1]).mean(1)
    expected = topics.stay + (1 - topics.stay) * (topics.weight**2).sum(1)
    assert np.corrcoef(same, expected)[0, 1] > 0.97
    assert abs((same - expected).mean()) < 0.01


# ---------------------------------------------------------------------- prose


def test_prose_is_the_chain():
    chain = toy_language.prose()
    rows = data.prose(200, 50, np.random.default_rng(0)) - data.ids_of()[chain.tokens[0]]
    state = chain.emission.argmax(0)
    rule = (chain.transition.toarray() @ chain.emission)[state]
    counts = np.zeros_like(rule)
    np.add.at(counts, (rows[:, :-1], rows[:, 1:]), 1)
    assert (rule[counts > 0] > 0).all()
    expected = rule * counts.sum(1, keepdims=True)
    seen = expected > 20
    z = (counts - expected)[seen] / np.sqrt(expected * (1 - rule))[seen].clip(0.1)
    assert np.abs(z).max() < 5
    assert set(rows[:, 0]) <= set(np.flatnonzero(chain.initial @ chain.emission))


def test_sentences_end_once_and_are_followed_by_a_blank_line():
    stop, blank = data.ids_of()[toy_language.STOP], data.ids_of()[data.BETWEEN]
    found = data.sentences(100, np.random.default_rng(0))
    assert len(found) == 100
    for sentence in found:
        assert sentence[-1] == blank
        assert (sentence == stop).nonzero()[0].tolist() == [len(sentence) - 2]
        assert len(sentence) <= 41
