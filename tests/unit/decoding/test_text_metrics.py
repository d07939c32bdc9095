"""Measures of generated answers against closed forms and brute force."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import text_metrics

IDS = st.lists(st.integers(0, 3), max_size=12)
PAIRS = st.tuples(IDS, IDS)


@pytest.mark.parametrize(
    ("ids", "n", "share"),
    [
        ([1, 2, 1, 2, 1], 2, 0.5),
        ([5] * 10, 4, 6 / 7),
        ([5] * 10, 1, 0.9),
        (range(100), 4, 0.0),
        (range(4), 4, 0.0),
        ((1, 2, 3) * 5, 4, 9 / 12),
    ],
)
def test_repetition_in_closed_form(ids, n, share):
    assert text_metrics.repeated(ids, n) == pytest.approx(share)
    assert text_metrics.distinct(ids, n) == pytest.approx(1 - share)


def test_four_tokens_are_the_default():
    assert text_metrics.repeated([1, 2, 3, 4, 9, 1, 2, 3, 4]) == pytest.approx(1 / 6)


@given(IDS, st.integers(1, 5))
def test_repetition_is_what_going_through_the_text_finds(ids, n):
    before, again = [], 0
    for place in range(len(ids) - n + 1):
        again += ids[place : place + n] in before
        before.append(ids[place : place + n])
    if not before:
        assert math.isnan(text_metrics.repeated(ids, n))
        assert math.isnan(text_metrics.distinct(ids, n))
    else:
        assert text_metrics.repeated(ids, n) == pytest.approx(again / len(before))
        assert text_metrics.distinct(ids, n) == pytest.approx(1 - again / len(before))


@pytest.mark.parametrize(
    ("ids", "tokens"),
    [
        ([], 0),
        ([1], 0),
        ([1, 2, 3], 0),
        ([1, 2, 3, 1, 2], 2),
        ([5] * 10, 9),
        ((1, 2, 3, 4) * 8, 28),
        ([1, 2, 9, 1, 2, 8, 1, 2, 9], 3),
    ],
)
def test_the_longest_repeated_span_in_closed_form(ids, tokens):
    assert text_metrics.longest_repeat(ids) == tokens


@given(IDS)
def test_the_longest_repeated_span_is_what_looking_at_all_pairs_of_places_finds(ids):
    found = max(
        (
            size
            for a in range(len(ids))
            for b in range(a + 1, len(ids))
            for size in range(1, len(ids) - b + 1)
            if ids[a : a + size] == ids[b : b + size]
        ),
        default=0,
    )
    assert text_metrics.longest_repeat(ids) == found


@pytest.mark.parametrize(
    ("ids", "n", "nats"),
    [
        (range(8), 1, math.log(8)),
        (range(8), 2, math.log(7)),
        ([5] * 10, 1, 0.0),
        ([5] * 10, 2, 0.0),
        ([1, 2] * 4, 1, math.log(2)),
        ([1, 2, 1, 2, 1], 2, math.log(2)),
        ([1, 1, 1, 2], 1, math.log(4) - 0.75 * math.log(3)),
    ],
)
def test_entropy_in_closed_form(ids, n, nats):
    assert text_metrics.entropy(ids, n) == pytest.approx(nats, abs=1e-12)


@given(IDS, st.integers(1, 3))
def test_entropy_is_at_most_the_logarithm_of_the_different_ones(ids, n):
    found = text_metrics.entropy(ids, n)
    if len(ids) < n:
        assert math.isnan(found)
    else:
        kinds = round(text_metrics.distinct(ids, n) * (len(ids) - n + 1))
        assert 0 <= found <= math.log(kinds) + 1e-12
        assert found == pytest.approx(text_metrics.entropy(ids[::-1], n), abs=1e-12)


@pytest.mark.parametrize(
    "measure", [text_metrics.repeated, text_metrics.distinct, text_metrics.entropy]
)
def test_n_grams_of_no_tokens_are_refused(measure):
    with pytest.raises(ProbeError, match="n-grams of 0 tokens\nexpected: 1 token or more"):
        measure([1, 2], 0)


def by_recursion(a, b):
    @cache
    def distance(i, j):
        if not i or not j:
            return i + j
        kept = distance(i - 1, j - 1) + (a[i - 1] != b[j - 1])
        return min(kept, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

    return distance(len(a), len(b))


@given(PAIRS)
def test_edit_distance_is_the_recursions(pair):
    assert text_metrics.edit_distance(*pair) == by_recursion(*pair)


def test_edit_distance_of_large_ids():
    ids = list(range(120_000, 120_100))
    assert text_metrics.edit_distance(ids, tuple(ids)) == 0
    assert text_metrics.edit_distance(ids, ids[1:]) == 1
    assert text_metrics.edit_distance(ids, ids[::-1]) == by_recursion(ids[::-1], ids) == 100
    assert text_metrics.edit_distance([], ids) == 100


@pytest.mark.parametrize(
    ("a", "b", "place"),
    [
        ([1, 2, 3], [1, 2, 4], 2),
        ([1, 2, 3], [0, 2, 3], 0),
        ([1, 2, 3], (1, 2, 3), None),
        ([], [], None),
        ([1, 2], [1, 2, 3], 2),
        ([1, 2, 3], [], 0),
    ],
)
def test_divergence_in_closed_form(a, b, place):
    assert text_metrics.divergence(a, b) == text_metrics.divergence(b, a) == place


@given(PAIRS)
def test_texts_are_equal_up_to_their_divergence_and_no_further(pair):
    a, b = pair
    place = text_metrics.divergence(a, b)
    if place is None:
        assert a == b
    else:
        assert a[:place] == b[:place]
        assert a[: place + 1] != b[: place + 1]


@pytest.mark.parametrize(
    ("a", "b", "first", "window", "share"),
    [
        ([1, 2, 3, 4, 5], [9, 2, 8, 4, 7], 0, 4, 0.5),
        ([1, 2, 3, 4, 5], [9, 2, 8, 4, 7], 0, 2, 0.5),
        ([1, 2, 3, 4, 5], [9, 2, 8, 4, 7], 0, 1, 0.0),
        ([1, 2, 3, 4, 5], [9, 2, 8, 4, 7], 2, 99, 0.5),
        ([1, 2, 3], [9, 2, 3], 0, 8, 0.0),
        ([1, 2, 3, 4], [9, 2], 0, 8, 2 / 3),
        ([1, 2, 3, 4], [], 0, 2, 1.0),
        ([1, 2], [1, 3], 1, 8, None),
        ([1, 2], [1, 3], 0, 0, None),
        ([], [], 0, 8, None),
    ],
)
def test_parting_in_closed_form(a, b, first, window, share):
    for found in (
        text_metrics.parted(a, b, first, window),
        text_metrics.parted(b, a, first, window),
    ):
        assert math.isnan(found) if share is None else found == pytest.approx(share)


@given(PAIRS, st.integers(0, 12), st.integers(0, 12))
def test_parting_is_what_padding_to_one_length_finds(pair, first, window):
    padded = [ids + [-1] * (30 - len(ids)) for ids in pair]
    slots = list(zip(*padded, strict=True))[first + 1 : first + 1 + window]
    differ = [x != y for x, y in slots if (x, y) != (-1, -1)]
    found = text_metrics.parted(*pair, first, window)
    assert found == pytest.approx(np.mean(differ)) if differ else math.isnan(found)


def by_pairs(steps):
    """Tau-b as it is defined, over all pairs of written positions."""
    written = [(i, step) for i, step in enumerate(steps) if step > 0]
    signs = [np.sign(t - s) for i, s in written for j, t in written if i < j]
    untied = sum(sign != 0 for sign in signs)
    return sum(signs) / math.sqrt(len(signs) * untied) if untied else math.nan


@given(st.lists(st.integers(-1, 5), max_size=40))
def test_tau_is_its_definition(steps):
    assert text_metrics.tau(steps) == pytest.approx(by_pairs(steps), nan_ok=True)


@pytest.mark.parametrize(
    ("steps", "value"),
    [
        (range(1, 100), 1.0),
        (range(99, 0, -1), -1.0),
        ([0, 1, 0, 2, 3], 1.0),
        ([1, 1, 2, 2], 4 / math.sqrt(6 * 4)),
        ([2, 1], -1.0),
        ([0, 0, 7], None),
        ([3, 3, 3, 0], None),
        ([], None),
    ],
)
def test_tau_in_closed_form(steps, value):
    expected = math.nan if value is None else value
    assert text_metrics.tau(steps) == pytest.approx(expected, nan_ok=True)
    assert isinstance(text_metrics.tau(np.array(steps, dtype=int)), float)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("42", "42"),
        ("\n \n  42.\nBecause six times seven is 42.", "42"),
        ("42]. Options: (A) 43]", "42"),
        ('"Paris."', "paris"),
        ("'paris'.", "Paris"),
        ("\u201eParis\u201c.", "Paris"),
        ("\u00abParis\u00bb ]", "Paris"),
        ("U.S.", "U.S."),
        ("the U.S.", "The U.S"),
        ("STRASSE", "Straße"),
        ("3.5", "3.5"),
        ("42", " 42\n"),
        ("42\r\nor 43", "42"),
    ],
)
def test_right_answers_match(answer, right):
    assert text_metrics.exact(answer, right)


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("", "42"),
        (" \n", "42"),
        ("", ""),
        (".", ""),
        ("", "."),
        ("43\n42", "42"),
        ("] 42", "42"),
        ("The answer is 42.", "42"),
        ("42..", "42"),
        ("4 2", "42"),
        ("420", "42"),
        ("-42", "42"),
        ("3.5", "3"),
    ],
)
def test_other_answers_do_not(answer, right):
    assert not text_metrics.exact(answer, right)
