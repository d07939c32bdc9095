"""Total correlation against brute force, by hand-made rows, and what is refused."""

import numpy as np
import oracles
import pandas as pd
import pytest
import scipy.stats

from mdlm_probe import models
from mdlm_probe.analysis import stats
from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.probes.joint import report, total_tables
from mdlm_probe.probes.joint.coordinates import Cell
from mdlm_probe.probes.joint.total_correlation import draw
from mdlm_probe.prompts.prompt import Text

SEED, PROMPT, LENGTH, DRAWS = 33, "cb", 4, 250
ALONE = {"lexicon": "small", "limit": 1, "measure": ("total",), "length": 4, "draws": 3}


# ---------------------------------------------------------------------- brute force


def entropy(p):
    p = p[p > 0]
    return -float((p * np.log(p)).sum())


@pytest.fixture(scope="module")
def exact():
    """p(four tokens | prompt), by the chain's matrices."""
    return oracles.joint(SEED, tuple("abcd".index(letter) for letter in PROMPT), LENGTH)


def drawn(order, seeds):
    engine = oracles.engine(SEED)
    text = Text("t", "task", PROMPT, "", "")
    found = multi_step.run(engine, [draw(engine, text, LENGTH, order, n, "n") for n in seeds])
    return pd.DataFrame([row for rows in found for row in rows])


@pytest.fixture(scope="module")
def chain_draws():
    return drawn("left_to_right", range(DRAWS))


def test_entropies_alone_are_the_marginals(chain_draws, exact):
    for n, rows in chain_draws.groupby("together"):
        alone = sum(
            entropy(exact.sum(tuple(i for i in range(LENGTH) if i != place))) for place in range(n)
        )
        assert rows["entropy_parallel"].to_numpy() == pytest.approx(alone, abs=1e-5)


def test_the_chains_entropy_is_the_joints(chain_draws, exact):
    for n, rows in chain_draws.groupby("together"):
        whole = entropy(exact.sum(tuple(range(n, LENGTH))).ravel())
        assert 0 < whole < rows["entropy_parallel"].iloc[0] + 1e-5
        for column, sign in (("entropy_sequential", 1), ("logp_sequential", -1)):
            error = rows[column].std() / np.sqrt(len(rows))
            assert sign * rows[column].mean() == pytest.approx(whole, abs=4 * error + 1e-5)


def test_the_total_correlation_is_the_divergence_from_the_marginals(chain_draws, exact):
    """KL(joint || product), which the draws' own loss has for its mean, too."""
    marginals = [exact.sum(tuple(i for i in range(4) if i != place)) for place in range(4)]
    product = np.einsum("a,b,c,d->abcd", *marginals)
    divergence = float((exact * np.log(exact / product)).sum())
    assert divergence > 0.05
    rows = total_tables.per_draw(chain_draws)
    rows = rows[rows["together"] == 4]
    for column in ("total_correlation", "draw_loss"):
        error = rows[column].std() / np.sqrt(DRAWS)
        assert rows[column].mean() == pytest.approx(divergence, abs=4 * error)
        assert error < divergence / 4, "else any value would do"


def test_entropies_vary_less_than_the_log_likelihoods_that_they_stand_for(chain_draws):
    whole = chain_draws[chain_draws["together"] == LENGTH]
    assert whole["entropy_sequential"].var() < whole["logp_sequential"].var() / 2


def test_draws_are_the_joints(chain_draws, exact):
    """The first token of a chain is drawn from its marginal: log-probabilities come as often."""
    seen = chain_draws[chain_draws["together"] == 1]["logp_sequential"]
    first = exact.sum((1, 2, 3))
    for p in first[first > 0.02]:
        count = (seen.sub(np.log(p)).abs() < 1e-5).sum()
        assert count / DRAWS == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / DRAWS))


@pytest.mark.slow
def test_one_joint_has_one_total_correlation_in_any_order(exact):
    rows = drawn("random", range(DRAWS))
    rows = total_tables.per_draw(rows[rows["together"] == LENGTH])
    alone = sum(entropy(exact.sum(tuple(i for i in range(4) if i != n))) for n in range(4))
    error = rows["total_correlation"].std() / np.sqrt(DRAWS)
    exactly = alone - entropy(exact.ravel())
    assert rows["total_correlation"].mean() == pytest.approx(exactly, abs=4 * error)


def test_one_mask_alone_loses_nothing(chain_draws):
    first = total_tables.per_draw(chain_draws[chain_draws["together"] == 1])
    assert (first[["total_correlation", "draw_loss"]] == 0).all(axis=None)


def test_a_row_does_not_depend_on_its_company():
    together = drawn("random", range(6))
    alone = pd.concat([drawn("random", [n]) for n in range(6)], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone, rtol=1e-5, atol=1e-6)


# ---------------------------------------------------------------------- the probe


def test_a_draw_has_a_cell_and_its_seed_a_draw():
    cells = list(joint.plan(**ALONE, tasks=("prose",), seed=5))
    assert [(c.reveal_order, c.seed) for c in cells] == [
        (order, seed) for order in ("left_to_right", "random") for seed in (5, 6, 7)
    ]
    assert {c.masks for c in cells} == {4}
    more = joint.plan(**ALONE | {"draws": 5}, tasks=("prose",), seed=5)
    assert {*cells} < {*more}, "more draws are these and others"


def test_new_options_changed_no_seed():
    """Cells of before have the keys that their random numbers were drawn by."""
    cell = Cell("orders", "decay", "small", "prose", "p", 32, reveal_order="random-1")
    known = (
        '{"anchors":0,"at_once":0,"canvas":"none","eps":0.0,"lexicon":"small","masks":32,'
        '"measure":"orders","order":"random-1","outcome":"none","prompt":"p","seed":0,'
        '"source":"decay","spacing":"none","task":"prose","top":0}'
    )
    assert key(cell) == known


def test_later_masks_change_nothing_of_the_oracle():
    """Its marginals don't look at appended masks, and its draws are the same ones."""
    engine = oracles.engine(SEED)
    text = Text("t", "task", PROMPT, "", "")
    short, long = multi_step.run(
        engine, [draw(engine, text, n, "left_to_right", 1, "n") for n in (2, 4)]
    )
    for row, other in zip(short, long, strict=False):
        assert row == pytest.approx(other, abs=1e-5)


def test_a_block_is_measured_as_by_bidirectional_attention():
    """Within its first block, `oracle-block` sees all that the oracle does."""
    cells = list(joint.plan(**ALONE, tasks=("prose",), draw_order=("random",)))
    found = []
    for name in ("oracle", "oracle-block"):
        engine = Engine(models.load(models.resolve(name)), batch_tokens=8192)
        found.append([row for _, part in joint.measure(engine, cells) for row in part["total"]])
    for row, other in zip(*found, strict=True):
        assert row == pytest.approx(other, abs=1e-4)
    (beyond, *_) = joint.plan(**ALONE | {"length": 5})
    assert "beyond a block of 4" in joint.refuse(beyond, models.resolve("oracle-block"))


def test_a_dry_run_counts_every_draw():
    cells = joint.plan(**ALONE | {"limit": 2}, tasks=("prose",))
    entry = models.resolve("oracle")
    engine = Engine(models.load(entry), batch_tokens=8192)
    for _ in joint.measure(engine, cells):
        pass
    counter = DryRun(entry, models.load_border(entry))
    for _ in joint.measure(counter, cells):
        pass
    assert sum(counter.lengths) == pytest.approx(engine.tokens, rel=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 0}, "--draws has 0"),
        ({"length": 0}, "--length has 0"),
        ({"budget_eps": 0.0}, "--budget-eps has 0"),
        ({"draw_order": ("random", "random")}, "--draw-order names a value twice"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        joint.plan(**ALONE | options)


# ---------------------------------------------------------------------- tables


def rows_of(values, task="a", model="m", eps=0.1, loss=None):
    """Draws by text and n; `values[text, n]` are their total correlations in nats."""
    found = []
    for (prompt, n), draws in values.items():
        for seed, nats in enumerate(draws):
            lost = nats if loss is None else loss[prompt, n][seed]
            found.append(
                {"model": model, "task": task, "prompt": prompt, "reveal_order": "left_to_right"}
                | {"budget_eps": eps, "seed": seed, "together": n}
                | {"entropy_parallel": 9.0, "entropy_sequential": 9.0 - nats}
                | {"logp_parallel": -9.0 - lost, "logp_sequential": -9.0}
            )
    return pd.DataFrame(found)


def test_draws_are_averaged_before_texts():
    """Four draws of one text count as much as two of another."""
    (line,) = total_tables.total(
        rows_of({("p", 2): [1, 1, 2, 2], ("q", 2): [3, 5], ("r", 2): [0, 1]})
    ).to_dict("records")
    texts = np.array([1.5, 4.0, 0.5])
    expected = stats.mean(texts)
    assert line["total_correlation"] == pytest.approx(2.0)
    assert line["total_per_token"] == pytest.approx(1.0)
    assert line["total_correlation_low"] == pytest.approx(expected.low)
    assert line["total_per_token_high"] == pytest.approx(expected.high / 2)
    assert (line["n"], line["draws"]) == (3, 2)
    own = np.array([1 / 3 / 4, 2.0 / 2, 0.5 / 2])
    assert line["sampling_se"] == pytest.approx(np.sqrt(own.sum()) / 3)
    assert line["sampling_share"] == pytest.approx(own.mean() / texts.var(ddof=1))


def test_the_share_of_sampling_is_that_of_simulated_texts():
    """Texts of variance 1, eight draws each of variance 4: a third of the spread is the draws'."""
    rng = np.random.default_rng(0)
    values = {(f"p{n}", 2): rng.normal(rng.normal(5), 2, size=8).tolist() for n in range(1500)}
    (line,) = total_tables.total(rows_of(values)).to_dict("records")
    assert line["sampling_share"] == pytest.approx(0.5 / 1.5, abs=0.03)
    assert line["sampling_se"] == pytest.approx(np.sqrt(0.5 / 1500), rel=0.05)


def test_one_draw_has_no_standard_error_and_equal_texts_no_share():
    (line,) = total_tables.total(rows_of({("p", 2): [1.0], ("q", 2): [2.0]})).to_dict("records")
    assert np.isnan(line["sampling_se"])
    assert np.isnan(line["sampling_share"])
    (line,) = total_tables.total(rows_of({("p", 2): [1, 3], ("q", 2): [1, 3]})).to_dict("records")
    assert line["sampling_se"] == pytest.approx(np.sqrt(2 / 2 / 2))
    assert np.isnan(line["sampling_share"])


def test_the_bound_is_the_largest_n_under_eps_and_all_below():
    nats = {1: 0.0, 2: 0.1, 4: 0.2, 8: 2.4, 16: 0.8}  # 0 .05 .05 .3 .05 a token
    values = {(f"p{i}", n): [v + 1e-3 * i] * 2 for i in range(5) for n, v in nats.items()}
    loss = {(f"p{i}", n): [n * (0.05 if n < 4 else 0.2)] * 2 for i in range(5) for n in nats}
    (line,) = total_tables.total_bound(rows_of(values, loss=loss)).to_dict("records")
    assert (line["supported"], line["by_mean"]) == (4, 4)
    assert (line["draws_supported"], line["draws_by_mean"]) == (2, 2)
    assert (line["budget_eps"], line["n"]) == (0.1, 5)


def budget_of(drops, task="a"):
    """`drops[text]`: nats lost of 10 tokens by steps of 2."""
    return pd.DataFrame(
        [
            {"model": "m", "task": task, "prompt": prompt, "at_once": n, "text_tokens": 10}
            | {"logp": -20.0 - (lost if n == 2 else 0.0)}
            for prompt, lost in drops.items()
            for n in (1, 2)
        ]
    )


def test_the_correlation_with_the_budget_is_pearsons_within_tasks():
    rng = np.random.default_rng(1)
    x, noise = rng.normal(size=(2, 8))
    y = 10 * (0.6 * x + noise)
    one, two = ([f"{task}{i}" for i in range(8)] for task in "ab")
    frame = pd.concat(
        [
            rows_of({(p, 2): [v, v + 0.2] for p, v in zip(one, x, strict=True)}),
            # the other task loses much more by either measure, and the other way round
            rows_of({(p, 2): [90 - v] * 2 for p, v in zip(two, x, strict=True)}, task="b"),
        ]
    )
    budget = pd.concat(
        [
            budget_of(dict(zip(one, y, strict=True))),
            budget_of(dict(zip(two, 900 + y, strict=True)), task="b"),
        ]
    )
    table = total_tables.total_budget(frame, budget).set_index("task")["correlation"]
    r = np.corrcoef(x, y)[0, 1]
    assert r > 0.2
    assert table["a"] == pytest.approx(r)
    assert table["b"] == pytest.approx(-r)
    assert table["all"] == pytest.approx(0, abs=1e-9), "tasks apart are no correlation of texts"
    assert total_tables.total_budget(frame, budget[:0]).empty


def test_means_taken_out_cost_their_degrees_of_freedom():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 1, 12))
    plain, taken = stats.correlation(x, y), stats.correlation(x, y, taken=3)
    assert taken.mean == plain.mean
    reach = 1.959964 / np.sqrt(12 - 3 - 3)
    assert np.arctanh(taken.high) - np.arctanh(taken.mean) == pytest.approx(reach)
    t = taken.mean * np.sqrt((12 - 2 - 3) / (1 - taken.mean**2))
    assert taken.p == pytest.approx(2 * scipy.stats.t.sf(abs(t), 7))
    assert np.isnan(stats.correlation(x[:, :4], y[:, :4], taken=2).mean)


def test_a_model_without_one_joint_is_told():
    values = {(f"p{i}", 2): [1.0 + 0.1 * i] * 2 for i in range(5)}
    sound = rows_of(values)
    kinds = {kind.name: pd.DataFrame() for kind in joint.OBSERVATIONS}
    kinds["sets"] = pd.DataFrame(columns=["model", *report.INCOHERENT, *report.MASSES])
    assert report.notes(kinds | {"total": sound}) == []
    loss = {name: [v + 0.5 for v in draws] for name, draws in values.items()}
    loss["p0", 2] = [1.52, 1.52]
    (said,) = report.notes(kinds | {"total": rows_of(values, loss=loss)})
    assert said.startswith("m has no one joint (left_to_right, 2 masks)")
    assert "+0.25" in said
