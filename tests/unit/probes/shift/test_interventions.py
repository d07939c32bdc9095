"""Interventions against enumeration: every token, every coin, on an oracle of four tokens.

Its language goes round: a b c d a b, with slips. A token that is moved spoils the order.
"""

import itertools
import math
import random
from collections import Counter

import numpy as np
import oracles
import pytest
from scipy import sparse, stats
from simulations import WHOLE, repeats, simulation

from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas, Step
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Answer
from mdlm_probe.models import oracle
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.probes.shift.interventions import Hit, Intervene, exchanged
from mdlm_probe.prompts.toy_language import HiddenMarkov

MASK, PROMPT = oracles.MASK, (2, 0)
SIZE, RUNS, FRAC = 3, repeats(1500), 0.5
ORDERS = ("left_to_right", "random")


SLIPS = np.array([0.05, 0.8, 0.1, 0.05])
"""Probabilities that the next token is this many letters on."""
NEXT = np.stack([np.roll(SLIPS, token) for token in range(4)])


def model():
    entry = Checkpoint("round", "oracle", "masked", mask_id=MASK, context=64)
    chain = HiddenMarkov(tuple("abcd"), np.full(4, 0.25), sparse.csr_array(NEXT), np.eye(4))
    return oracle.Oracle(entry, oracles.Letters(entry), chain, range(4), 5, smoothing=0.0)


@pytest.fixture(scope="module")
def joint():
    """p(three tokens | the prompt): the product of their steps."""
    found = np.empty((4,) * SIZE)
    for text in itertools.product(range(4), repeat=SIZE):
        found[text] = math.prod(NEXT[a, b] for a, b in itertools.pairwise((PROMPT[-1], *text)))
    return found


def row(joint, window, mask):
    """p(token at a mask | the window's other tokens), by summing the joint."""
    seen = tuple(slice(None) if token == MASK else token for token in window)
    left = [i for i, token in enumerate(window) if token == MASK]
    others = tuple(n for n, i in enumerate(left) if i != mask)
    found = joint[seen].sum(others)
    return found / found.sum()


# ---------------------------------------------------------------------- brute force


def written(window, place, token):
    return (*window[:place], token, *window[place + 1 :])


def shift_ways(window, mask, frac):
    """Where a token predicted at a mask may be written, with probabilities."""
    ways = [(mask, 1 - frac)]
    for to in (mask - 1, mask + 1):
        free = 0 <= to < SIZE and window[to] == MASK
        ways.append((to if free else mask, frac / 2))
    return ways


def finals(joint, window, rank, frac, greedy):
    """The exact distribution of final windows under `shift`, a mask a step: {window: p}."""
    left = [i for i, token in enumerate(window) if token == MASK]
    if not left:
        return {window: 1.0}
    mask = min(left, key=rank.__getitem__)
    shares = row(joint, window, mask)
    if greedy:
        shares = np.eye(len(shares))[shares.argmax()]
    found = Counter()
    for token, share in enumerate(shares):
        for to, way in shift_ways(window, mask, frac):
            if share * way:
                after = finals(joint, written(window, to, token), rank, frac, greedy)
                for final, p in after.items():
                    found[final] += share * way * p
    return found


def mixed(joint, order, frac, greedy=False):
    """Over all permutations, where the order is random."""
    orders = list(itertools.permutations(range(SIZE))) if order == "random" else [range(SIZE)]
    found = Counter()
    for rank in orders:
        for final, p in finals(joint, (MASK,) * SIZE, rank, frac, greedy).items():
            found[final] += p / len(orders)
    return found


def expected(distribution, joint):
    """Mean and standard deviation of the exact log-likelihood."""
    logs = np.array([math.log(joint[final]) for final in distribution])
    shares = np.array(list(distribution.values()))
    mean = float((shares * logs).sum())
    return mean, float((shares * (logs - mean) ** 2).sum()) ** 0.5


# ---------------------------------------------------------------------- our loop


def run(schedules, hooks, prompt=PROMPT, size=SIZE):
    canvas = Canvas((*prompt, *[MASK] * size), tuple(range(len(prompt), len(prompt) + size)))
    engine = Engine(model(), batch_tokens=4096)
    return loop.decode_all(engine, [canvas] * len(schedules), schedules, hooks)


@pytest.fixture(scope="module")
def runs():
    """Runs under `shift` at temperature 1, a mask a step, by order."""
    found = {}
    for order in ORDERS:
        hooks = [Intervene("shift", FRAC, 10**6 + n) for n in range(RUNS)]
        schedules = [Schedule(SIZE, 0, order, temperature=1.0, seed=n) for n in range(RUNS)]
        found[order] = run(schedules, hooks), hooks
    return found


@simulation
@pytest.mark.parametrize("order", ORDERS)
def test_shifted_texts_follow_the_enumerated_distribution(joint, runs, order):
    exact = mixed(joint, order, FRAC)
    assert sum(exact.values()) == pytest.approx(1)
    counts = Counter(decoded.tokens for decoded in runs[order][0])
    for final, p in exact.items():
        assert abs(counts[final] - RUNS * p) < 4 * (RUNS * p * (1 - p)) ** 0.5 + 1
    big = [final for final, p in exact.items() if p * RUNS >= 5]
    kept = [(counts[final], RUNS * exact[final]) for final in big]
    rest = (RUNS - sum(n for n, _ in kept), RUNS - sum(e for _, e in kept))
    assert stats.chisquare(*zip(*kept, rest, strict=True)).pvalue > 1e-3
    # and the texts of no intervention are another distribution
    plain = mixed(joint, order, 0.0)
    away = sum((counts[f] - RUNS * p) ** 2 / (RUNS * p) for f, p in plain.items())
    assert stats.chi2.sf(away, len(plain) - 1) < (1e-9 if WHOLE else 1e-3)


@pytest.mark.parametrize("order", ORDERS)
def test_no_intervention_leaves_the_joint(joint, order):
    """The enumeration at frac 0 is the chain rule."""
    exact = mixed(joint, order, 0.0)
    for final, p in exact.items():
        assert p == pytest.approx(joint[final])


@simulation
@pytest.mark.parametrize("order", ORDERS)
def test_the_expected_log_likelihood_is_the_enumerated_one(joint, runs, order):
    mean, deviation = expected(mixed(joint, order, FRAC), joint)
    exact = model()
    before = exact.log_likelihood(PROMPT)
    logs = [exact.log_likelihood(decoded.at(99)) - before for decoded in runs[order][0]]
    assert abs(np.mean(logs) - mean) < 4 * deviation / RUNS**0.5
    clean, _ = expected(mixed(joint, order, 0.0), joint)
    assert clean - mean > (8 if WHOLE else 4) * deviation / RUNS**0.5, (
        "the damage is above the noise"
    )


@simulation
@pytest.mark.parametrize("order", ORDERS)
def test_coins_are_fair_and_hits_as_frequent_as_told(runs, order):
    _, hooks = runs[order]
    hits = [hit for hook in hooks for hit in hook.hits]
    offered = sum(hook.offered for hook in hooks)
    assert offered == RUNS * SIZE
    assert abs(len(hits) - FRAC * offered) < 4 * (FRAC * (1 - FRAC) * offered) ** 0.5
    # the first step's middle mask has both sides free
    free = [hit for hit in hits if hit.step == 1 and hit.mask == 1]
    assert all(hit.done for hit in free)
    right = sum(hit.to == 2 for hit in free)
    assert abs(right - len(free) / 2) <= 4 * (len(free) / 4) ** 0.5
    assert (order == "random") == bool(free)


def replayed(joint, hits, rank):
    """The greedy text that some hits make, written plainly: {mask: to} by step."""
    window, moves = (MASK,) * SIZE, {hit.step: hit.to for hit in hits}
    for step in range(1, SIZE + 1):
        left = [i for i, token in enumerate(window) if token == MASK]
        mask = min(left, key=rank.__getitem__)
        token = int(row(joint, window, mask).argmax())
        window = written(window, moves.get(step, mask), token)
    return window


@pytest.mark.parametrize("order", ORDERS)
def test_greedy_texts_lose_exactly_what_enumeration_says(joint, order):
    """Text by text, from its own hits; and over all of them, the enumerated distribution."""
    runs = 600
    schedules = [Schedule(SIZE, 0, order, seed=n % 6) for n in range(runs)]
    hooks = [Intervene("shift", FRAC, n) for n in range(runs)]
    found, clean = run(schedules, hooks), run(schedules[:6], ())
    exact = model()
    lost, probable = [], Counter()
    for n, (decoded, hook) in enumerate(zip(found, hooks, strict=True)):
        rank = list(range(SIZE))
        if order == "random":
            random.Random(n % 6).shuffle(rank)
        assert decoded.tokens == replayed(joint, hook.hits, rank)
        assert clean[n % 6].tokens == replayed(joint, (), rank)
        fall = math.log(joint[clean[n % 6].tokens]) - math.log(joint[decoded.tokens])
        ours = exact.log_likelihood(clean[n % 6].at(9)) - exact.log_likelihood(decoded.at(9))
        assert ours == pytest.approx(fall, abs=1e-9)
        lost.append(fall)
        if n < 6:
            probable.update(finals(joint, (MASK,) * SIZE, rank, FRAC, greedy=True))
    known = {final: p / 6 for final, p in probable.items()}
    assert {decoded.tokens for decoded in found} <= known.keys()
    mean, deviation = expected(known, joint)
    plain = np.mean([math.log(joint[decoded.tokens]) for decoded in clean])
    assert abs(np.mean(lost) - (plain - mean)) < 4 * deviation / runs**0.5
    assert plain - mean > 0.5


# ---------------------------------------------------------------------- kinds


@simulation
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("never", [(), (2,)])
def test_replace_draws_from_the_others(joint, temperature, never):
    """Of one mask: the renormalised distribution without its most probable token."""
    shares = NEXT[PROMPT[-1]].copy()
    shares[list(never)] = 0
    shares[shares.argmax()] = 0
    shares /= shares.sum()
    schedules = [Schedule(temperature=temperature, seed=n) for n in range(RUNS)]
    hooks = [Intervene("replace", 1.0, n, never) for n in range(RUNS)]
    found = run(schedules, hooks, size=1)
    counts = np.bincount([decoded.tokens[0] for decoded in found], minlength=4)
    assert not counts[shares == 0].any()
    possible = shares > 0
    assert stats.chisquare(counts[possible], RUNS * shares[possible]).pvalue > 1e-3
    for decoded, hook in zip(found, hooks, strict=True):
        (hit,) = hook.hits
        assert (hit.written, hit.to, hit.mask) == (decoded.tokens[0], 0, 0)
        assert decoded.candidates == (hit.token,), "what was predicted is kept beside"
    if not temperature:
        assert all(hook.hits[0].done for hook in hooks)


def test_replace_asks_for_other_tokens_only_where_one_is_hit():
    hook = Intervene("replace", 0.3, 5)
    hit = [mask for mask in range(50) if hook._is_hit(1, mask)]
    missed = [mask for mask in range(50) if mask not in hit]
    assert 5 < len(hit) < 25
    assert hook.readouts(1, missed) == ()
    assert len(hook.readouts(1, [*missed, hit[0]])) == 1
    assert Intervene("shift", 1.0, 5).readouts(1, hit) == ()


@pytest.mark.parametrize("order", ["left_to_right", "random", "low_confidence", "threshold"])
@pytest.mark.parametrize("steps", [2, 8])
def test_hold_leaves_each_mask_for_a_step_once_at_most(order, steps):
    schedules = [Schedule(steps, 4, order, seed=n) for n in range(40)]
    for frac in (0.5, 1.0):
        hooks = [Intervene("hold", frac, n) for n in range(40)]
        for decoded, hook in zip(run(schedules, hooks, size=8), hooks, strict=True):
            held = [hit.mask for hit in hook.hits]
            assert len(set(held)) == len(held)
            assert MASK not in decoded.tokens
            assert hook.offered == 8
            assert all(decoded.steps[hit.mask] > hit.step for hit in hook.hits)
            assert frac < 1 or sorted(held) == list(range(8))


def step(chosen, masked):
    logprobs = dict.fromkeys(chosen, -1.0)
    return Step(1, chosen, logprobs, frozenset(masked), tuple(masked), Answer())


def test_a_token_moves_only_where_a_free_mask_is():
    """Never onto text, out of the window, onto one of the same step, or onto another moved one."""
    sides = set()
    for seed in range(60):
        hook = Intervene("shift", 1.0, seed)
        assert hook.write(step({0: 7}, {0})) == {0: 7}
        assert not hook.hits[-1].done
        assert hook.write(step({3: 7, 4: 8}, {3, 4})) == {3: 7, 4: 8}
        assert hook.write(step({5: 9}, {5, 6}))[5 if hook.hits[-1].to == 5 else 6] == 9
        both = hook.write(step({1: 7, 3: 8}, {1, 2, 3}))
        assert len(both) == 2
        assert sorted(both.values()) == [7, 8]
        assert both.keys() <= {1, 2, 3}
        sides.add(tuple(sorted(both.items())))
    assert sides == {((1, 7), (3, 8)), ((2, 7), (3, 8)), ((1, 7), (2, 8))}


def test_a_larger_fraction_hits_what_a_smaller_one_hits():
    tables = []
    for frac in (0.1, 0.3, 0.9):
        hook = Intervene("shift", frac, 11)
        tables.append({(n, m) for n in range(1, 30) for m in range(30) if hook._is_hit(n, m)})
        share = len(tables[-1]) / 870
        assert abs(share - frac) < 4 * (frac * (1 - frac) / 870) ** 0.5
    assert tables[0] < tables[1] < tables[2]


def test_exchanged():
    """Neighbours change places, one hit after another; a hit that moved nothing does nothing."""
    tokens = (5, 6, 7, 8)
    assert exchanged(tokens, []) == tokens
    assert exchanged(tokens, [Hit(1, 0, 5, 5, 1)]) == (6, 5, 7, 8)
    assert exchanged(tokens, [Hit(1, 2, 7, 7, 2)]) == tokens
    assert exchanged(tokens, [Hit(1, 0, 5, 5, 1), Hit(2, 1, 6, 6, 2)]) == (6, 7, 5, 8)
    assert exchanged(tokens, [Hit(1, 3, 8, 8, 2), Hit(1, 2, 7, 7, 3)]) == tokens
    rng = random.Random(0)
    hits = [Hit(1, i, 0, 0, i + rng.choice((-1, 0, 1))) for i in rng.choices(range(1, 9), k=50)]
    assert sorted(exchanged(range(10), hits)) == list(range(10))
