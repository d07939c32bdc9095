"""Couplings against closed forms from the chain's matrices; bounds hold; broken joints show."""

import numpy as np
import pytest
from oracles import MASK, TOKENS, Deaf, Sharpened, chain, engine, joint

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine import multi_step
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.joint import pairs_of_masks
from mdlm_probe.probes.joint.coupling import Coupling
from mdlm_probe.probes.joint.pairs_of_masks import Window
from mdlm_probe.prompts.prompt import Text

PROMPT = (0, 2)
FIELDS = ("mi", "tv_joint", "unlikely", "unlikely_sequential")


def canvas(length: int) -> Canvas:
    places = tuple(range(len(PROMPT), len(PROMPT) + length))
    return Canvas(PROMPT + (MASK,) * length, places, "c")


def met(asker, first, second, top=TOKENS, length=4):
    (found,) = multi_step.run(asker, [pairs_of_masks.couple(canvas(length), first, second, top)])
    return found


def pair_table(seed: int, first: int, second: int) -> np.ndarray:
    """p(x_i, x_j | prompt) from the chain's matrices: what lies between is summed out."""
    hmm = chain(seed)
    step, state = hmm.transition.toarray(), hmm.initial
    for token in PROMPT:
        state = (state * hmm.emission[:, token]) @ step
    state = state / state.sum() @ np.linalg.matrix_power(step, first)
    onward = np.linalg.matrix_power(step, second - first) @ hmm.emission
    return np.einsum("s,sa,sb->ab", state, hmm.emission, onward)


def exact(table: np.ndarray, eps: float) -> dict[str, float]:
    apart = np.outer(table.sum(1), table.sum(0))
    return {
        "mi": float((table * np.log(table / apart)).sum()),
        "tv_joint": float(0.5 * np.abs(table - apart).sum()),
        "unlikely": float(apart[table < eps].sum()),
        "unlikely_sequential": float(table[table < eps].sum()),
    }


def found_of(coupling, eps: float) -> dict[str, float]:
    return coupling.divergences() | coupling.unlikely(eps)


def test_the_closed_form_is_the_joints():
    assert pair_table(0, 1, 3) == pytest.approx(joint(0, PROMPT, 4).sum((0, 2)))


@pytest.mark.parametrize("places", [(0, 1), (0, 3), (2, 3)])
@pytest.mark.parametrize("seed", range(4))
def test_all_candidates_give_the_closed_form(seed, places):
    found = found_of(met(engine(seed), *places).coupling, 0.03)
    for name, value in exact(pair_table(seed, *places), 0.03).items():
        assert found[name] == pytest.approx(value, abs=1e-5)
        assert found[f"{name}_bound"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("top", [1, 2, 3])
def test_few_candidates_give_a_lower_end_and_how_much_is_missing(top):
    missing = dict.fromkeys(FIELDS, 0.0)
    for seed in range(12):
        for eps in (0.01, 0.05, 0.2):
            found = found_of(met(engine(seed), 0, 1, top).coupling, eps)
            for name, value in exact(pair_table(seed, 0, 1), eps).items():
                most = found[name] + found[f"{name}_bound"]
                assert found[name] - 1e-5 <= value <= most + 1e-5, (seed, eps, name)
                missing[name] = max(missing[name], value - found[name])
    assert min(missing.values()) > 1e-3, "a bound of nothing would be no test"


def coupling_of(table: np.ndarray, base: np.ndarray, firsts: int, seconds: int) -> Coupling:
    """A coupling of p(a) p(b | a) by its top candidates, beside any marginal `base` of j."""
    p = table.sum(1)
    ids = np.argsort(-p)[:firsts]
    given = table[ids] / p[ids, None]
    after = np.argsort(-given, axis=1)[:, :seconds]
    tops = np.take_along_axis(given, after, 1)
    with np.errstate(divide="ignore"):
        logs = (np.log(part) for part in (p[ids], tops, base[after]))
        first, after_logs, before = logs
    return Coupling(first, (entropy_of(p), entropy_of(base)), after_logs, before)


def entropy_of(p: np.ndarray) -> float:
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def test_what_the_bounds_are_made_of():
    """Each part of a bound is all that is missing somewhere."""
    same = np.eye(4) / 4  # x_j is x_i: half of it is left out with half of the candidates
    found = coupling_of(same, same.sum(0), 2, 4).divergences()
    assert (found["tv_joint"], found["tv_joint_bound"]) == pytest.approx((0.375, 0.5))
    assert (found["mi"], found["mi_bound"]) == pytest.approx((np.log(4) / 2, np.log(4) / 2))
    # both a have b = 0 in common, and each its own other: that is in the lump
    split = np.array([[0.3, 0.2, 0.0], [0.3, 0.0, 0.2]])
    found = coupling_of(split, split.sum(0), 2, 1).divergences()
    assert (found["mi"], found["tv_joint"]) == pytest.approx((0, 0), abs=1e-12)
    assert found["mi_bound"] == pytest.approx(0.4 * np.log(2))
    assert found["tv_joint_bound"] == pytest.approx(0.4)
    # no joint has this marginal: all of the lump is wrong
    found = coupling_of(split[:1] * 2, np.array([0.6, 0.0, 0.4]), 1, 1).divergences()
    assert (found["tv_joint"], found["tv_joint_bound"]) == pytest.approx((0, 0.4))


@pytest.mark.parametrize("side", [0, 1])
def test_neither_place_tells_more_than_its_entropy(side):
    """One place is the half of 64 tokens that the other is in: MI is its entropy."""
    table = np.zeros((64, 2))
    table[:32, 0], table[32:, 1] = 0.9 / 32, 0.1 / 32
    value = exact(table + 1e-300, 1.0)["mi"]
    assert value == pytest.approx(entropy_of(np.array([0.9, 0.1])))
    table = table.T if side else table
    found = coupling_of(table, table.sum(0), *((1, 8) if side else (8, 1))).divergences()
    assert found["mi"] + found["mi_bound"] == pytest.approx(value, abs=1e-6)
    if not side:  # which of 64 it is would have made this more than 2
        assert found["mi_bound"] < 0.35


@pytest.mark.parametrize("seed", range(6))
def test_a_model_reads_out_both_entropies(seed):
    table = pair_table(seed, 0, 2)
    coupling = met(engine(seed), 0, 2, 1).coupling
    entropies = [entropy_of(table.sum(1)), entropy_of(table.sum(0))]
    assert coupling.entropies == pytest.approx(entropies, abs=1e-5)
    found = coupling.divergences()
    assert found["mi"] + found["mi_bound"] <= min(entropies) + 1e-5
    assert exact(table, 1.0)["mi"] <= found["mi"] + found["mi_bound"] + 1e-5


@pytest.mark.parametrize("seed", range(30))
def test_bounds_hold_for_any_joint_and_candidates(seed):
    rng = np.random.default_rng(seed)
    table = rng.random((8, 9)) ** rng.integers(1, 12)
    table /= table.sum()
    eps = float(rng.choice(table.ravel()))
    firsts, seconds = rng.integers(1, 9), rng.integers(1, 10)
    found = found_of(coupling_of(table, table.sum(0), firsts, seconds), eps)
    for name, value in exact(table, eps).items():
        assert found[name] - 2e-6 <= value <= found[name] + found[f"{name}_bound"] + 2e-6


@pytest.mark.parametrize("seed", range(10))
def test_the_bound_of_total_variation_needs_no_joint(seed):
    rng = np.random.default_rng(seed)
    table, base = (rng.random(shape) ** 6 for shape in ((8, 9), 9))
    table, base = table / table.sum(), base / base.sum()
    p = table.sum(1, keepdims=True)
    value = 0.5 * np.abs(table - p * base).sum()
    found = coupling_of(table, base, 4, 3).divergences()
    assert found["tv_joint"] - 1e-9 <= value <= found["tv_joint"] + found["tv_joint_bound"] + 1e-9


def test_likely_pairs_are_known_though_candidates_are_few():
    """Pairs as likely as a large eps are among the candidates: nothing is left to bound."""
    for seed in range(6):
        found = met(engine(seed), 0, 1, 3).coupling.unlikely(0.4)
        assert found["unlikely_bound"] == found["unlikely_sequential_bound"] == 0


# ---------------------------------------------------------------------- circulation


@pytest.mark.parametrize(("broken", "least"), [(None, 0), (Sharpened, 0.01), (Deaf, 0.05)])
def test_a_broken_joint_circulates_and_a_sound_one_does_not(broken, least):
    for seed in range(4):
        turns = [
            pairs_of_masks.circulate(canvas(4), i, j, (a, b))
            for i, j in ((0, 1), (1, 2))
            for a in range(TOKENS)
            for b in range(TOKENS)
        ]
        found = np.abs(multi_step.run(engine(seed, broken), turns))
        assert np.mean(found) > least if broken else max(found) < 1e-5


def test_circulation_is_right_to_left_minus_left_to_right():
    asker = engine(2, Sharpened)
    text = (1, 3)
    left, right, (turn,) = (
        multi_step.run(asker, [work])
        for work in (
            chain_rule.score(canvas(2), text, (0, 1)),
            chain_rule.score(canvas(2), text, (1, 0)),
            pairs_of_masks.circulate(canvas(2), 0, 1, text),
        )
    )
    assert turn == pytest.approx(right[0].sum() - left[0].sum(), abs=1e-6)
    assert abs(turn) > 1e-3


# ---------------------------------------------------------------------- windows


def swept(asker, text, **options):
    usual = {"masks": 6, "canvas": "appended", "outcome": "top", "gaps": (1, 3)}
    window = Window(**{**usual, "anchors": 2, "top": 4, "eps": 0.01, **options})
    (rows,) = multi_step.run(asker, [pairs_of_masks.sweep(asker, text, window, "c")])
    return rows


def test_pairs_are_spread_over_the_window():
    rows = swept(engine(0), Text("t", "t", "ac"))
    assert [(row["masks_before"], row["pair_distance"]) for row in rows] == [
        (0, 1),
        (0, 3),
        (2, 1),
        (2, 3),
    ]
    for row in rows:
        table = pair_table(0, row["masks_before"], row["masks_before"] + row["pair_distance"])
        assert row["mi"] == pytest.approx(exact(table, 1.0)["mi"], abs=1e-5)
        most = np.unravel_index([table.sum(1).argmax()], TOKENS), [table.sum(0).argmax()]
        assert (row["token_first"], row["token_second"]) == ((most[0][0][0],), (most[1][0],))


def test_holes_show_the_rest_of_the_continuation():
    text = Text("t", "t", "ac", "bdbaca")
    (row,) = swept(engine(0), text, canvas="holes", gaps=(2,), anchors=1)
    table = joint(0, PROMPT, 6)[:, 3, :, 0, 2, 0]
    assert row["mi"] == pytest.approx(exact(table / table.sum(), 1.0)["mi"], abs=1e-5)


def test_the_texts_own_tokens_can_be_asked():
    text = Text("t", "t", "ac", "bdbaca")
    rows = swept(engine(0, Sharpened), text, outcome="true", anchors=1)
    assert [row["token_first"] for row in rows] == [(1,), (1,)]
    assert [row["token_second"] for row in rows] == [(3,), (0,)]
    turn = pairs_of_masks.circulate(canvas(6), 0, 3, (1, 0))
    assert multi_step.run(engine(0, Sharpened), [turn]) == pytest.approx([rows[1]["circulation"]])


@pytest.mark.parametrize("how", [{"canvas": "holes"}, {"outcome": "true"}])
def test_gaps_beyond_a_short_continuation_are_dropped(how):
    rows = swept(engine(0), Text("t", "t", "ac", "bdb"), **how)
    assert [(row["masks_before"], row["pair_distance"]) for row in rows] == [(0, 1), (1, 1)]


def test_a_continuation_without_room_for_any_gap_is_named():
    message = r"prompt 'short' has 3 tokens: --spacing has no less than 3\n.*at most 2\nhint: --sp"
    with pytest.raises(ProbeError, match=message):
        swept(engine(0), Text("short", "t", "ac", "bdb"), canvas="holes", gaps=(3, 5))
