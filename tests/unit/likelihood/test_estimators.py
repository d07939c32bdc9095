"""Likelihoods against exact ones, enumeration on a broken joint, and what lm-eval cuts."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from checkpoints import write_llada, write_llama
from oracles import MASK, TOKENS, Letters, Sharpened, chain, engine, joint
from scipy.special import log_softmax
from simulations import between, repeats, simulation, tolerance

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Answer
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.greedy import is_greedy
from mdlm_probe.likelihood.items import Item, windows
from mdlm_probe.likelihood.settings import LEAST_DRAWS, Settings
from mdlm_probe.models import oracle
from mdlm_probe.models._checkpoint import Checkpoint

PROMPT = (0, 2)
TEXT = (1, 3, 0, 2, 1, 1, 3, 2, 0, 3)


def item(length, seed=0, name="q"):
    return Item(PROMPT + TEXT[:length], len(PROMPT), name, seed)


def one(asker, asked, **settings):
    (found,) = estimators.estimate(asker, [asked], Settings(**settings))
    return found


def sets_of(length):
    for count in range(1, length + 1):
        yield from itertools.combinations(range(length), count)


def sharp(rows):
    """What `Sharpened` makes of distributions, [..., tokens]."""
    rows = rows**1.5
    return rows / rows.sum(-1, keepdims=True)


def marginals(table, text, masked):
    """Of every masked place its distribution given the others, by summing a joint."""
    index = tuple(slice(None) if i in masked else slice(t, t + 1) for i, t in enumerate(text))
    part = table[index]
    return {
        i: (own := part.sum(tuple(j for j in range(len(text)) if j != i))) / own.sum()
        for i in masked
    }


def sums_by_joint(seed, length):
    """Of every masked set the sum of its tokens' log-probabilities under the broken oracle."""
    table, text = joint(seed, PROMPT, length), TEXT[:length]
    return {
        places: sum(
            np.log(sharp(row)[text[i]]) for i, row in marginals(table, text, places).items()
        )
        for places in sets_of(length)
    }


def sums_by_messages(seed, length):
    """The same, by messages along the chain: for texts whose joint is too large."""
    hmm, text, found = chain(seed), PROMPT + TEXT[:length], {}
    transition = hmm.transition.toarray()
    for places in sets_of(length):
        hidden = {len(PROMPT) + i for i in places}
        seen = [
            np.ones(len(transition)) if i in hidden else hmm.emission[:, t]
            for i, t in enumerate(text)
        ]
        before, after = [hmm.initial], [np.ones(len(transition))]
        for row in seen:
            before.append((before[-1] * row) @ transition)
        for row in reversed(seen[1:]):
            after.append(transition @ (row * after[-1]))
        after.reverse()
        found[places] = sum(
            np.log(sharp(own / own.sum())[text[i]])
            for i in hidden
            for own in [(before[i] * after[i]) @ hmm.emission]
        )
    return found


def bound(sums, length):
    """LLaDA's: over counts, the mean of L/count times the mean sum."""
    groups = [[v for s, v in sums.items() if len(s) == n] for n in range(1, length + 1)]
    return np.mean([length / n * np.mean(group) for n, group in enumerate(groups, 1)])


# ---------------------------------------------------------------------- exact


@pytest.mark.parametrize("order", ["left_to_right", "right_to_left", "best_first"])
@pytest.mark.parametrize("seed", range(3))
def test_the_chain_rule_is_exact_in_all_orders(seed, order):
    for length in (2, 5):
        exact = np.log(joint(seed, PROMPT, length)[TEXT[:length]])
        for estimator in ("exact-chain", "auto"):
            found = one(engine(seed), item(length), estimator=estimator, order=order)
            assert found.logp == pytest.approx(exact, abs=1e-5)
            assert (found.se, found.passes, found.estimator) == (0, length, "exact-chain")


@pytest.mark.parametrize("order", ["left_to_right", "right_to_left", "best_first"])
def test_the_chain_rule_is_exact_on_the_bundled_oracle(order):
    model = models.load(models.resolve("oracle"))
    ids = model.border.encode("The cat sat on the mat. The dog saw the cat.")
    first = len(ids) - 6
    exact = model.log_likelihood(ids) - model.log_likelihood(ids[:first])
    assert exact < -1
    found = one(Engine(model, batch_tokens=4096), Item(tuple(ids), first), order=order)
    assert found.logp == pytest.approx(exact, abs=1e-5)


def test_orders_differ_where_there_is_no_joint():
    found = [
        one(engine(0, Sharpened), item(5), estimator="exact-chain", order=order).logp
        for order in ("left_to_right", "right_to_left")
    ]
    assert abs(found[0] - found[1]) > 0.01


@pytest.mark.parametrize("estimator", ["auto", "exact-chain", "mc", "pseudo"])
def test_one_token_is_exact_in_one_pass(estimator):
    for seed in range(3):
        exact = np.log(joint(seed, PROMPT, 1)[TEXT[0]])
        found = one(engine(seed), item(1), estimator=estimator)
        assert found.logp == pytest.approx(exact, abs=1e-5)
        assert (found.se, found.passes) == (0, 1)


def test_pseudo_likelihood_gives_every_token_all_others():
    table = joint(1, PROMPT, 4)
    expected = sum(np.log(marginals(table, TEXT[:4], {i})[i][TEXT[i]]) for i in range(4))
    found = one(engine(1), item(4), estimator="pseudo")
    assert found.logp == pytest.approx(expected, abs=1e-5)
    assert (found.se, found.passes, found.estimator) == (0, 4, "pseudo")
    assert abs(expected - np.log(table[TEXT[:4]])) > 0.01


def test_auto_takes_the_chain_rule_up_to_the_bound():
    names = [one(engine(0), item(length), bound=3, draws=16).estimator for length in (1, 3, 4, 8)]
    assert names == ["exact", "exact-chain", "mc", "mc"]


# ---------------------------------------------------------------------- the bound


@pytest.mark.parametrize("length", range(1, 7))
def test_where_all_sets_fit_the_bound_is_exact_on_a_broken_joint(length):
    sums = sums_by_joint(2, length)
    found = one(engine(2, Sharpened), item(length), estimator="mc")
    assert found.logp == pytest.approx(bound(sums, length), abs=1e-5)
    assert (found.se, found.passes, found.estimator) == (0, 2**length - 1, "mc")
    chained = one(engine(2, Sharpened), item(length), estimator="exact-chain").logp
    assert length == 1 or abs(chained - found.logp) > 1e-3, "bound and chain differ here"


def test_messages_give_what_the_joint_gives():
    expected, found = sums_by_joint(2, 5), sums_by_messages(2, 5)
    assert found == pytest.approx(expected, abs=1e-9)


@simulation
@pytest.mark.parametrize(
    ("length", "estimator", "draws"),
    [
        *((7, "mc", 16), (8, "mc", 33), (9, "mc", 16), (10, "mc", 65)),
        *((1, "bernoulli", 16), (4, "bernoulli", 17), (7, "bernoulli", 32)),
    ],
)
def test_the_mean_over_seeds_is_the_bound(length, estimator, draws):
    expected = bound(sums_by_messages(2, length), length)
    items = [item(length, seed) for seed in range(repeats(400))]
    settings = Settings(estimator, draws=draws)
    found = estimators.estimate(engine(2, Sharpened), items, settings)
    values, errors = np.array([(e.logp, e.se) for e in found]).T
    assert values.std() > 0.01, "something is drawn"
    assert abs(values.mean() - expected) < 3 * values.std(ddof=1) / len(items) ** 0.5
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=tolerance(0.15))
    assert {e.estimator for e in found} == {estimator}
    assert max(e.passes for e in found) <= draws


# ---------------------------------------------------------------------- company, rounds, groups


@pytest.mark.parametrize(
    "settings",
    [
        Settings("mc", draws=33),
        Settings("mc", draws=64, target_se=0.05),
        Settings("bernoulli", draws=20),
        Settings(bound=4, draws=20),
    ],
    ids=str,
)
@pytest.mark.slow
def test_a_value_depends_on_its_own_seed_only(settings):
    network = engine(2, Sharpened).model
    items = [item(length, seed) for seed in (5, 6) for length in (8, 3, 9, 7)]
    alone = [one(Engine(network, batch_tokens=12), i, **_as_dict(settings)) for i in items]
    turned = estimators.estimate(Engine(network, batch_tokens=4096), items[::-1], settings)[::-1]
    for first, second in zip(alone, turned, strict=True):
        assert second.logp == pytest.approx(first.logp, abs=1e-6)
        assert replace(second, logp=0, se=0) == replace(first, logp=0, se=0)
        assert second.se == pytest.approx(first.se, abs=1e-6)
    assert alone[0].logp != alone[4].logp, "another seed, other draws"


def _as_dict(settings):
    return {name: getattr(settings, name) for name in Settings.__slots__}


def test_many_groups_are_cut_where_their_queries_are_too_many(monkeypatch):
    groups = [[item(7, seed), item(8, seed)] for seed in range(5)]
    settings, asker = Settings("mc", draws=16), engine(2, Sharpened)
    whole = estimators.rank(asker, groups, settings, [(1, 2)] * 5)
    monkeypatch.setattr(estimators, "AT_ONCE", 400)
    assert len(list(estimators._together(asker, groups, settings))) == 5
    assert estimators.rank(asker, groups, settings, [(1, 2)] * 5) == whole


@pytest.mark.slow
def test_a_precise_item_stops():
    items = [item(10, seed) for seed in range(40)]
    asker = engine(2, Sharpened)
    full = estimators.estimate(asker, items, Settings("mc", draws=128))
    target = 1.5 * np.mean([e.se for e in full])
    early = estimators.estimate(asker, items, Settings("mc", draws=128, target_se=target))
    assert {e.passes for e in full} == {127}
    assert {e.passes for e in early} <= {15, 31, 63, 127}
    assert np.mean([e.passes for e in early]) < 100
    assert all(e.se <= target for e in early if e.passes < 127)
    never = estimators.estimate(asker, items[:3], Settings("mc", draws=128, target_se=1e-9))
    assert {e.passes for e in never} == {127}


class Pairwise:
    """A masked model in which a token costs its own log-probability, and a random sum over masks.

    The first token of a text chooses the numbers; `shift` makes its first token so much likelier.
    """

    def __init__(self, length, items, gap):
        self.entry = Checkpoint("pairwise", "stub", "masked", mask_id=-1)
        self.asked = 0
        rng = np.random.default_rng(length)
        self.own = -rng.gamma(2, 1, (items, length))
        self.pairs = rng.normal(0.3, 1.2, (items, length, length)) / length
        self.pairs[:, range(length), range(length)] = 0
        counts = np.arange(1, length + 1)
        mean = self.pairs.sum((1, 2)) * ((counts - 1) / (length * (length - 1))).sum()
        goal = np.where(np.arange(items) == 0, gap, 0.0) - 2 * length
        self.own += ((goal - mean - self.own.sum(1)) / length)[:, None]

    def ask(self, queries):
        self.asked += len(queries)
        found = []
        for query in queries:
            at, places = query.ids[0], np.array(query.positions) - 1
            pairs = self.pairs[at][np.ix_(places, places)].sum(1)
            found.append(Answer({query.readouts[0]: self.own[at][places] + pairs}))
        return found


def groups_of(length, items, count):
    return [
        [Item((at, *range(100, 100 + length)), 1, "q", seed * items + at) for at in range(items)]
        for seed in range(count)
    ]


def winners(found):
    return np.array([int(np.argmax([e.logp for e in group])) for group in found])


def test_of_the_stub_the_bound_is_known():
    stub = Pairwise(6, 3, gap=0.5)
    found = estimators.estimate(stub, groups_of(6, 3, 1)[0], Settings("mc"))
    assert [e.logp for e in found] == pytest.approx([-11.5, -12, -12])


@simulation
@pytest.mark.parametrize(("length", "items"), [(8, 2), (20, 2), (12, 3)])
@pytest.mark.slow
def test_rankings_are_decided_wrongly_as_seldom_as_they_say(length, items):
    """The hardest case: nearly equal items, where each decision is right half of the time only."""
    groups = groups_of(length, items, repeats(2000))
    settings = Settings("mc", draws=32, decide=True)
    found = estimators.rank(Pairwise(length, items, gap=0.001), groups, settings)
    decided = np.array([group[0].passes < 31 for group in found])
    wrong = np.mean(decided & (winners(found) != 0))
    print(f"{length} tokens, {items} items: decided {decided.mean():.4f}, wrongly {wrong:.4f}")
    assert between(wrong, 0, 0.0015, len(groups))


@pytest.mark.slow
def test_a_sure_ranking_takes_fewer_passes_and_is_the_same():
    length, groups = 12, groups_of(12, 4, 50)
    settings = Settings("mc", draws=128)
    full = estimators.rank(Pairwise(length, 4, gap=25.0), groups, settings)
    found = estimators.rank(Pairwise(length, 4, gap=25.0), groups, replace(settings, decide=True))
    assert not winners(found).any()
    assert not winners(full).any()
    passes = [np.mean([e.passes for group in run for e in group]) for run in (full, found)]
    print(f"passes of an item: {passes[1]:.1f} instead of {passes[0]:.1f}")
    assert passes[0] == 127
    assert passes[1] < 64


def test_a_second_ranking_must_be_sure_too():
    groups = groups_of(12, 2, 10)
    settings = Settings("mc", draws=128, decide=True)

    def passes(weights):
        stub = Pairwise(12, 2, gap=20.0)  # -4 against -24
        return {
            e.passes for group in estimators.rank(stub, groups, settings, weights) for e in group
        }

    assert max(passes([(1, 1)] * 10)) < 127
    assert passes([(1, 6)] * 10) == {127}, "-4 / 1 against -24 / 6: a tie"


def test_exact_items_need_no_rounds():
    groups = [[item(2), item(3)], [item(1)]]
    asker = engine(0)
    found = estimators.rank(asker, groups, Settings(decide=True, target_se=0.1))
    assert found == [estimators.estimate(asker, group) for group in groups]
    assert [e.passes for e in found[0]] == [2, 3]
    mixed = estimators.rank(
        engine(2, Sharpened), [[item(2), item(9)]], Settings(bound=4, decide=True)
    )
    assert mixed[0][0].estimator == "exact-chain"
    assert mixed[0][1].passes < 128


# ---------------------------------------------------------------------- causal models


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return models.load(models.resolve(str(write_llama(tmp_path_factory.mktemp("llama") / "m"))))


@pytest.fixture(scope="module")
def llada(tmp_path_factory):
    return models.load(models.resolve(str(write_llada(tmp_path_factory.mktemp("llada") / "m"))))


@torch.inference_mode()
def logits_of(model, ids):
    return model.network(torch.tensor([ids])).logits[0].double().numpy()


def test_causal_models_have_the_full_softmax(llama):
    items = [Item((5, 60, 7, 200, 12, 9, 33)[:n], first) for n, first in ((7, 3), (5, 1), (7, 6))]
    for settings in (Settings(), Settings("mc", target_se=0.1, decide=True)):
        found = estimators.estimate(Engine(llama, batch_tokens=16), items, settings)
        for estimate, asked in zip(found, items, strict=True):
            rows = log_softmax(logits_of(llama, asked.ids), -1)
            own = [rows[i - 1, asked.ids[i]] for i in range(asked.first, len(asked.ids))]
            assert estimate.logp == pytest.approx(sum(own), abs=1e-4)
            assert (estimate.se, estimate.passes, estimate.estimator) == (0, 1, "causal")


@pytest.mark.parametrize("seed", range(3))
def test_a_causal_oracle_gives_the_joint(seed):
    entry = Checkpoint("oracle", "oracle", "causal", context=64)
    letters = Letters(entry)
    model = oracle.Oracle(entry, letters, chain(seed), range(TOKENS), TOKENS, smoothing=0.0)
    (group,) = estimators.rank(Engine(model, batch_tokens=64), [[item(3), item(5)]])
    expected = [np.log(joint(seed, PROMPT, n)[TEXT[:n]]) for n in (3, 5)]
    assert [e.logp for e in group] == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------------- greedy


def greedy(model, context, length):
    """What full logits write from left to right, one token a pass."""
    mask, ids = model.entry.mask_id, list(context)
    for left in range(length, 0, -1):
        row = logits_of(model, ids + [mask] * left if mask is not None else ids)
        row = row[len(ids) if mask is not None else -1]
        if mask is not None:
            row[mask] = -math.inf
        ids.append(int(row.argmax()))
    return ids[len(context) :]


@pytest.mark.parametrize("kind", ["llada", "llama"])
def test_greedy_is_what_decoding_writes(kind, request):
    model = request.getfixturevalue(kind)
    context, length = (5, 60, 7, 200), 4
    written = greedy(model, context, length)
    items = [Item((*context, *written[:n]), 4) for n in (1, length)]
    for at in range(length):
        changed = list(written)
        changed[at] = (changed[at] + 1) % 200
        items.append(Item((*context, *changed), 4))
    # a masked model that writes one token sees one mask, not four
    expected = [tuple(greedy(model, context, n)) == tuple(written[:n]) for n in (1, length)]
    assert expected[-1]
    found = is_greedy(Engine(model, batch_tokens=64), items)
    assert found == expected + [False] * length


# ---------------------------------------------------------------------- documents


@pytest.mark.parametrize("longest", [2, 3, 8, 17])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 14, 15, 40])
def test_windows_are_those_of_lm_eval_and_cover_every_token_once(count, longest):
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    ids = list(range(100, 100 + count))
    found = windows(ids, 7, longest)
    pairs = map(make_disjoint_window, get_rolling_token_windows(ids, 7, longest - 1, 1))
    assert [([*i.ids[: i.first]], [*i.tokens]) for i in found] == [(a, b) for a, b in pairs]
    assert [token for i in found for token in i.tokens] == ids
    assert all(len(i.ids) <= longest for i in found)


def test_a_windowed_document_has_the_likelihood_of_its_parts():
    ids = TEXT
    found = estimators.estimate(engine(0), windows(ids, 3, 5), Settings())
    expected = [(3, *ids[:4]), ids[3:8], ids[5:10]]
    parts = [
        one(engine(0), Item(part, first)).logp
        for part, first in zip(expected, (1, 1, 3), strict=True)
    ]
    assert [e.logp for e in found] == pytest.approx(parts, abs=1e-6)


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(draws=0), "--draws has 0\nexpected: 1 or more"),
        (Settings("mc", draws=4), "--draws has 4, and sets of the 3 tokens of q are drawn"),
        (Settings(bound=0), "--bound has 0\nexpected: 1 or more"),
        (Settings(target_se=-1.0), "--target-se has -1"),
        (Settings(target_se=math.nan), "--target-se has nan"),
        (Settings(target_se=math.inf), "--target-se has inf"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ProbeError, match=message):
        estimators.estimate(engine(0), [item(3)], settings)


def test_the_fewest_draws_tell_a_standard_error():
    found = one(engine(2, Sharpened), item(8), estimator="mc", draws=LEAST_DRAWS)
    assert 0 < found.se < math.inf


def test_an_empty_continuation_is_refused_by_name(llama):
    for asker in (engine(0), Engine(llama, batch_tokens=64)):
        with pytest.raises(ProbeError, match="the continuation of question 4 is empty"):
            estimators.estimate(asker, [item(2), Item(PROMPT, 2, "question 4")])


def test_more_than_the_context_is_refused_by_name(llama):
    for asker, context in ((engine(0), 64), (Engine(llama, batch_tokens=64), 128)):
        long = Item((1,) * (context + 2), context - 4, "question 5")
        with pytest.raises(ProbeError, match=f"question 5\nexpected: at most {context}"):
            estimators.estimate(asker, [item(2), long])


def test_the_last_token_of_a_causal_models_text_need_not_fit(llama):
    found = one(Engine(llama, batch_tokens=64), Item((1,) * 129, 125))
    assert found.logp < 0


def test_a_window_that_holds_no_token_is_refused():
    with pytest.raises(ProbeError, match="a window has 1 tokens"):
        windows([1, 2, 3], 0, 1)


def test_items_that_share_a_canvas_but_begin_elsewhere():
    """Their queries are one pass; each reads its own tokens."""
    asker = engine(0)
    items = [Item((0, 2, MASK, 1), 3), Item((0, 2, 3, 1), 2)]
    together = estimators.estimate(asker, items, Settings("mc"))
    alone = [estimators.estimate(asker, [item], Settings("mc"))[0] for item in items]
    assert [e.logp for e in together] == pytest.approx([e.logp for e in alone], abs=1e-6)
