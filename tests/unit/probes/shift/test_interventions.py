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
import simulated_courses
from scipy import sparse, stats
from simulations import WHOLE, repeats, simulation, spread

from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas, Step
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Answer
from mdlm_probe.models import oracle
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.probes.shift.interventions import Change, Intervene, displaced
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


def hit_sets(frac):
    """Which places may be hit, with probabilities: about as many as the fraction says."""
    whole, rest = divmod(frac * SIZE, 1)
    for count, share in ((int(whole), 1 - rest), (int(whole) + 1, rest)):
        sets = list(itertools.combinations(range(SIZE), count))
        yield from ((frozenset(places), share / len(sets)) for places in sets if share)


def free_sides(window, mask):
    return [to for to in (mask - 1, mask + 1) if 0 <= to < SIZE and window[to] == MASK]


def counted(window, mask, moved):
    """Places that have been counted when the token of a mask is written: written ones, those that
    nothing can be moved from any more, and this one.
    """
    left = [i for i in range(SIZE) if window[i] == MASK]
    enclosed = {i for i in left if not free_sides(window, i)}
    return {i for i in range(SIZE) if i not in left} | enclosed | moved | {mask}


def finals(joint, window, rank, hits, greedy, moved=frozenset()):
    """The exact distribution of final windows under `shift`, a mask a step: {window: p}.

    `moved` are the places that tokens were moved from: as many moves have been made.
    """
    left = [i for i, token in enumerate(window) if token == MASK]
    if not left:
        return {window: 1.0}
    mask = min(left, key=rank.__getitem__)
    shares = row(joint, window, mask)
    if greedy:
        shares = np.eye(len(shares))[shares.argmax()]
    due = len(counted(window, mask, set(sources(moved))) & hits) > len(moved)
    ways = (free_sides(window, mask) if due else []) or [mask]
    found = Counter()
    for token, share in enumerate(shares):
        for to in ways if share else ():
            after = moved | {(mask, to)} if to != mask else moved
            ends = finals(joint, written(window, to, token), rank, hits, greedy, after)
            for final, p in ends.items():
                found[final] += share * p / len(ways)
    return found


def sources(moved):
    return {mask for mask, _ in moved}


def mixed(joint, order, frac, greedy=False):
    """Over all permutations, where the order is random."""
    orders = list(itertools.permutations(range(SIZE))) if order == "random" else [range(SIZE)]
    found = Counter()
    for rank in orders:
        for hits, share in hit_sets(frac):
            for final, p in finals(joint, (MASK,) * SIZE, rank, hits, greedy).items():
                found[final] += share * p / len(orders)
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
        hooks = [Intervene("shift", FRAC, 10**6 + n, SIZE) for n in range(RUNS)]
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
    moved = [change for hook in hooks for change in hook.changes]
    assert sum(hook.offered for hook in hooks) == RUNS * SIZE
    counts = Counter(hook.hits for hook in hooks)
    assert set(counts) == {1, 2}, "half of three, rounded up or down"
    assert abs(counts[1] - RUNS / 2) < 4 * (RUNS / 4) ** 0.5
    # the first step's middle mask has both sides free
    free = [change for change in moved if change.step == 1 and change.mask == 1]
    right = sum(change.to == 2 for change in free)
    assert abs(right - len(free) / 2) <= 4 * (len(free) / 4) ** 0.5
    assert (order == "random") == bool(free)


def replayed(joint, hits, rank):
    """The greedy text that some hits make, written plainly: {mask: to} by step."""
    window, moves = (MASK,) * SIZE, {change.step: change.to for change in hits}
    for step in range(1, SIZE + 1):
        left = [i for i, token in enumerate(window) if token == MASK]
        mask = min(left, key=rank.__getitem__)
        token = int(row(joint, window, mask).argmax())
        window = written(window, moves.get(step, mask), token)
    return window


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.slow
def test_greedy_texts_lose_exactly_what_enumeration_says(joint, order):
    """Text by text, from its own hits; and over all of them, the enumerated distribution."""
    runs = 600
    schedules = [Schedule(SIZE, 0, order, seed=n % 6) for n in range(runs)]
    hooks = [Intervene("shift", FRAC, n, SIZE) for n in range(runs)]
    found, clean = run(schedules, hooks), run(schedules[:6], ())
    exact = model()
    lost, probable = [], Counter()
    for n, (decoded, hook) in enumerate(zip(found, hooks, strict=True)):
        rank = list(range(SIZE))
        if order == "random":
            random.Random(n % 6).shuffle(rank)
        assert decoded.tokens == replayed(joint, hook.changes, rank)
        assert clean[n % 6].tokens == replayed(joint, (), rank)
        fall = math.log(joint[clean[n % 6].tokens]) - math.log(joint[decoded.tokens])
        ours = exact.log_likelihood(clean[n % 6].at(9)) - exact.log_likelihood(decoded.at(9))
        assert ours == pytest.approx(fall, abs=1e-9)
        lost.append(fall)
        for hits, share in hit_sets(FRAC) if n < 6 else ():
            for final, p in finals(joint, (MASK,) * SIZE, rank, hits, greedy=True).items():
                probable[final] += share * p
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
    hooks = [Intervene("replace", 1.0, n, 1, never) for n in range(RUNS)]
    found = run(schedules, hooks, size=1)
    counts = np.bincount([decoded.tokens[0] for decoded in found], minlength=4)
    assert not counts[shares == 0].any()
    possible = shares > 0
    assert stats.chisquare(counts[possible], RUNS * shares[possible]).pvalue > 1e-3
    for decoded, hook in zip(found, hooks, strict=True):
        (change,) = hook.changes
        assert (change.written, change.to, change.mask) == (decoded.tokens[0], 0, 0)
        assert decoded.candidates == (change.token,), "what was predicted is kept beside"
    if not temperature:
        assert all(hook.changes[0].done for hook in hooks)


def test_replace_asks_for_other_tokens_only_where_one_is_hit():
    hook = Intervene("replace", 0.3, 5, 50)
    hit = [mask for mask in range(50) if hook.readouts(1, [mask])]
    missed = [mask for mask in range(50) if mask not in hit]
    assert len(hit) == 15
    assert hook.readouts(1, missed) == ()
    assert len(hook.readouts(1, [*missed, hit[0]])) == 1
    assert Intervene("shift", 1.0, 5, 50).readouts(1, hit) == ()


@pytest.mark.parametrize("order", ["left_to_right", "random", "low_confidence", "threshold"])
@pytest.mark.parametrize("steps", [2, 8])
@pytest.mark.slow
def test_hold_leaves_each_mask_for_a_step_once_at_most(order, steps):
    schedules = [Schedule(steps, 4, order, seed=n) for n in range(40)]
    for frac in (0.5, 1.0):
        hooks = [Intervene("hold", frac, n, 8) for n in range(40)]
        for decoded, hook in zip(run(schedules, hooks, size=8), hooks, strict=True):
            held = [change.mask for change in hook.changes]
            assert len(set(held)) == len(held)
            assert MASK not in decoded.tokens
            assert hook.offered == 8
            assert all(decoded.steps[change.mask] > change.step for change in hook.changes)
            assert hook.hits == len(held) == 8 * frac


def step(chosen, masked):
    logprobs = dict.fromkeys(chosen, -1.0)
    return Step(1, chosen, logprobs, frozenset(masked), tuple(masked), Answer())


def test_a_token_moves_only_where_a_free_mask_is():
    """Never onto text, out of the window, onto one of the same step, or onto another moved one."""
    sides = set()
    for seed in range(60):
        hook = Intervene("shift", 1.0, seed, 9)
        assert hook.write(step({0: 7}, {0})) == {0: 7}
        assert hook.write(step({3: 7, 4: 8}, {3, 4})) == {3: 7, 4: 8}
        assert not hook.changes
        assert hook.write(step({5: 9}, {5, 6})) == {6: 9}, "the side that is free"
        assert hook.write(step({8: 9}, {7, 8})) == {7: 9}
        hook = Intervene("shift", 1.0, seed, 9)
        both = hook.write(step({1: 7, 3: 8}, {1, 2, 3}))
        assert len(both) == 2
        assert sorted(both.values()) == [7, 8]
        sides.add(tuple(sorted(both.items())))
        assert len(hook.changes) == 1
    assert sides == {((2, 7), (3, 8))}, "one may have the place"
    coins = Counter()
    for seed in range(400):
        hook = Intervene("shift", 1.0, seed, 9)
        coins[next(iter(hook.write(step({4: 7}, {3, 4, 5}))))] += 1
    assert coins.keys() == {3, 5}
    assert abs(coins[3] - 200) < 40, "a fair coin where both are free"


def test_others_stand_in_for_what_can_not_be_moved():
    """Place 4 is hit and enclosed: the next token with a free side is moved, and no other."""
    seed = next(n for n in range(99) if Intervene("shift", 0.1, n, 10)._hit == {4})
    hook = Intervene("shift", 0.1, seed, 10)
    assert hook.write(step({0: 7}, {0, 1, 4, 6, 7, 8})) == {1: 7}, "from now on it can't be moved"
    assert (hook.hits, hook.late) == (1, 1)
    assert hook.write(step({7: 8}, {0, 4, 6, 7, 8})) == {7: 8}
    assert hook.write(step({4: 9}, {0, 4, 6, 8})) == {4: 9}
    assert (hook.hits, len(hook.changes)) == (1, 1)


def test_a_larger_fraction_hits_what_a_smaller_one_hits():
    for seed in range(20):
        drawn = [Intervene("hold", frac, seed, 87)._hit for frac in (0.0, 0.1, 0.3, 0.9, 1.0)]
        assert all(a <= b for a, b in itertools.pairwise(drawn))
        sizes = [len(places) for places in drawn]
        assert sizes[0] == 0
        assert sizes[-1] == 87
        assert all(abs(n - f * 87) < 1 for n, f in zip(sizes, (0, 0.1, 0.3, 0.9, 1), strict=True))


@simulation
def test_every_place_is_hit_as_often_as_told():
    """Small fractions of small canvases too: one place in a hundred of twenty."""
    runs = repeats(20_000)
    counts = Counter(place for n in range(runs) for place in Intervene("hold", 0.01, n, 20)._hit)
    assert abs(counts.total() - 0.2 * runs) < 4 * (0.16 * runs) ** 0.5
    assert stats.chisquare([counts[place] for place in range(20)]).pvalue > 1e-3


# ---------------------------------------------------------------------- doses

CONFIDENCES = {"noise": simulated_courses.noise, "beside text": simulated_courses.beside_text}


READ = (
    *(("left_to_right", "noise"), ("random", "noise")),
    *(("low_confidence", "noise"), ("low_confidence", "beside text")),
)
"""An order, and the confidences that it reads."""
DOSES = ((0.01, 512, 20), (0.1, 64, 100), (0.2, 64, 100))
"""A share, the canvas it is a share of, and how many canvases."""


@simulation
@pytest.mark.parametrize(
    ("read", "dose", "rate", "block"), spread(READ, DOSES, (1, 4), (16, 32, 0), every=3)
)
@pytest.mark.slow
def test_the_realised_share_is_the_asked_one(read, dose, rate, block):
    """Within a tenth, over canvases: in any order, in blocks and in one, four at a time too."""
    (order, confidences), (frac, length, count) = read, dose
    runs = repeats(count)
    hooks = [Intervene("shift", frac, n, length) for n in range(runs)]
    for n, hook in enumerate(hooks):
        schedule = Schedule(length // rate, block, order, seed=n)
        done = simulated_courses.course(schedule, length, hook, CONFIDENCES[confidences], n)
        assert len({change.to for change in hook.changes}) == len(hook.changes)
        assert all(done.tokens[change.to] == change.token for change in hook.changes)
        assert all(abs(change.to - change.mask) == 1 for change in hook.changes)
    moved = [change for hook in hooks for change in hook.changes]
    offered = sum(hook.offered for hook in hooks)
    assert offered == runs * length
    chance = 0 if WHOLE else 2 * (runs / 4) ** 0.5  # hits are rounded up or down
    # left to right, one token of four has a free side: a fifth of all is nearly all of these
    least = 0.8 if (order, rate, frac) == ("left_to_right", 4, 0.2) else 0.9
    assert least * frac * offered - chance <= len(moved) <= 1.1 * frac * offered + chance
    assert all(len(hook.changes) <= hook.hits for hook in hooks)
    right = sum(change.to > change.mask for change in moved)
    if order == "left_to_right":
        assert right == len(moved), "what stands on the left is written"
    elif confidences == "noise":
        assert abs(right / len(moved) - 0.52) < 0.1 + 2 * (0.25 / len(moved)) ** 0.5


def test_where_it_can_not_be_realised_the_rest_is_left_over():
    """Left to right, four at a time: the last of four has a free side, and no other."""
    hook = Intervene("shift", 0.6, 1, 64)
    simulated_courses.course(Schedule(16, 0, "left_to_right"), 64, hook)
    assert hook.hits in (38, 39)
    assert 13 <= len(hook.changes) <= 17
    assert len(hook.changes) + hook.late < 2 * hook.hits


def test_displaced():
    """A token takes its neighbour's place, and the neighbour is out: one place each."""
    tokens = (5, 6, 7, 8)
    assert displaced(tokens, []) == tokens
    assert displaced(tokens, [Change(1, 0, 5, 5, 1)]) == (5, 5, 7, 8)
    assert displaced(tokens, [Change(1, 3, 9, 9, 2)]) == (5, 6, 8, 8), "the text's own token"
    # a row of moves shifts the row, whichever came first
    row = [Change(1, 0, 5, 5, 1), Change(2, 1, 6, 6, 2)]
    assert displaced(tokens, row) == displaced(tokens, row[::-1]) == (5, 5, 6, 8)


@pytest.mark.parametrize("order", ["left_to_right", "random", "low_confidence"])
def test_moves_afterwards_displace_as_many_tokens_as_moves_while_decoding(order):
    """Into the same places: the doses are equal, and nothing else is touched."""
    hook = Intervene("shift", 0.2, 3, 64)
    done = simulated_courses.course(Schedule(64, 16, order, seed=3), 64, hook)
    plain = tuple(range(100, 164))
    after = displaced(plain, hook.changes)
    differ = {place for place, (a, b) in enumerate(zip(plain, after, strict=True)) if a != b}
    assert differ == {change.to for change in hook.changes}
    assert len(differ) == len(hook.changes) == 12 or len(differ) == 13
    assert all(done.tokens[change.to] == change.token for change in hook.changes)
    assert all(abs(after[place] - plain[place]) == 1 for place in differ)
