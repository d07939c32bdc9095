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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from mdlm_probe.core import options
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.likelihood.mask_sets import MaskSet, MaskSetSample, bernoulli, complements

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep

Estimator = Literal["auto", "exact-chain", "mc", "bernoulli", "pseudo"]
Order = Literal["left_to_right", "right_to_left", "best_first"]

LEAST_DRAWS = 5
"""All masked, and two pairs of sets: one pair has no spread, and tells no standard error."""
FIRST = 16
"""Draws of a first round, where a precision is wanted; every further round doubles them."""
SURE = 0.999
"""Probability that a ranking must have before no more is drawn for it."""
AT_ONCE = 2**22
"""Tokens of queries that are written out at a time."""


@dataclass(frozen=True, slots=True)
class Item:
    """A continuation to be scored.

    Attributes:
        ids: tokens of context and continuation.
        first: position of the continuation's first token.
        name: for error messages.
        seed: of the draws: an item's value does not depend on its company.
    """

    ids: tuple[int, ...]
    first: int
    name: str = ""
    seed: int = 0

    @property
    def tokens(self) -> tuple[int, ...]:
        """The continuation."""
        return self.ids[self.first :]


@dataclass(frozen=True, slots=True)
class Settings:
    """How masked models are asked; causal models have no choice.

    Attributes:
        estimator: see the module.
        order: of the chain rule.
        bound: most tokens of a continuation that `auto` scores by the chain rule.
        draws: most passes of an estimate by Monte Carlo.
        target_se: standard error (nats) at which an item needs no more draws; 0: all are made.
        decide: whether a group of items needs no more draws once its ranking is sure, see `SURE`.
    """

    estimator: Estimator = "auto"
    order: Order = "left_to_right"
    bound: int = 16
    draws: int = 128
    target_se: float = 0.0
    decide: bool = False


@dataclass(frozen=True, slots=True)
class LikelihoodEstimate:
    """A log-likelihood in nats.

    Attributes:
        logp: of the continuation.
        se: its Monte Carlo standard error; 0 where nothing was drawn.
        passes: through the network.
        estimator: what was done: "exact", "exact-chain", "mc", "bernoulli", "pseudo" or "causal".
    """

    logp: float
    se: float
    passes: int
    estimator: str


def check(settings: Settings) -> None:
    """Refuses settings that mean nothing.

    Raises:
        ProbeError: naming the option.
    """
    options.check_least(LEAST_DRAWS, draws=settings.draws)
    options.check_least(1, bound=settings.bound)
    options.check_least(0, target_se=settings.target_se)


def estimate(
    engine: AskingEngine, items: Sequence[Item], settings: Settings = Settings()
) -> list[LikelihoodEstimate]:
    """The log-likelihood of every item, in their order.

    Raises:
        ProbeError: an empty continuation, or more than the context holds; each names the item.
    """
    return [found for (found,) in rank(engine, [[item] for item in items], settings)]


def rank(
    engine: AskingEngine,
    groups: Sequence[Sequence[Item]],
    settings: Settings = Settings(),
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
    check(settings)
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


def is_greedy(engine: AskingEngine, items: Sequence[Item]) -> list[bool]:
    """Whether greedy decoding from left to right, one token per step, writes each continuation.

    Masked models: as many masks as the continuation has tokens. A wrong token ends the search.
    """
    if engine.entry.kind == "causal":
        begun = [_greedy_causal(item) for item in items]
    else:
        begun = [_greedy(item, engine.entry.mask) for item in items]
    return multi_step.run(engine, begun)


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


def _greedy_causal(item: Item) -> MultiStep[bool]:
    places = tuple(range(item.first, len(item.ids)))
    (answer,) = yield [Query(item.ids[:-1], places, (Readout("top_id"),), item.name)]
    return tuple(answer["top_id"].tolist()) == item.tokens


# ---------------------------------------------------------------------- masked models


def _greedy(item: Item, mask_id: int) -> MultiStep[bool]:
    for at, token in enumerate(item.tokens):
        ids = item.ids[: item.first + at] + (mask_id,) * (len(item.tokens) - at)
        (answer,) = yield [Query(ids, (item.first + at,), (Readout("top_id"),), item.name)]
        if int(answer["top_id"][0]) != token:
            return False
    return True


def _group(
    engine: AskingEngine, items: Sequence[Item], weights: Sequence[float], settings: Settings
) -> MultiStep[list[LikelihoodEstimate]]:
    """A group of items: exact ones at once, drawn ones in rounds until they are precise enough."""
    mask_id = engine.entry.mask
    found: dict[int, LikelihoodEstimate] = {}
    drawn: dict[int, MaskSetSample] = {}
    rounds = _rounds(settings)
    for i, item in enumerate(items):
        name = _name(settings, len(item.tokens))
        if name in ("mc", "bernoulli"):
            make = complements if name == "mc" else bernoulli
            first = rounds[0] if len(rounds) > 1 else 0
            seed = seed_of("draws", item.seed)
            drawn[i] = make(len(item.tokens), settings.draws, seed, first)
    exact = [i for i in range(len(items)) if i not in drawn]
    begun = [_exact(items[i], mask_id, settings) for i in exact]
    begun += [_draw(items[i], mask_id, draws, rounds[0]) for i, draws in drawn.items()]
    done = yield from multi_step.side_by_side(begun)
    found |= dict(zip([*exact, *drawn], done, strict=True))
    for size in rounds[1:]:
        left = [i for i in drawn if drawn[i].strata and found[i].se > settings.target_se]
        guesses = [
            _Guess(found[i].logp, found[i].se, drawn[i].freedom() if i in drawn else math.inf)
            for i in range(len(items))
        ]
        if settings.decide and _decided(guesses, weights, len(rounds)):
            break
        if not left:
            break
        done = yield from multi_step.side_by_side(
            [_draw(items[i], mask_id, drawn[i], size) for i in left]
        )
        found |= dict(zip(left, done, strict=True))
    return [found[i] for i in range(len(items))]


def _name(settings: Settings, tokens: int) -> str:
    if settings.estimator != "auto":
        return settings.estimator
    return "exact-chain" if tokens <= settings.bound else "mc"


def _rounds(settings: Settings) -> list[int]:
    """Draws after each round, all rounds before it included."""
    if not (settings.target_se or settings.decide):
        return [settings.draws]
    sizes = [min(FIRST, settings.draws)]
    while sizes[-1] < settings.draws:
        sizes.append(min(2 * sizes[-1], settings.draws))
    return sizes


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


def _draw(
    item: Item, mask_id: int, drawn: MaskSetSample, size: int
) -> MultiStep[LikelihoodEstimate]:
    """An estimate with as many draws as the next round has; those made before stay."""
    new = drawn.more(size)
    values = yield from _ask(item, mask_id, new)
    drawn.add(values)
    logp, se = drawn.result()
    return LikelihoodEstimate(logp, se, drawn.passes, drawn.name)


def _ask(item: Item, mask_id: int, draws: Sequence[MaskSet]) -> MultiStep[list[float]]:
    """Of every draw, the sum of its masked tokens' log-probabilities, times its weight."""
    queries = []
    own = Readout("own", (item.first, *item.tokens))
    for draw in (draw for draw in draws if draw.places):
        ids = list(item.ids)
        for place in draw.places:
            ids[item.first + place] = mask_id
        asked = tuple(item.first + place for place in draw.places)
        queries.append(Query(tuple(ids), asked, (own,), item.name))
    answers = iter((yield queries))
    return [
        draw.weight * float(next(answers)["own"].sum(dtype=float)) if draw.places else 0.0
        for draw in draws
    ]


class _Guess(NamedTuple):
    """A value on the way: how sure it is, and on how many degrees of freedom that stands."""

    logp: float
    se: float
    freedom: float


def _decided(found: Sequence[_Guess], weights: Sequence[float], looks: int) -> bool:
    """Whether the best of a group is the best with the probability wanted, in every ranking.

    Each rival and each look has its share of the error, so that together they keep to it.
    """
    if len(found) < 2:
        return False
    share = (1 - SURE) / (len(found) - 1) / looks
    for own in [[1.0] * len(found)] + ([weights] if weights else []):
        scaled = [_Guess(g.logp / w, g.se / w, g.freedom) for g, w in zip(found, own, strict=True)]
        best = scaled.pop(max(range(len(scaled)), key=lambda i: scaled[i].logp))
        if not all(_chance_of_error(best, rival) < share for rival in scaled):
            return False
    return True


def _chance_of_error(best: _Guess, rival: _Guess) -> float:
    """How probable it is that of two equal items one seems this much better: Welch's test.

    A t interval, not a normal one: after a first round a handful of pairs tell the standard error,
    and where it happens to come out small a normal test is wrong ten times as often as it says.
    """
    from mdlm_probe.analysis import stats

    errors, freedoms = (best.se, rival.se), (best.freedom, rival.freedom)
    return stats.welch(best.logp - rival.logp, errors, freedoms)


# ---------------------------------------------------------------------- documents


def windows(ids: Sequence[int], prefix: int, longest: int) -> list[Item]:
    """A document cut into windows, each of its tokens a part of one continuation.

    The first window is given `prefix` alone, every other one token of what came before it; the last
    one is filled up with context on its left.

    Args:
        ids: of the document.
        prefix: a token to begin with, such as the tokenizer's first or the end of text.
        longest: tokens of a window with its context.

    Raises:
        ProbeError: a window that holds no token besides its context.
    """
    if longest < 2:
        raise ProbeError(f"a window has {longest} tokens", expected="2 or more")
    found, begin = [], 0
    while begin < len(ids):
        end = min(begin + longest - 1, len(ids))
        start = max(0, end - longest)
        before = tuple(ids[start:begin]) if begin else (prefix,)
        found.append(Item(before + tuple(ids[begin:end]), len(before)))
        begin = end
    return found
