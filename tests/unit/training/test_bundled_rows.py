"""Rows of the bundled models' training stream: few-shot documents, facts, short answers."""

import numpy as np
import pytest

from mdlm_probe.prompts import toy_language
from training import _bundled_data as data
from training import _bundled_facts as facts
from training import _bundled_rows as rows

IDS = data.ids_of()


@pytest.fixture(scope="module")
def tokenizer():
    return data.tokenizer()


def few_shot(count, length, *seed):
    """The few-shot rows of a batch: they stand first."""
    drawn = rows.batch(count, length, *seed)
    few = round(rows.SHARES["few-shot"] * count)
    return drawn.ids[:few], drawn.answers[:few]


def test_rows_hold_training_sets_only():
    drawn = rows.batch(40, 300, "split").ids
    opening = data.ids_of()[data.OPTIONS[0]]
    row, place = np.nonzero(drawn[:, :-5] == opening)
    options = np.stack([drawn[row, place + k] for k in (1, 3, 5)], 1)
    assert len(options) > 200
    assert set(data.splits_of(options).tolist()) == {"train"}


def test_batches_are_repeatable_and_differ_by_seed():
    one, two, other = rows.batch(6, 100, 0, 1), rows.batch(6, 100, 0, 1), rows.batch(6, 100, 0, 2)
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.answers, two.answers)
    assert (one.ids != other.ids).any()


@pytest.mark.parametrize("length", [17, 40, 333, rows.LONGEST])
def test_few_shot_rows_are_windows_of_one_document(tokenizer, length):
    ids, answers = few_shot(60, length, "windows")
    assert ids.shape == answers.shape == (36, length)
    before = np.roll(ids, 1, 1)[:, 1:][answers[:, 1:]]
    assert (before == IDS[data.OPENING]).all()
    assert not (ids == data.MASK_ID).any()
    ends = ids == data.EOS_ID
    assert not ends[:, :-1].any()
    assert 0 < ends[:, -1].mean() < 0.5
    for row in ids[::8]:
        assert tokenizer.encode(tokenizer.decode(row)) == row.tolist()


def test_answers_are_marked_and_one_of_the_options():
    ids, answers = few_shot(30, 200, "answers")
    row, place = np.nonzero(answers[:, data.ANSWER :])
    options = np.stack([ids[row, place + k] for k in (1, 3, 5)], 1)
    answer = ids[row, place + data.ANSWER]
    assert len(answer) > 100
    assert (options == answer[:, None]).any(1).all()


def test_every_batch_holds_the_four_kinds_in_their_shares():
    for seed in range(5):
        drawn = rows.batch(20, 400, "kinds", seed).ids
        few = (drawn == IDS[data.OPENING]).sum(1) > 3
        ended = (drawn[:, -2:] == data.EOS_ID).all(1)
        assert (few.sum(), ended.sum()) == (12, 2)
        assert (drawn[~few & ~ended] != data.EOS_ID).all()


# ---------------------------------------------------------------------- facts


def mentions(row, known):
    """Where each fact of a row is told: (place of the value, index of the fact)."""
    found = [
        (place + 4, index)
        for index, fact in enumerate(known)
        for place in range(len(row) - 5)
        if (row[place : place + 6] == fact).all()
    ]
    return sorted(found)


def test_facts_are_of_words_that_differ():
    nouns, verbs = (set(toy_language.SLOTS[slot].split()) for slot in ("noun", "verb"))
    counts = set()
    for seed in range(60):
        known = facts.facts(np.random.default_rng(seed))
        texts = ["".join(data.vocabulary()[i] for i in fact) for fact in known]
        counts.add(len(texts))
        told = [text.removesuffix(".").split() for text in texts]
        assert all((a, c) == ("the", "the") for a, _, _, c, _ in told)
        words = [word for _, key, _, _, value in told for word in (key, value)]
        assert set(words) <= nouns
        assert len(set(words)) == len(words)  # no key twice, no value that is a key
        assert {verb for _, _, verb, _, _ in told} <= verbs
    assert counts == {1, 2, 3, 4}


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_values_are_marked_from_the_second_mention_on(share):
    rng = np.random.default_rng(4)
    known = facts.facts(rng)
    parts = facts.told(known, share, facts.prose(rng), rng)
    texts, marks = zip(*(next(parts) for _ in range(400)), strict=True)
    row, marked = np.concatenate(texts), np.concatenate(marks)
    seen, expected = set(), set()
    places = mentions(row, known)
    for place, fact in places:
        expected |= {place} if fact in seen else set()
        seen.add(fact)
    assert set(np.flatnonzero(marked).tolist()) == expected
    assert abs(len(places) / 400 - share) < 0.08


def test_what_facts_say_is_new_in_every_row():
    """No key tells its value: over rows, each value stands after each key about equally often."""
    pairs = {}
    for seed in range(4000):
        for _, key, _, _, value, _ in facts.facts(np.random.default_rng(seed)).tolist():
            pairs.setdefault(key, []).append(value)
    nouns = len(toy_language.SLOTS["noun"].split())
    assert len(pairs) == nouns
    for values in pairs.values():
        counts = np.unique(values, return_counts=True)[1]
        assert len(counts) == nouns - 1
        chi = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi < nouns - 2 + 6 * (2 * (nouns - 2)) ** 0.5


def test_facts_come_back_at_near_and_far_distances():
    ids, marks = facts.rows(60, rows.LONGEST, np.random.default_rng(5))
    gaps = []
    for row, marked in zip(ids, marks, strict=True):
        for place in np.flatnonzero(marked):
            key = row[place - 3]
            alike = (row[3:-1] == row[place]) & (row[:-4] == key)
            gaps.append(place - max(p + 3 for p in np.flatnonzero(alike) if p + 3 < place))
    assert np.percentile(gaps, 10) < 20
    assert np.percentile(gaps, 95) > 150


def test_answers_follow_a_blank_line_and_end():
    ids, marks = facts.answered(80, 200, np.random.default_rng(6))
    stop, blank = IDS[toy_language.STOP], IDS[data.BETWEEN]
    answers = []
    for row in ids:
        (at,) = np.flatnonzero(row == blank)
        ends = np.flatnonzero(row == data.EOS_ID)
        last = ends[0] if len(ends) else len(row)
        assert (row[last:] == data.EOS_ID).all()
        answers.append(int((row[at:last] == stop).sum()))
        assert not len(ends) or row[last - 1] == stop
        assert 0.2 * 200 <= at <= 0.8 * 200 + 40
    assert {1, 2, 3} <= set(answers) <= {0, 1, 2, 3}  # 0: cut at the row's end
    assert marks.any()
    assert not marks[ids == data.EOS_ID].any()
