"""The columns of a text's quality: declared ones, filled in from the measures, empty where none."""

import math

import pytest

from mdlm_probe.core import columns
from mdlm_probe.decoding import text_metrics, text_quality
from mdlm_probe.prompts import toy_grammar

PROMPT, TEXT = "the old king crossed the road", ". the pale wind" * 8
IDS = [0, 1, 2, 3] * 8


def test_a_text_of_the_small_language():
    row = text_quality.columns_of(PROMPT, TEXT, IDS)
    assert tuple(row) == columns.names(text_quality.COLUMNS)
    found = toy_grammar.truth(PROMPT, TEXT)
    assert (row["words"], row["valid"], row["valid_new"]) == (32, 32, 7)
    assert (row["pairs"], row["kept"], row["truth"]) == (0, 0, found.score)
    assert row["longest_repeat"] == 28
    assert row["repeated"] == pytest.approx(25 / 29)
    assert (row["distinct_1"], row["distinct_2"]) == (4 / 32, 4 / 31)
    assert row["entropy_1"] == pytest.approx(math.log(4))


def test_repetition_shows_in_any_language():
    """Without a truth: eight rounds of four tokens against 32 different ones."""
    again = text_quality.columns_of("What is new?", "", IDS)
    fresh = text_quality.columns_of("What is new?", "", range(32))
    assert all(again[column.name] is None for column in text_quality.TRUTH)
    for name in ("repeated", "longest_repeat"):
        assert again[name] > fresh[name] == 0
    for name in ("distinct_1", "distinct_2", "entropy_1", "entropy_2"):
        assert again[name] < fresh[name]


def test_an_empty_text_has_nothing_to_measure():
    row = text_quality.columns_of(PROMPT, "", ())
    empty = ("repeated", "distinct_1", "distinct_2", "entropy_1", "entropy_2")
    assert all(row[name] is None for name in empty)
    assert (row["words"], row["truth"], row["longest_repeat"]) == (0, 0, 0)
    assert text_metrics.longest_repeat(()) == 0
