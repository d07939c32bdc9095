"""Likelihood: log p(continuation | context), exact where it can be, else with a standard error.

Causal models have one, in one pass. A masked model has several:

- `exact-chain`: the chain rule in one order, as many passes as tokens. One token takes one pass.
- `mc`: LLaDA's bound (arXiv 2502.09992): over counts l = 1..L, the mean of the expected sum of the
  log-probabilities of l masked tokens, times L/l. How it is estimated is ours: the count L is
  computed (all masked: one pass). Others are drawn in strata of counts, as pairs of a random set of
  tokens and its complement (counts l and L - l), so that a pair scores every token once; each count
  has its own weight and none is rounded. Where all sets fit the passes, they are enumerated, and
  nothing is drawn.
- `bernoulli`: each token masked with probability t, t even on 0..1, sum of log-probabilities over
  t. For comparison: noisy even for one token.
- `dream`: as Dream's published harness (arXiv 2508.15487) has that: see `mask_sets.dream`, with an
  end of text behind the continuation that is seen. Another value, so not to be compared with the
  others.
- `pseudo`: each token given all others. No likelihood.

`auto` is exact-chain up to a number of tokens, `mc` beyond.

A block-causal model's are sums over blocks, `block-exact-chain`, `block-mc` and so on: each block
given all before it, with the same estimators within. See `parts` and `block_passes`.
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
from mdlm_probe.likelihood import block_passes, chain_rule
from mdlm_probe.likelihood.item_passes import AT_ONCE, ItemPasses
from mdlm_probe.likelihood.items import Item, LikelihoodEstimate
from mdlm_probe.likelihood.mask_sets import (
    MaskSet,
    SampleOfParts,
    bernoulli,
    complements,
    dream,
)
from mdlm_probe.likelihood.parts import Part, estimator_of, parts_of
from mdlm_probe.likelihood.rankings import Guess, is_decided
from mdlm_probe.likelihood.settings import DRAWN, LEAST_DRAWS, USUAL, Settings

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AskingEngine
    from mdlm_probe.engine.multi_step import MultiStep
    from mdlm_probe.likelihood.block_passes import Contexts
    from mdlm_probe.models._checkpoint import Checkpoint


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
        if engine.entry.kind == "masked" and settings.draws < LEAST_DRAWS:
            parts = parts_of(item, engine.entry, settings.fill)
            settings.check_draws(max(len(part.places) for part in parts), item.name)
    found: list[list[LikelihoodEstimate]] = []
    for part in _together(engine, groups, settings):
        some = groups[part]
        if engine.entry.kind == "causal":
            found += _causal(engine, some)
        else:
            own = weights[part] if weights else [()] * len(some)
            contexts: Contexts = {}
            begun = [
                _group(engine, *pair, settings, contexts) for pair in zip(some, own, strict=True)
            ]
            found += multi_step.run(engine, begun)
    return found


def _together(
    engine: AskingEngine, groups: Sequence[Sequence[Item]], settings: Settings
) -> Iterator[slice]:
    """Runs of groups whose queries may be written out, and caches kept, together."""
    entry, begin, tokens, kept = engine.entry, 0, 0, 0
    room = engine.kv_cache_tokens if entry.block and engine.has_kv_cache else 0
    for i, group in enumerate(groups):
        own = sum(_written(item, entry, settings) for item in group)
        keeps = sum(block_passes.kept(parts_of(item, entry, settings.fill)) for item in group)
        if i > begin and (tokens + own > AT_ONCE or (room and kept + keeps > room)):
            yield slice(begin, i)
            begin, tokens, kept = i, 0, 0
        tokens += own
        kept += keeps
    if groups:
        yield slice(begin, len(groups))


def _written(item: Item, entry: Checkpoint, settings: Settings) -> int:
    """Tokens of an item's queries, at most."""
    if not entry.block:
        return len(item.ids) * min(settings.draws, 1 << len(item.tokens))
    return min(AT_ONCE, block_passes.counts(*passes_of(item, entry, settings))["whole"])


def passes_of(item: Item, entry: Checkpoint, settings: Settings) -> tuple[list[Part], list[int]]:
    """The parts of an item under a masked model, and how many passes each takes at most."""
    parts = parts_of(item, entry, settings.fill)
    name = estimator_of(parts, settings)
    return parts, [part.passes(settings, name) for part in parts]


def cost(item: Item, entry: Checkpoint, settings: Settings) -> int:
    """Tokens that an item feeds through the network, at most."""
    size = len(item.tokens)
    if entry.kind == "causal":
        return len(item.ids)
    both = 2 if settings.cfg else 1
    if entry.block:
        counts = block_passes.counts(*passes_of(item, entry, settings))
        whole = settings.cfg or settings.count_mask
        return both * (counts["whole"] if whole else min(counts.values()))
    drawn = settings.draws if size > settings.bound else size
    return both * len(item.ids) * min(drawn, 1 << size)


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
    engine: AskingEngine,
    items: Sequence[Item],
    weights: Sequence[float],
    settings: Settings,
    contexts: Contexts,
) -> MultiStep[list[LikelihoodEstimate]]:
    """A group of items: exact ones at once, drawn ones in rounds until they are precise enough."""
    rounds = settings.rounds()
    first = rounds[0] if len(rounds) > 1 else 0
    passes = [ItemPasses(engine, item, settings, contexts) for item in items]
    drawn = {
        i: _samples(one, settings, first) for i, one in enumerate(passes) if one.estimator in DRAWN
    }
    exact = [i for i in range(len(items)) if i not in drawn]
    begun = [_exact(passes[i], settings) for i in exact]
    begun += [_sample(passes[i], drawn[i], rounds[0]) for i in drawn]
    done = yield from multi_step.side_by_side(begun)
    found = dict(zip([*exact, *drawn], done, strict=True))
    for size in rounds[1:]:
        left = [i for i in drawn if drawn[i].is_sample and found[i].se > settings.target_se]
        if not left or (
            settings.decide and is_decided(_guesses(found, drawn), weights, len(rounds))
        ):
            break
        done = yield from multi_step.side_by_side(
            [_sample(passes[i], drawn[i], size) for i in left]
        )
        found |= dict(zip(left, done, strict=True))
    return [found[i] for i in range(len(items))]


def _guesses(found: dict[int, LikelihoodEstimate], drawn: dict[int, SampleOfParts]) -> list[Guess]:
    """The estimates so far, in the order of their items."""
    return [
        Guess(found[i].logp, found[i].se, drawn[i].freedom() if i in drawn else math.inf)
        for i in range(len(found))
    ]


def _samples(passes: ItemPasses, settings: Settings, first: int) -> SampleOfParts:
    """The mask sets of every part of an item, drawn independently."""
    make = {"mc": complements, "bernoulli": bernoulli, "dream": dream}[passes.estimator]
    seed = passes.item.seed
    return SampleOfParts(
        [
            make(
                len(part.places),
                settings.draws,
                seed_of("draws", seed, part.begin) if passes.blocks else seed_of("draws", seed),
                first,
            )
            for part in passes.parts
        ]
    )


def _exact(passes: ItemPasses, settings: Settings) -> MultiStep[LikelihoodEstimate]:
    """By the chain rule, or each token given all others of its part."""
    size = len(passes.item.tokens)

    def of_part(number: int) -> MultiStep[float]:
        part = passes.parts[number]
        masked = _pseudo if settings.estimator == "pseudo" else _chain
        both = multi_step.both(passes.read(part), masked(passes, part, settings))
        return sum((yield from both))

    values = yield from passes.of_parts(of_part)
    name = "exact" if size == 1 else passes.estimator
    if settings.estimator == "pseudo":
        name = "pseudo"
    return LikelihoodEstimate(math.fsum(values), 0.0, size, passes.named(name))


def _pseudo(passes: ItemPasses, part: Part, _settings: Settings) -> MultiStep[float]:
    sets = [MaskSet((place,), 1.0) for place in range(len(part.places))]
    return math.fsum((yield from passes.masked(part, sets)))


def _chain(passes: ItemPasses, part: Part, settings: Settings) -> MultiStep[float]:
    tokens = [part.ids[place] for place in part.places]
    canvas = Canvas(part.masked(part.places, passes.mask_id), part.places, passes.item.name)
    if settings.order == "best_first":
        logps = yield from chain_rule.score_by_confidence(canvas, tokens)
    else:
        order = chain_rule.sequence(settings.order, len(tokens), 0)
        logps = yield from chain_rule.score(canvas, tokens, order)
    return float(logps.sum())


def _sample(passes: ItemPasses, drawn: SampleOfParts, size: int) -> MultiStep[LikelihoodEstimate]:
    """An estimate with the mask sets of the next round, and those of the rounds before it."""

    def of_part(number: int) -> MultiStep[float]:
        part, own = passes.parts[number], drawn.parts[number]
        begins = not own.is_begun
        masked = passes.masked(part, own.more(size))
        if begins:
            read, values = yield from multi_step.both(passes.read(part), masked)
        else:
            read, values = 0.0, (yield from masked)
        own.add(values)
        return read

    drawn.read += math.fsum((yield from passes.of_parts(of_part)))
    logp, se = drawn.result()
    taken = drawn.passes + sum(part.read is not None for part in passes.parts)
    return LikelihoodEstimate(logp, se, taken, passes.named(drawn.name))
