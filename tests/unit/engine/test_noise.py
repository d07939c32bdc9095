"""Random numbers of a position: even, independent, and the same in any batch. Seeds are fixed."""

import numpy as np
import pytest
import torch
from scipy import stats

from mdlm_probe.engine import noise

SEEDS = (0, 1, 12345, 2**63, 2**64 - 1)


def numbers(seed, first, places, count):
    return noise.uniform(seed, torch.arange(first, first + places), count).numpy()


@pytest.mark.parametrize("seed", SEEDS)
def test_evenly_random_between_0_and_1(seed):
    found = numbers(seed, 0, 200, 500).ravel()
    assert found.dtype == np.float64
    assert 0 < found.min() < 1e-3
    assert 1 - 1e-3 < found.max() < 1
    assert stats.kstest(found, "uniform").pvalue > 1e-3
    counts = np.bincount((found * 1000).astype(int), minlength=1000)
    assert stats.chisquare(counts).pvalue > 1e-3
    for power in range(1, 5):
        mean, square = 1 / (power + 1), 1 / (2 * power + 1)
        error = ((square - mean**2) / len(found)) ** 0.5
        assert abs((found**power).mean() - mean) < 4 * error


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.slow
def test_every_row_and_every_column_is_even(seed):
    found = numbers(seed, 1000, 300, 300)
    for rows in (found, found.T):
        values = [stats.kstest(row, "uniform").pvalue for row in rows]
        assert stats.kstest(values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_every_digit_is_even(seed):
    """Of the 52 binary ones: none is stuck, none follows another."""
    found = numbers(seed, 0, 100, 200).ravel()
    whole = (found * 2.0**noise.DIGITS).astype(np.int64)
    digits = (whole[:, None] >> np.arange(noise.DIGITS)) & 1
    size = len(found)
    assert np.abs(digits.mean(0) - 0.5).max() < 4.5 * 0.5 / size**0.5
    together = np.corrcoef(digits.T) - np.eye(noise.DIGITS)
    assert np.abs(together).max() < 5 / size**0.5


def shifted(seed):
    """Pairs of tables that must have nothing to do with each other."""
    base = numbers(seed, 0, 200, 300)
    for lag in (1, 2, 7, 64):
        yield f"position + {lag}", base, numbers(seed, lag, 200, 300)
        yield f"token + {lag}", base[:, :-lag], base[:, lag:]
        yield f"seed + {lag}", base, numbers(seed + lag, 0, 200, 300)
    yield "position and token + 1", base[:-1, :-1], base[1:, 1:]
    yield "position + 1, token - 1", base[:-1, 1:], base[1:, :-1]
    yield "positions of other seeds", base, numbers(seed + 1, 1, 200, 300)
    corner = np.triu_indices(200, 1)
    yield "positions as tokens", base[:, :200][corner], base[:, :200].T[corner]


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbours_are_independent(seed):
    """Of position, token and seed: no correlation, and even in the unit square."""
    for what, a, b in shifted(seed):
        a, b = a.ravel(), b.ravel()
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / len(a) ** 0.5, what
        cells = np.bincount((a * 10).astype(int) * 10 + (b * 10).astype(int), minlength=100)
        assert stats.chisquare(cells).pvalue > 1e-4, what


def test_equal_tables_would_be_noticed():
    a = numbers(3, 0, 200, 300).ravel()
    cells = np.bincount((a * 10).astype(int) * 11, minlength=100)
    assert stats.chisquare(cells).pvalue < 1e-6


def test_the_same_numbers_whatever_the_batch():
    whole = noise.uniform(7, torch.arange(50), 40)
    assert torch.equal(noise.uniform(7, torch.tensor([41, 3, 3]), 40), whole[[41, 3, 3]])
    assert torch.equal(noise.uniform(7, torch.arange(50), 25), whole[:, :25])
    assert torch.equal(noise.uniform(7, torch.tensor([9], dtype=torch.int32), 40), whole[9:10])
    assert torch.equal(noise.uniform(7, torch.arange(50), 25, 15), whole[:, 15:])
    ends = noise.uniform(7, torch.arange(50), 1, torch.arange(50) % 40)
    assert torch.equal(ends[:, 0], whole[torch.arange(50), torch.arange(50) % 40])
    assert noise.uniform(7, torch.arange(0), 40).shape == (0, 40)
    assert len(np.unique(whole.numpy())) == whole.numel()


def mixed(number):
    """SplitMix64's output function, on Python's integers of any size."""
    number = ((number ^ (number >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    number = ((number ^ (number >> 27)) * 0x94D049BB133111EB) % 2**64
    return number ^ (number >> 31)


def test_the_generator_is_the_published_one():
    """SplitMix64 from state 0 begins with these three numbers."""
    known = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert [mixed(n * noise.GOLDEN % 2**64) for n in (1, 2, 3)] == known
    for seed in SEEDS:
        found = noise.uniform(seed, torch.tensor([0, 5, 4000]), 6)
        for row, position in zip(found.tolist(), (0, 5, 4000), strict=True):
            start = mixed((position * noise.GOLDEN + seed) % 2**64)
            drawn = [mixed((start + n * noise.GOLDEN) % 2**64) for n in range(1, 7)]
            assert row == [((number >> 12) + 0.5) / 2**52 for number in drawn]
