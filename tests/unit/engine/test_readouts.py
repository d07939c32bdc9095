"""Readout functions against closed forms."""

import itertools
import math

import pytest
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon

from mdlm_probe.engine import readouts
from mdlm_probe.engine.noise import gumbel

ROWS = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.25, 0.25, 0.25, 0.25]]).log()


def test_entropy_closed_form():
    assert readouts.entropy(ROWS).tolist() == pytest.approx([1.5 * math.log(2), 2 * math.log(2)])


def test_zipf_entropy_of_the_protocol():
    ranks = torch.arange(1, 130001, dtype=torch.float64)
    rows = torch.log_softmax(-2.31 * ranks.log(), 0)[None].float()
    assert float(readouts.entropy(rows)) == pytest.approx(1.203, abs=1e-3)
    assert rows[0, :3].exp().tolist() == pytest.approx([0.7007, 0.1413, 0.0554], abs=1e-4)


def test_top_and_chosen_and_mass():
    assert readouts.top_id(ROWS).tolist() == [0, 0]
    assert readouts.top_logprob(ROWS).exp().tolist() == pytest.approx([0.5, 0.25])
    assert readouts.chosen(ROWS, 1, 0).exp().tolist()[0] == pytest.approx([0.25, 0.5])
    assert readouts.mass(ROWS, 0, 1, 1).tolist() == pytest.approx([0.75, 0.5])
    assert readouts.whole(ROWS) is ROWS


def test_top_tokens_are_the_largest_in_order():
    rows = torch.randn(5, 40, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    ids, values = readouts.top_ids(rows, 7), readouts.top_logprobs(rows, 7)
    for row, found, value in zip(rows, ids, values, strict=True):
        expected = sorted(range(40), key=lambda i: -row[i])[:7]
        assert found.tolist() == expected
        assert value.tolist() == [row[i].item() for i in expected]


def test_a_share_of_the_cumulative_probability_names_a_token():
    assert [readouts.drawn(ROWS, share).tolist() for share in (0.0, 0.49, 0.51, 0.76, 1.0)] == [
        *([0, 0], [0, 1], [1, 2], [2, 3], [2, 3])
    ]
    rows = torch.randn(1, 5, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    shares = [(n + 0.5) / 4000 for n in range(4000)]
    drawn = torch.tensor([readouts.drawn(rows, share).item() for share in shares])
    assert (drawn.bincount(minlength=5) / 4000).tolist() == pytest.approx(
        rows[0].exp().tolist(), abs=1e-3
    )


def test_several_tokens_of_each_positions_own():
    rows = torch.randn(3, 9, generator=torch.Generator().manual_seed(2)).log_softmax(-1)
    ids = ((4, 0), (1, 1), (8, 3), (2, 5))
    found = readouts.own_tokens(rows, torch.tensor([6, 9, 7]), 6, *ids)
    assert found.tolist() == [
        [rows[row, token].item() for token in ids[n]] for row, n in enumerate((0, 3, 1))
    ]


def test_the_mixture_of_rows_is_a_distribution():
    assert readouts.mean(ROWS).tolist() == [0.375, 0.25, 0.25, 0.125]


def some_rows(count=6, vocab=300):
    rows = 3 * torch.randn(count, vocab, generator=torch.Generator().manual_seed(2))
    rows[:, 7] = -torch.inf  # the mask
    rows[0, :150], rows[1, 150:] = -torch.inf, -torch.inf  # no token in common
    rows[3] = rows[2]
    rows[4] = rows[2] + 1e-3 * torch.randn(vocab, generator=torch.Generator().manual_seed(3))
    return rows.log_softmax(-1)


PAIRS = tuple(itertools.combinations(range(6), 2))


@pytest.mark.parametrize("memory", [1, 3000, 10**5, 10**9])
@pytest.mark.slow
def test_divergences_equal_scipys_in_any_memory(memory):
    rows = some_rows()
    found = readouts.divergences(rows, PAIRS, memory)
    shares = rows.double().exp().numpy()
    for (a, b), (js, tv) in zip(PAIRS, found.tolist(), strict=True):
        exact = jensenshannon(shares[a], shares[b]) ** 2
        assert js == pytest.approx(exact, abs=1e-6)
        assert tv == pytest.approx(abs(shares[a] - shares[b]).sum() / 2, abs=1e-6)
        assert tv**2 / 2 - 1e-6 <= js <= math.log(2) * tv + 1e-6  # Pinsker's and Lin's bounds
    by_pair = dict(zip(PAIRS, found.tolist(), strict=True))
    assert by_pair[0, 1] == pytest.approx([math.log(2), 1.0], rel=1e-6)
    assert by_pair[2, 3] == [0, 0]
    # close rows keep their digits: differences of entropies would lose them
    exact = jensenshannon(shares[2], shares[4]) ** 2
    assert by_pair[2, 4][0] == pytest.approx(exact, rel=0.02)
    assert exact < 1e-6


@pytest.mark.parametrize("memory", [1000, 10**4, 10**5])
def test_divergences_keep_to_their_memory(memory, monkeypatch):
    sizes, plain = [], readouts._xlogx

    def watched(value, less):
        sizes.append(value.numel() * value.element_size() * readouts.TEMPORARIES)
        return plain(value, less)

    monkeypatch.setattr(readouts, "_xlogx", watched)
    readouts.divergences(some_rows(), PAIRS, memory)
    assert max(sizes) <= memory
    assert max(sizes) > memory / 5  # and use it


# ---------------------------------------------------------------------- vocabularies of many groups

WIDE = 2 * readouts.GROUP + 452
"""Two whole groups of tokens, and a rest."""


def wide_rows(count, seed=0):
    logits = 3 * torch.randn(count, WIDE, generator=torch.Generator().manual_seed(seed))
    logits[:, [0, WIDE - 1]] = -torch.inf
    return logits.log_softmax(-1)


def test_the_first_of_equal_tokens_is_the_top_one_in_any_group():
    rows = wide_rows(64)
    assert torch.equal(readouts.top_id(rows), rows.argmax(-1))
    for places in ((5, 9), (1023, 1024), (700, 2300), (2050, 2300), (2047, 2048)):
        tied = rows.clone()
        tied[:, list(places)] = 1.0
        assert readouts.top_id(tied).tolist() == [places[0]] * len(tied)


def drawn_from(row, temperature, count, seed=3):
    rows = row.expand(count, -1)
    found = readouts.candidates(rows, torch.arange(count), "probability", temperature, seed)
    return found[:, 0].long()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_from_many_groups_follow_the_tempered_softmax(temperature):
    (row,) = wide_rows(1)
    found = drawn_from(row, temperature, 6000)
    shares = (row.double() / temperature).softmax(-1)
    expected, counts = shares * len(found), torch.bincount(found, minlength=WIDE).double()
    assert counts[expected == 0].sum() == 0
    # what is rare is taken together by group, so that groups are looked at for themselves
    groups = torch.arange(WIDE) // readouts.GROUP
    common = expected >= 8
    seen, known = [counts[common]], [expected[common]]
    for values, parts in ((counts, seen), (expected, known)):
        rare = torch.where(common, 0.0, values)
        parts.append(torch.zeros(3, dtype=torch.double).index_add_(0, groups, rare))
    statistic = stats.chisquare(torch.cat(seen).numpy(), torch.cat(known).numpy())
    assert statistic.pvalue > 1e-3
    flat = (row.double() / (1.3 * temperature)).softmax(-1) * len(found)
    other = torch.stack([counts[common].sum(), counts[~common].sum()])
    wrong = torch.stack([flat[common].sum(), flat[~common].sum()])
    assert stats.chisquare(other.numpy(), wrong.numpy()).pvalue < 1e-6, "it would be noticed"


def test_a_draw_depends_on_its_row_position_and_seed_alone(monkeypatch):
    rows, places = wide_rows(30), torch.arange(30)
    whole = readouts.candidates(rows, places, "probability", 1.0, 5)
    monkeypatch.setitem(readouts.PART, "cpu", 4 * WIDE)
    assert torch.equal(readouts.candidates(rows, places, "probability", 1.0, 5), whole)
    some = torch.tensor([17, 3, 3])
    assert torch.equal(readouts.candidates(rows[some], some, "probability", 1.0, 5), whole[some])
    assert not torch.equal(readouts.candidates(rows, places, "probability", 1.0, 6), whole)


def test_logits_that_change_little_change_few_draws():
    """As with noise for every token: what the same seed draws of two models may be compared."""
    (row,) = wide_rows(1)
    noise = torch.randn(WIDE, generator=torch.Generator().manual_seed(1))
    moved = (row + 1e-3 * noise).log_softmax(-1)
    assert (drawn_from(row, 1.0, 3000) != drawn_from(moved, 1.0, 3000)).double().mean() < 5e-3


def test_one_group_is_drawn_from_by_noise_for_every_token():
    rows = (3 * torch.randn(50, 468, generator=torch.Generator().manual_seed(2))).log_softmax(-1)
    noise = gumbel(7, torch.arange(50), 468)
    for temperature in (0.3, 1.0, 2.0):
        found = readouts.candidates(rows, torch.arange(50), "probability", temperature, 7)[:, 0]
        assert torch.equal(found.long(), (rows.double() + temperature * noise).argmax(-1))
