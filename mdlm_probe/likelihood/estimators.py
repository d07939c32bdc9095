"""Likelihood: log p(continuation | context), exact where it can be, else with a standard error.

Causal models have one, in one pass. A masked model has several:

- `exact-chain`: the chain rule in one order, as many passes as tokens. One token takes one pass.
- `mc`: LLaDA's bound (arXiv 2502.09992): over counts l = 1..L, the mean of the expected sum of the
  log-probabilities of l masked tokens, times L/l. How it is estimated is ours: the count L is
  computed (all masked: one pass). Others are drawn in strata of counts, as pairs of a random set of
  tokens and its complement (counts l and L - l), so that a pair scores every token once; each count
  has its own weight and none is rounded. Where all sets fit the passes, they are enumerated, and
  nothing is drawn.
- `bernoulli`: Dream's (arXiv 2508.15487): each token masked with probability t, t even on 0..1, sum
  of log-probabilities over t. For comparison: noisy even for one token.
- `pseudo`: each token given all others. No likelihood.

`auto` is exact-chain up to a number of tokens, `mc` beyond.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.likelihood.items import Item, LikelihoodEstimate
from mdlm_probe.likelihood.mask_sets import MaskSet, MaskSetSample, bernoulli, complements
from mdlm_probe.likelihood.rankings import Guess, is_decided
from mdlm_probe.likelihood.settings import USUAL, Settings

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep

AT_ONCE = 2**22
"""Tokens of queries that are written out at a time."""


def estimate(
    engine: AskingEngine, items: Sequence[Item], settings: Settings = USUAL
) -> list[LikelihoodEstimate]:
    """The log-likelihood of every item, in their order.

    Raises:
        ProbeError: an empty continuation, or more than the context holds; each names the item.
    """
    return [found for (found,) in rank(engine, [[item] for item in items], settings)]


def rank(
    engine: AskingEngine,
    groups: Sequence[Sequence[Item]],
    settings: Settings = USUAL,
    weights: Sequence[Sequence[float]] = (),
) -> list[list[LikelihoodEstimate]]:
    """The log-likelihoods of groups of items, such as the choices of a question.

    Args:
        engine: over a masked or a causal model.
        groups: items that are compared with each other.
        settings: with `decide`, a group is done once its best item is sure.
        weights: of each item, a length by which its value is divided in a second ranking, which
            must be sure as well; none: there is one ranking.
    """
    settings.check()
    for item in (item for group in groups for item in group):
        if not item.tokens:
            raise ProbeError(
                f"the continuation of {item.name or 'an item'} is empty",
                expected="one token or more",
            )
    found: list[list[LikelihoodEstimate]] = []
    for part in _parts(groups, settings):
        some = groups[part]
        if engine.entry.kind == "causal":
            found += _causal(engine, some)
        else:
            own = weights[part] if weights else [()] * len(some)
            begun = [_group(engine, *pair, settings) for pair in zip(some, own, strict=True)]
            found += multi_step.run(engine, begun)
    return found


def _parts(groups: Sequence[Sequence[Item]], settings: Settings) -> Iterator[slice]:
    """Runs of groups whose queries may be written out together."""
    begin = tokens = 0
    for i, group in enumerate(groups):
        own = sum(len(item.ids) * min(settings.draws, 2 ** len(item.tokens)) for item in group)
        if i > begin and tokens + own > AT_ONCE:
            yield slice(begin, i)
            begin, tokens = i, 0
        tokens += own
    if groups:
        yield slice(begin, len(groups))


# ---------------------------------------------------------------------- causal models


def _causal(
    engine: AskingEngine, groups: Sequence[Sequence[Item]]
) -> list[list[LikelihoodEstimate]]:
    items = [item for group in groups for item in group]
    queries = [
        Query(
            item.ids[:-1],
            tuple(range(item.first, len(item.ids))),
            (Readout("own", (item.first, *item.tokens)),),
            item.name,
        )
        for item in items
    ]
    answers = iter(engine.ask(queries))
    return [
        [
            LikelihoodEstimate(float(next(answers)["own"].sum(dtype=float)), 0.0, 1, "causal")
            for _ in group
        ]
        for group in groups
    ]


# ---------------------------------------------------------------------- masked models


def _group(
    engine: AskingEngine, items: Sequence[Item], weights: Sequence[float], settings: Settings
) -> MultiStep[list[LikelihoodEstimate]]:
    """A group of items: exact ones at once, drawn ones in rounds until they are precise enough."""
    mask_id = engine.entry.mask
    found: dict[int, LikelihoodEstimate] = {}
    drawn: dict[int, MaskSetSample] = {}
    rounds = settings.rounds()
    for i, item in enumerate(items):
        name = settings.estimator_of(len(item.tokens))
        if name in ("mc", "bernoulli"):
            make = complements if name == "mc" else bernoulli
            first = rounds[0] if len(rounds) > 1 else 0
            seed = seed_of("draws", item.seed)
            drawn[i] = make(len(item.tokens), settings.draws, seed, first)
    exact = [i for i in range(len(items)) if i not in drawn]
    begun = [_exact(items[i], mask_id, settings) for i in exact]
    begun += [_sample(items[i], mask_id, drawn[i], rounds[0]) for i in drawn]
    done = yield from multi_step.side_by_side(begun)
    found |= dict(zip([*exact, *drawn], done, strict=True))
    for size in rounds[1:]:
        left = [i for i in drawn if drawn[i].strata and found[i].se > settings.target_se]
        if not left or (
            settings.decide and is_decided(_guesses(found, drawn), weights, len(rounds))
        ):
            break
        done = yield from multi_step.side_by_side(
            [_sample(items[i], mask_id, drawn[i], size) for i in left]
        )
        found |= dict(zip(left, done, strict=True))
    return [found[i] for i in range(len(items))]


def _guesses(found: dict[int, LikelihoodEstimate], drawn: dict[int, MaskSetSample]) -> list[Guess]:
    """The estimates so far, in the order of their items."""
    return [
        Guess(found[i].logp, found[i].se, drawn[i].freedom() if i in drawn else math.inf)
        for i in range(len(found))
    ]


def _exact(item: Item, mask_id: int, settings: Settings) -> MultiStep[LikelihoodEstimate]:
    """By the chain rule, or each token given all others."""
    tokens, size = item.tokens, len(item.tokens)
    places = tuple(range(item.first, len(item.ids)))
    canvas = Canvas(item.ids[: item.first] + (mask_id,) * size, places, item.name)
    if settings.estimator == "pseudo":
        sets = [MaskSet((place,), 1.0) for place in range(size)]
        values = yield from _ask(item, mask_id, sets)
        return LikelihoodEstimate(math.fsum(values), 0.0, size, "pseudo")
    if settings.order == "best_first":
        logps = yield from chain_rule.score_by_confidence(canvas, tokens)
    else:
        order = chain_rule.sequence(settings.order, size, 0)
        logps = yield from chain_rule.score(canvas, tokens, order)
    name = "exact-chain" if size > 1 else "exact"
    return LikelihoodEstimate(float(logps.sum()), 0.0, size, name)


def _sample(
    item: Item, mask_id: int, drawn: MaskSetSample, size: int
) -> MultiStep[LikelihoodEstimate]:
    """An estimate with the mask sets of the next round, and those of the rounds before it."""
    new = drawn.more(size)
    values = yield from _ask(item, mask_id, new)
    drawn.add(values)
    logp, se = drawn.result()
    return LikelihoodEstimate(logp, se, drawn.passes, drawn.name)


def _ask(item: Item, mask_id: int, sets: Sequence[MaskSet]) -> MultiStep[list[float]]:
    """Of every mask set, the sum of its tokens' log-probabilities, times its weight."""
    queries = []
    own = Readout("own", (item.first, *item.tokens))
    for one in (one for one in sets if one.places):
        ids = list(item.ids)
        for place in one.places:
            ids[item.first + place] = mask_id
        asked = tuple(item.first + place for place in one.places)
        queries.append(Query(tuple(ids), asked, (own,), item.name))
    answers = iter((yield queries))
    return [
        one.weight * float(next(answers)["own"].sum(dtype=float)) if one.places else 0.0
        for one in sets
    ]
