"""Widths of text, and lines that fit."""

import pytest

from mdlm_probe.analysis.text_width import balanced, rows_of, width, wrapped

TEXT = "of the 32 positions after the first difference, differ (%)"


def test_widths_add_up_and_grow_with_the_size():
    assert width("", 11) == 0
    assert width("ab", 10) == pytest.approx(width("a", 10) + width("b", 10))
    assert width("ab", 20) == pytest.approx(2 * width("ab", 10))
    assert width("W", 10) > width("m", 10) > width("i", 10)
    assert width("漢", 10) == 10, "a full square"


@pytest.mark.parametrize("most", [30, 90, 200, 1000])
@pytest.mark.parametrize("cut", [wrapped, balanced])
def test_lines_keep_the_words_and_fit(cut, most):
    lines = cut(TEXT, 10, most)
    assert " ".join(lines) == TEXT
    assert all(width(line, 10) <= most or " " not in line for line in lines)


def test_balanced_lines_are_as_few_and_about_equally_long():
    most = 0.9 * width(TEXT, 10)
    ragged, even = wrapped(TEXT, 10, most), balanced(TEXT, 10, most)
    assert len(ragged) == len(even) == 2
    lengths = [width(line, 10) for line in even]
    assert max(lengths) < 1.3 * min(lengths)
    assert max(lengths) < max(width(line, 10) for line in ragged)
    assert balanced("", 10, 50) == [""]


def test_entries_are_put_into_rows():
    assert rows_of([40, 40, 40, 90, 10], 100) == [[0, 1], [2], [3, 4]]
    assert rows_of([200], 100) == [[0]], "what is too wide has a row of its own"
