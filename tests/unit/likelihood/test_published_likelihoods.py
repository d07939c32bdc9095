"""What published harnesses compute, literally: guidance, the mask's logit, greedy, Dream's sets."""

import itertools
import math

import numpy as np
import pytest
import torch
from checkpoints import write_llada
from oracles import Sharpened, engine

from mdlm_probe import models
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.greedy import is_greedy
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.mask_sets import DREAM_EPS, dream
from mdlm_probe.likelihood.settings import Settings

CONTEXT, TEXT = (5, 60, 7, 200), (12, 9, 33)


@pytest.fixture(scope="module")
def llada(tmp_path_factory):
    model = models.load(models.resolve(str(write_llada(tmp_path_factory.mktemp("llada") / "m"))))
    head = model.network.get_output_embeddings()
    with torch.no_grad():  # a mask whose logit is large, so that it matters
        head.weight[model.entry.mask_id] *= -8
    return model


@torch.no_grad()
def logits_of(model, ids, first, cfg):
    """A harness's `get_logits`: with guidance the context is masked in a second pass."""
    both = [list(ids), [model.entry.mask_id] * first + list(ids[first:])]
    seeing, blind = model.network(torch.tensor(both)).logits.double()
    return seeing if not cfg else blind + (cfg + 1) * (seeing - blind)


def told(model, ids, first, masked, cfg=0.0, count_mask=True):
    """Minus the cross-entropy at every masked position."""
    shown = [model.entry.mask_id if at in masked else token for at, token in enumerate(ids)]
    logits = logits_of(model, shown, first, cfg)
    if not count_mask:
        logits[:, model.entry.mask_id] = -math.inf
    rows = logits.log_softmax(-1)
    return {at: float(rows[at, ids[at]]) for at in masked}


def found(model, item, **settings):
    (estimate,) = estimators.estimate(Engine(model, batch_tokens=64), [item], Settings(**settings))
    return estimate


@pytest.mark.parametrize("count_mask", [False, True])
@pytest.mark.parametrize("cfg", [0.0, 1.5])
def test_guidance_and_the_masks_logit_are_those_of_the_published_loop(llada, cfg, count_mask):
    item, first = Item(CONTEXT + TEXT, len(CONTEXT)), len(CONTEXT)
    how = {"cfg": cfg, "count_mask": count_mask}

    def own(masked):
        return told(llada, item.ids, first, masked, cfg, count_mask)

    def summed(masked):
        return sum(own(masked).values())

    places = range(first, first + 3)
    chain = sum(own(places[n:])[places[n]] for n in range(3))
    assert found(llada, item, **how).logp == pytest.approx(chain, abs=2e-4)
    pseudo = sum(summed({place}) for place in places)
    assert found(llada, item, estimator="pseudo", **how).logp == pytest.approx(pseudo, abs=2e-4)
    sets = [[{p} for p in places], [set(places) - {p} for p in places], [set(places)]]
    bound = np.mean([3 / n * np.mean([summed(s) for s in some]) for n, some in enumerate(sets, 1)])
    assert found(llada, item, estimator="mc", **how).logp == pytest.approx(bound, abs=2e-4)


def test_the_masks_logit_matters_here_and_an_exact_model_has_none(llada):
    item = Item(CONTEXT + TEXT, len(CONTEXT))
    values = [found(llada, item, count_mask=counts).logp for counts in (False, True)]
    assert values[1] < values[0] - 1e-3
    own = Item((0, 2, 1, 3, 0), 2)
    exact = [
        estimators.estimate(engine(0), [own], Settings(count_mask=counts))[0].logp
        for counts in (False, True)
    ]
    assert exact[0] == exact[1]


# ---------------------------------------------------------------------- greedy


def surest_first(model, first, length, cfg=0.0):
    """What LLaDA's check writes: the most confident place first, the mask never."""
    ids = [*CONTEXT, *[model.entry.mask_id] * length]
    while model.entry.mask_id in ids:
        logits = logits_of(model, ids, first, cfg)
        logits[:, model.entry.mask_id] = -math.inf
        left = [at for at, token in enumerate(ids) if token == model.entry.mask_id]
        rows = logits[left].softmax(-1)
        at = int(rows.amax(-1).argmax())
        ids[left[at]] = int(rows[at].argmax())
    return ids[first:]


@pytest.mark.parametrize("cfg", [0.0, 2.0])
def test_greedy_is_what_the_surest_first_loop_writes(llada, cfg):
    length, first = 5, len(CONTEXT)
    written = surest_first(llada, first, length, cfg)
    items = [Item((*CONTEXT, *written), first)]
    for at in range(length):
        other = [(t + 1) % 200 if n == at else t for n, t in enumerate(written)]
        items.append(Item((*CONTEXT, *other), first))
    flags = is_greedy(Engine(llada, batch_tokens=64), items, "mask", "low_confidence", cfg)
    assert flags == [True] + [False] * length


def test_the_order_of_the_greedy_check_matters():
    """Where there is no joint, another order writes another text: some are greedy in one alone."""
    asker, context = engine(1, Sharpened), (0, 2)
    texts = [
        (*context, a, b, c, d)
        for a in range(4)
        for b in range(4)
        for c in range(4)
        for d in range(4)
    ]
    items = [Item(text, 2) for text in texts]
    first, other = (
        is_greedy(asker, items, "mask", order) for order in ("left_to_right", "low_confidence")
    )
    assert (sum(first), sum(other)) == (1, 1)


# ---------------------------------------------------------------------- Dream's estimator


def test_shares_of_a_batch_are_spread_evenly():
    drawn = dream(40, 128, 3)
    sets = drawn.more(128)
    assert len(sets) == 128
    for batch in (sets[:32], sets[32:64]):
        shares = sorted(1 / (32 * one.weight) for one in batch)
        assert np.diff(shares) == pytest.approx(np.full(31, (1 - DREAM_EPS) / 32), rel=1e-9)
        for one in batch:
            share = 1 / (32 * one.weight)
            assert abs(len(one.places) - 40 * share) < 4 * math.sqrt(40 * 0.25) + 1
    assert {len(dream(4, draws, 0).more(draws)) for draws in (5, 16, 63)} == {4, 16, 62}


@pytest.mark.parametrize("count_mask", [False, True])
def test_dreams_estimate_is_its_loop_over_these_sets_with_an_end_that_is_seen(llada, count_mask):
    first, end = len(CONTEXT), llada.entry.eos_ids[0]
    item = Item(CONTEXT + TEXT, first, seed=11)
    how = {"estimator": "dream", "draws": 12, "count_mask": count_mask}
    estimate = found(llada, item, **how)
    sets = dream(3, 12, seed_of("draws", 11)).more(12)
    ids = (*item.ids, end)
    values = [
        one.weight * sum(told(llada, ids, first, masked, count_mask=count_mask).values())
        for one in sets
        for masked in [{first + place for place in one.places}]
    ]
    batches = [sum(values[:6]), sum(values[6:])]
    assert estimate.logp == pytest.approx(np.mean(batches), abs=5e-4)
    assert estimate.se == pytest.approx(np.std(batches, ddof=1) / math.sqrt(2), abs=5e-4)
    assert estimate.estimator == "dream"
    assert estimate.passes == sum(bool(one.places) for one in sets)


def test_its_mean_over_seeds_is_the_bound():
    """Of values that depend on the set: the same bound as `mc`, but for the least share."""
    weights = np.random.default_rng(0).normal(-2, 1, (4, 16))

    def value(places):
        seen = sum(1 << p for p in range(4) if p not in places)
        return sum(weights[p, seen] for p in places)

    def estimate(seed):
        drawn = dream(4, 64, seed)
        drawn.add([one.weight * value(one.places) for one in drawn.more(64)])
        return drawn.result()

    bound = np.mean(
        [
            4 / n * np.mean([value(s) for s in itertools.combinations(range(4), n)])
            for n in range(1, 5)
        ]
    )
    values, errors = np.array([estimate(seed) for seed in range(800)]).T
    assert abs(values.mean() - bound) < 4 * values.std() / math.sqrt(800)
    assert np.mean(errors**2) == pytest.approx(values.var(), rel=0.25)


def test_a_full_context_loses_its_first_token_to_the_end(llada):
    context = llada.entry.context
    item = Item((5,) * (context - 3) + TEXT, context - 3, seed=2)
    shorter = Item(item.ids[1:], item.first - 1, seed=2)
    how = {"estimator": "dream", "draws": 5}
    assert found(llada, item, **how).logp == found(llada, shorter, **how).logp


def test_dreams_estimator_needs_an_end_of_text_and_no_blocks():
    with pytest.raises(ProbeError, match="no token that ends a text") as error:
        estimators.estimate(engine(0), [Item((0, 2, 1), 2)], Settings("dream"))
    assert error.value.option == "estimator"
    block = Engine(models.load(models.resolve("oracle-block")))
    with pytest.raises(ProbeError, match="block-causal"):
        estimators.estimate(block, [Item((5, 6, 7, 8), 2)], Settings("dream"))


# ---------------------------------------------------------------------- few draws, names


@pytest.mark.parametrize(
    ("tokens", "settings", "passes"),
    [(1, Settings("mc", draws=1), 1), (2, Settings("mc", draws=3), 3), (3, Settings(draws=1), 3)],
)
def test_where_nothing_is_drawn_any_number_of_draws_will_do(tokens, settings, passes):
    (estimate,) = estimators.estimate(engine(0), [Item((0, 2, *(1, 3, 0)[:tokens]), 2)], settings)
    assert (estimate.passes, estimate.se) == (passes, 0)


@pytest.mark.parametrize("estimator", ["mc", "bernoulli"])
def test_where_sets_are_drawn_few_tell_no_error_and_are_refused(estimator):
    with pytest.raises(ProbeError, match="sets of the 3 tokens of q are drawn") as error:
        estimators.estimate(
            engine(0), [Item((0, 2, 1, 3, 0), 2, "q")], Settings(estimator, draws=4)
        )
    assert error.value.option == "draws"


def test_answers_from_before_there_were_such_choices_are_found():
    later = {"cfg", "count_mask", "greedy_order"}
    assert not later & Settings().named().keys()
    assert Settings(cfg=0.5).named()["cfg"] == 0.5
    assert set(Settings(count_mask=True, greedy_order="low_confidence").named()) >= later - {"cfg"}
