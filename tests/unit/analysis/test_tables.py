"""Tables as text: one renderer for terminal, page and exports."""

import itertools
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pandas as pd
import pytest

from mdlm_probe.analysis.tables import (
    column_words,
    interval,
    number,
    text_table,
)
from mdlm_probe.cli import show
from mdlm_probe.reports.exports.captioned_tables import captioned_table
from mdlm_probe.reports.html.page_tables import page_table

NAN = float("nan")


@pytest.mark.parametrize(
    ("value", "fixed", "shortest"),
    [
        *((0.5, "0.500", "0.5"), (-0.0625, "-0.062", "-0.063"), (12.0, "12.000", "12")),
        *((0.0, "0.000", "0"), (-0.0, "-0.000", "0"), (0.00049, "4.9e-04", "4.9e-4")),
        *((0.0005, "0.001", "0.001"), (-1e-9, "-1.0e-09", "-1.0e-9"), (1e21, "1.0e+21", "1.0e21")),
        *((9.5e20, f"{9.5e20:.3f}", f"{9.5e20:.0f}"), (-1e300, "-1.0e+300", "-1.0e300")),
        *((NAN, "-", "-"), (None, "-", "-"), (pd.NA, "-", "-"), ("", "-", "-")),
        *((np.inf, "∞", "∞"), (-np.inf, "-∞", "-∞"), (7, "7", "7"), ("a b", "a b", "a b")),
        *((True, "True", "True"), (np.float32(0.25), "0.250", "0.25"), (np.int64(3), "3", "3")),
    ],
)
def test_a_value_is_written_in_two_ways(value, fixed, shortest):
    assert number(value) == fixed
    assert number(value, "shortest") == shortest


def test_the_shortest_is_the_decimal_fraction_rounded_away_from_0():
    for value in np.random.default_rng(0).normal(0, 100, 2000):
        exact = Decimal(float(value)).quantize(Decimal("0.001"), ROUND_HALF_UP)
        assert Decimal(number(float(value), "shortest")) == exact
        assert abs(Decimal(number(float(value))) - exact) <= Decimal("0.001")


@pytest.mark.parametrize(("low", "high"), [*itertools.product((0.25, NAN), (0.75, NAN))])
def test_an_interval_has_both_ends_or_is_none(low, high):
    whole = low == low and high == high
    assert interval(low, high) == ("0.250 to 0.750" if whole else "-")
    assert interval(low, high, "shortest") == ("0.25 to 0.75" if whole else "-")


def test_an_end_alone_is_a_column_like_any_other():
    frame = pd.DataFrame({"last_low": [0.5], "first_high": [0.25], "x_low": [1], "x_high": [2]})
    found = text_table(frame)
    assert found.heads == ("last_low", "first_high", "95 % of x")
    assert found.rows == (("0.500", "0.250", "1 to 2"),)
    assert found.numeric == (True, True, True)


def test_the_interval_stands_where_its_lower_end_did():
    frame = pd.DataFrame({"x_high": [2.5], "tasks_low": [0.5], "x_low": [1.5], "tasks_high": [1.5]})
    assert text_table(frame).heads == ("95 % over tasks", "95 % of x")
    assert text_table(frame).rows == (("0.500 to 1.500", "1.500 to 2.500"),)


def test_a_table_without_columns_has_its_rows():
    assert text_table(pd.DataFrame(index=range(3))).rows == ((), (), ())
    assert text_table(pd.DataFrame({"a": []})).rows == ()


def test_whole_columns_have_no_decimals_unless_they_may_be_shares():
    frame = pd.DataFrame({"count": [1.0, 12.0, NAN], "share": [1.0, 0.0, NAN], "n": [1, 2, 3]})
    frame = frame.assign(odds=[2.0, np.inf, 3.0])
    rows = (("1", "1.000", "1", "2"), ("12", "0.000", "2", "∞"), ("-", "-", "3", "3"))
    assert text_table(frame).rows == rows
    units = text_table(frame, unit=lambda name: {"share": "tokens"}.get(name, ""))
    assert [row[1] for row in units.rows] == ["1", "0", "-"]


def test_heads_in_words_say_the_unit_once():
    words = {
        ("points", ""): "drop",
        ("points", "points"): "drop (points)",
        ("answer_tokens", "tokens"): "answer tokens",
        ("tasks_p", ""): "p over tasks",
        ("gain_p", ""): "p of gain",
        ("items_holm", ""): "Holm's p over items",
        ("p_holm", ""): "Holm's p",
        ("points_p", ""): "p of drop",
    }
    assert {given: column_words(*given) for given in words} == words


def test_terminal_page_and_exports_print_the_same_table(capsys):
    frame = pd.DataFrame(
        {
            "model": ["a", "b"],
            "points": [1.25, NAN],
            "points_low": [0.5, NAN],
            "points_high": [2.0, NAN],
            "last_low": [0.125, 0.25],
            "worse_from": ["", "16"],
            "odds": [np.inf, 2.0],
            "n": [16, 8],
        }
    )
    rows = (
        ("a", "1.250", "0.500 to 2.000", "0.125", "-", "∞", "16"),
        ("b", "-", "-", "0.250", "16", "2", "8"),
    )
    show.echo_frame(frame)
    heads, *lines = capsys.readouterr().out.splitlines()
    assert [tuple(line.split()) for line in lines] == [tuple(" ".join(row).split()) for row in rows]
    assert "last_low" in heads
    assert captioned_table("masks", "drop", frame).text.rows == rows
    page = page_table("drop", frame)
    assert [model for model, _ in page.rows] == ["a", "b"]
    assert page.rows[0][1] == ("a", "1.25", "0.5 to 2", "0.125", "-", "∞", "16")
    assert page.rows[1][1] == ("b", "-", "-", "0.25", "16", "2", "8")


def test_shares_in_percent_have_a_decimal_and_their_intervals_go_with_them():
    frame = pd.DataFrame(
        {
            "right": [0.41333, 0.57],
            "right_low": [0.4, 0.00013],
            "right_high": [0.5, 0.6],
            "tasks_low": [0.25, 0.375],
            "tasks_high": [0.5, NAN],
            "tasks": [8, 8],
            "p": [0.041, 0.5],
            "ended": [12.3456, 50.0],
        }
    )
    found = text_table(
        frame,
        unit=lambda name: {"ended": "%"}.get(name, ""),
        percent={"right": "%", "tasks": "", "items": ""},
    )
    assert found.heads == (
        *("right (%)", "95 % of right (%)", "95 % over tasks", "tasks", "p", "ended"),
    )
    assert found.rows == (
        ("41.3", "40.0 to 50.0", "25.0 to 50.0", "8", "0.041", "12.346"),
        ("57.0", "0.01 to 60.0", "-", "8", "0.500", "50.000"),
    )
