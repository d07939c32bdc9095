"""Quantities in words, at the edges where the word or the unit changes."""

import pytest

from mdlm_probe.core import quantities


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0"),
        (999, "999"),
        (432_000, "432,000"),
        (999_999, "999,999"),
        (999_999.6, "1.0 million"),
        (6_007_454, "6.0 million"),
        (9_949_999, "9.9 million"),
        (9_960_000, "10 million"),
        (561e6, "561 million"),
        (999.4e6, "999 million"),
        (999.6e6, "1.0 billion"),
        (3.21e9, "3.2 billion"),
        (4e12, "4.0 trillion"),
        (5e15, "5,000 trillion"),
    ],
)
def test_counts_in_words(count, told):
    assert quantities.in_words(count) == told


def test_speeds_and_operations():
    assert [quantities.operations(n) for n in (8.22e18, 9.96e5, 0)] == ["8.2e18", "1.0e6", "0.0e0"]
    assert [quantities.flops(n) for n in (989e12, 9.454e9, 12)] == [
        *("989 TFLOP/s", "9.45 GFLOP/s", "12 FLOP/s")
    ]
    assert [quantities.tokens_per_second(n) for n in (0, 999, 1234, 2e18, 5e21)] == [
        f"{n} tokens/s" for n in ("0", "999", "1.23k", "2E", "5e+03E")
    ]


def test_memory_and_times():
    assert [quantities.memory(n * 2**30) for n in (0.04, 9.94, 9.96, 62.84, 1234)] == [
        *("0.04 GiB", "9.9 GiB", "10 GiB", "63 GiB", "1234 GiB")
    ]
    day, year = 86400, 365.25 * 86400
    times = (3, 89, 600, 7200, 3.9 * day, 4.2 * day, 729 * day, 34.4 * year, 2000 * year)
    assert [quantities.duration(seconds) for seconds in times] == [
        *("3 s", "89 s", "10 min", "2.0 h", "93.6 h", "4 days", "729 days", "34 years"),
        "2,000 years",
    ]
    assert [quantities.hours(h * 3600) for h in (0.051, 4.63, 88.4, 1234)] == [
        *("0.051", "4.6", "88", "1,234")
    ]
