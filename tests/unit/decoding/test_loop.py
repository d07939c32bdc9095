"""The unmasking loop against the published loops, written down literally over full logits."""

import math
import random
from dataclasses import replace
from functools import lru_cache

import numpy as np
import oracles
import pytest
import torch
from checkpoints import EOS, MASK_TEXT, special_ids, write_dream, write_llada, write_llama
from scipy import stats
from simulations import WHOLE, repeats, simulation, spread

from mdlm_probe import models
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas, Observer
from mdlm_probe.decoding.rules import RULES, RuleSettings
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import memory
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.shift.interventions import Intervene

MASK, END = special_ids()[MASK_TEXT], special_ids()[EOS]
WRITERS = {"llada": write_llada, "dream": write_dream, "llama": write_llama}
SHAPES = ((12, 0), (5, 0), (1, 0), (6, 3), (7, 4), (3, 4), (8, 6))
"""Steps and block of canvases of twelve masks; neither 5, 7 nor 8 divides evenly."""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    root = tmp_path_factory.mktemp("loop")
    found = {}
    for name, write in WRITERS.items():
        found[name] = models.load(models.resolve(str(write(root / name))))
        found[f"{name}-ends"] = ending(models.load(models.resolve(str(root / name))))
    return found


def ending(model):
    """The same network, in which ends of text are often the most probable tokens."""
    with torch.no_grad():
        model.network.get_output_embeddings().weight[list(model.entry.eos_ids)] *= 4
    return model


def canvases(masks=12, count=4, before=(3, 14), after=(0, 5), seed=0):
    """Random prompts of different lengths with masks after them, and some text behind those."""
    rng = random.Random(seed)
    found = []
    for n in range(count):
        left, right = (
            [rng.randrange(250) for _ in range(rng.randint(*r))] for r in (before, after)
        )
        places = tuple(range(len(left), len(left) + masks))
        found.append(Canvas((*left, *[MASK] * masks, *right), places, f"canvas {n}"))
    return found


def decode(model, given, schedule, batch_tokens=4096, interventions=()):
    engine = Engine(model, batch_tokens=batch_tokens)
    return loop.decode_all(engine, given, [schedule] * len(given), interventions)


# ---------------------------------------------------------------------- the published loops


def full_logits(model, ids):
    """[length, vocabulary]: row i scores the token at i; the mask is never predicted."""
    logits = network_logits(model.network, tuple(ids)).clone()
    if model.shift:
        logits = torch.cat([logits[:1], logits[:-1]])
    logits[:, model.entry.mask_id] = -torch.inf
    return logits


@lru_cache(4096)  # loops of different steps begin alike
def network_logits(network, ids):
    with torch.no_grad():
        return network(input_ids=torch.tensor([ids])).logits[0]


def guided(model, ids, hidden, scale):
    """Logits moved away from those of a pass that sees masks at `hidden`."""
    cond = full_logits(model, ids)
    if scale == 0:
        return cond
    un = full_logits(model, [MASK if i in hidden else token for i, token in enumerate(ids)])
    moved = un + (scale + 1) * (cond - un)
    moved[:, MASK] = -torch.inf
    return moved


def confidence(logits, token, order):
    """Of one row, by the order's measure; probabilities as they are."""
    row = torch.softmax(logits, -1)
    if RULES[order].measure == "margin":
        first, second = row.sort(descending=True).values[:2].tolist()
        return first - second
    if RULES[order].measure == "entropy":
        kept = row[row > 0]
        return float((kept * kept.log()).sum())
    return float(row[token])


FREE = ("threshold", "factor", "entropy_bounded")
"""Orders that know no quota."""


def number_of(order, sure, quota, threshold):
    """How many of the most confident masks a step commits, as the published loops say.

    `sure` has their confidence, largest first: probabilities, or minus entropies.
    """
    if order == "factor":
        bounds = [-1, *(1 - 1.0 / (n + 1) for n in range(2, len(sure) + 1))]
        at = 0
        for at in range(len(sure)):
            if sure[at] < bounds[at]:
                break
        return at + 1 if at in (0, len(sure) - 1) else at
    if order == "entropy_bounded":
        sums = np.cumsum([-value for value in sure])
        return max(1, int(np.searchsorted(sums, 0.35)))
    above = sum(value > threshold for value in sure)
    if order == "threshold":
        return max(1, above)
    if order == "low_confidence_dynamic" and above >= quota:
        return above
    return quota


def originally_drawn(left, step, steps, seed):
    """Each mask with the chance that the step has of the time that is left; in the last one all."""
    times = torch.linspace(1, 1e-3, steps + 1)
    chance = float(1 - times[step + 1] / times[step]) if step < steps - 1 else 1.0
    draws = [random.Random(seed_of(seed, "origin", steps, step, i)).random() for i in left]
    return [i for i, draw in zip(left, draws, strict=True) if draw < chance]


def amounts_of(order, masks, steps):
    """How many of a block's masks each of its steps commits: LLaDA's shares, or Dream's."""
    if not order.startswith("dream"):
        return [masks // steps + (step < masks % steps) for step in range(steps)]
    times, left, found = torch.linspace(1, 1e-3, steps + 1), masks, []
    for step in range(steps):
        kept = torch.tensor(float(left))
        last = step == steps - 1
        found.append(left if last else int(kept * (1 - times[step + 1] / times[step])))
        left -= found[-1]
    return found


def literal(model, canvas, schedule):
    """One sequence, one pass per step, logits everywhere, until all steps are made.

    Returns the tokens of the window, the step that wrote each, and the number of passes.
    """
    ids, places, order, eos = list(canvas.ids), canvas.places, schedule.order, schedule.eos
    ends, prompt = list(model.entry.eos_ids), [i for i, t in enumerate(canvas.ids) if t != MASK]
    size = len(places)
    block = schedule.block or size
    count = size // block
    rank, written, made = list(range(size)), [0] * size, 0
    if order == "random":
        random.Random(schedule.seed).shuffle(rank)
    for number in range(count):
        steps = schedule.steps // count + (number < schedule.steps % count)
        waiting = iter([] if order in FREE else amounts_of(order, block, steps))
        window, at = range(number * block, (number + 1) * block), -1
        while left := [i for i in window if ids[places[i]] == MASK]:
            amount, at = next(waiting, 0), at + 1
            if order == "dream_origin":
                left = originally_drawn(left, at, steps, schedule.seed)
                amount = len(left)
            if not amount and order not in (*FREE, "low_confidence_dynamic"):
                continue
            logits = guided(model, ids, prompt, schedule.guidance)
            if eos == "eos_inf":
                logits[:, ends[:1]] = -torch.inf
            tokens = {i: int(logits[places[i]].argmax()) for i in left}
            if eos == "eos_last":
                logits[:, ends] = -torch.inf
            sure = {i: confidence(logits[places[i]], tokens[i], order) for i in left}
            if eos == "eos_last":
                sure |= {i: -torch.inf for i in left if tokens[i] in ends}
            known = not RULES[order].measure
            chosen = sorted(left, key=lambda i: (rank[i] if known else -sure[i], i))
            ranked = sorted(sure.values(), reverse=True)
            amount = number_of(order, ranked, amount, schedule.threshold)
            made += 1
            for i in chosen[:amount]:
                ids[places[i]], written[i] = tokens[i], made
    return tuple(ids[place] for place in places), tuple(written), made


MASKED = ("llada", "dream")
# where steps have no say, of each block the fewest, where one would be seen
FEWEST = {block: (steps, block) for steps, block in SHAPES}.values()
COMPARED = (
    *spread(MASKED, [order for order in RULES if order not in FREE], SHAPES, every=3),
    *spread(MASKED, FREE, FEWEST, every=2),
)


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(("name", "order", "shape"), COMPARED)
def test_every_order_writes_what_the_published_loop_writes(loaded, name, order, shape):
    """Token for token and step for step, whether decoded together or alone."""
    given, (steps, block) = canvases(), shape
    schedule = Schedule(steps, block, order, threshold=0.3, stop=False, seed=steps)
    together = decode(loaded[name], given, schedule, batch_tokens=56)  # two by two
    (alone,) = decode(loaded[name], given[:1], schedule)
    assert (alone.tokens, alone.steps) == (together[0].tokens, together[0].steps)
    for canvas, ours in zip(given, together, strict=True):
        tokens, written, passes = literal(loaded[name], canvas, schedule)
        assert (ours.tokens, ours.steps, ours.passes) == (tokens, written, passes)
        assert MASK not in tokens
        assert ours.candidates == tokens


@pytest.mark.slow
def test_orders_write_different_texts(loaded):
    """Else the comparison above would say little."""
    given = canvases(count=3)
    texts = {
        order: tuple(d.tokens for d in decode(loaded["llada"], given, Schedule(12, 0, order)))
        for order in RULES
    }
    assert len(set(texts.values())) >= 6  # with a mask a step some are the same rule


def test_a_mask_a_step_and_amounts_of_both_remainders(loaded):
    (canvas,) = canvases(count=1)
    (found,) = decode(loaded["llada"], [canvas], Schedule(5, 0, "left_to_right"))
    assert found.steps == (1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5)
    (found,) = decode(loaded["llada"], [canvas], Schedule(7, 4, "left_to_right"))
    assert found.steps == (1, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7)
    (found,) = decode(loaded["llada"], [canvas], Schedule(7, 4, "left_to_right", at_once=3))
    assert found.steps == (1, 1, 1, 2, 3, 3, 3, 4, 5, 5, 5, 6)


@simulation
@pytest.mark.parametrize(
    ("order", "eos", "shape"),
    spread(
        ("low_confidence", "margin", "entropy", "threshold", "random"),
        ("free", "eos_inf", "eos_last"),
        ((12, 0), (8, 6), (3, 4)),
        every=3,
    ),
)
@pytest.mark.slow
def test_ends_of_text_as_published_at_temperature_0(loaded, order, eos, shape):
    model, given = loaded["llada-ends"], canvases(count=6)
    schedule = Schedule(*shape, order, threshold=0.3, eos=eos, stop=False)
    found = decode(model, given, schedule)
    for canvas, ours in zip(given, found, strict=True):
        assert (ours.tokens, ours.steps) == literal(model, canvas, schedule)[:2]
    barred = model.entry.eos_ids[: 1 if eos == "eos_inf" else None]
    ends = sum(token in barred for ours in found for token in ours.tokens)
    assert (ends == 0) == (eos == "eos_inf")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_ends_that_come_last_are_left_until_nothing_else_is(loaded, temperature):
    """A mask a step: whatever is written after an end was itself an end when that was written."""
    model, seen = loaded["llada-ends"], []
    given = canvases(count=8)
    schedule = Schedule(12, eos="eos_last", stop=False, temperature=temperature, seed=3)
    watching = [Watch(schedule, model) for _ in given]
    for ours, watch in zip(decode(model, given, schedule, 4096, watching), watching, strict=True):
        for step in watch.steps:
            ((mask, token),) = step.chosen.items()
            others = set(map(int, watch.candidates(step)[:, 0]))
            seen.append(token in model.entry.eos_ids)
            assert others <= set(model.entry.eos_ids) or not seen[-1]
            assert watch.candidates(step)[step.at(mask), 0] == token
        assert MASK not in ours.tokens
    assert 0 < sum(seen) < len(seen)


class Watch:
    """Writes what was chosen, and remembers the candidates of all masks."""

    def __init__(self, schedule, model):
        self.schedule, self.ends, self.steps = schedule, model.entry.eos_ids, []

    def readouts(self, number, asked):
        temperature = self.schedule.temperature
        seed = seed_of(self.schedule.seed, number) if temperature else 0
        return (loop.Readout("candidates", ("probability", temperature, seed, (), self.ends)),)

    @staticmethod
    def candidates(step):
        _, own = step.answer.values()
        return own

    def write(self, step):
        self.steps.append(step)
        return step.chosen


@pytest.mark.parametrize("name", ["llada", "dream"])
@pytest.mark.parametrize("scale", [0.5, 2.0])
@pytest.mark.slow
def test_guidance_against_literal_logits(loaded, name, scale):
    given, schedule = canvases(), Schedule(8, 6, guidance=scale, stop=False)
    for canvas, ours in zip(given, decode(loaded[name], given, schedule, 64), strict=True):
        tokens, written, passes = literal(loaded[name], canvas, schedule)
        assert (ours.tokens, ours.steps, ours.passes) == (tokens, written, 2 * passes)
    plain = decode(loaded[name], given, replace(schedule, guidance=0.0))
    assert [d.tokens for d in plain] != [d.tokens for d in decode(loaded[name], given, schedule)]


# ---------------------------------------------------------------------- temperature


@simulation
@pytest.mark.parametrize(
    ("name", "order", "temperature"), spread(MASKED, RULES, (0.0, 1.0), every=2)
)
@pytest.mark.slow
def test_what_is_recorded_of_each_token(loaded, name, order, temperature):
    """Log-probability and confidence, from full logits of the canvas as it was before its step."""
    model, schedule = loaded[name], Schedule(8, 6, order, 0.3, temperature, stop=False, seed=5)
    tempered = RULES[order].tempered and temperature
    for ours in decode(model, canvases(count=2), schedule):
        for mask, place in enumerate(ours.canvas.places):
            row = full_logits(model, ours.at(ours.steps[mask] - 1))[place].log_softmax(-1)
            token = ours.tokens[mask]
            assert ours.logprobs[mask] == pytest.approx(float(row[token]), abs=1e-3)
            sure = confidence(row / temperature if tempered else row, token, order)
            if RULES[order].measure in ("probability", ""):
                sure = math.log(sure)
            assert ours.confidences[mask] == pytest.approx(sure, abs=1e-3)


def test_canvases_after_each_step(loaded):
    (found,) = decode(loaded["llada"], canvases(count=1), Schedule(5, stop=False))
    assert found.at(0) == found.canvas.ids
    for step in range(1, 6):
        new = [
            i
            for i, (a, b) in enumerate(zip(found.at(step - 1), found.at(step), strict=True))
            if a != b
        ]
        assert new == [found.canvas.places[i] for i, made in enumerate(found.steps) if made == step]
    window = tuple(found.at(5)[place] for place in found.canvas.places)
    assert window == found.tokens
    assert (found.passes, found.decided) == (5, 5)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_texts_do_not_depend_on_the_batch(loaded, temperature):
    given, model = canvases(count=6), loaded["llada"]
    schedules = [Schedule(6, 6, temperature=temperature, seed=n) for n in range(6)]
    texts = [
        [d.tokens for d in loop.decode_all(Engine(model, batch_tokens=size), given, schedules)]
        for size in (24, 60, 4096)
    ]
    alone = [decode(model, [c], s)[0].tokens for c, s in zip(given, schedules, strict=True)]
    assert texts == [alone] * 3


def test_the_seed_draws_other_tokens(loaded):
    texts = {
        decode(loaded["llada"], canvases(count=1), Schedule(4, temperature=1.0, seed=n))[0].tokens
        for n in range(8)
    }
    assert len(texts) == 8


def chi_square(counts, shares):
    """The p-value of counts under probabilities; classes of less than five are taken together."""
    expected = np.asarray(shares) * sum(counts)
    counts, small = np.asarray(counts), expected < 5
    if small.any():
        counts = np.append(counts[~small], counts[small].sum())
        expected = np.append(expected[~small], expected[small].sum())
    kept = expected > 0
    assert counts[~kept].sum() == 0
    return stats.chisquare(counts[kept], expected[kept]).pvalue


def draws(model, canvas, temperature, count):
    schedules = [Schedule(temperature=temperature, seed=n) for n in range(count)]
    engine = Engine(model, batch_tokens=4096)
    return [d.tokens for d in loop.decode_all(engine, [canvas] * count, schedules)]


@simulation
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.slow
def test_tokens_are_drawn_from_the_tempered_softmax(loaded, temperature):
    """Of a network over its vocabulary, and of the oracle's four tokens."""
    model, (canvas,) = loaded["llada"], canvases(masks=1, count=1)
    found = [token for (token,) in draws(model, canvas, temperature, 1500 if WHOLE else 500)]
    shares = (full_logits(model, canvas.ids)[canvas.places[0]].double() / temperature).softmax(-1)
    counts = np.bincount(found, minlength=len(shares))
    assert chi_square(counts, shares.numpy()) > 1e-3
    flat = (shares.log() * temperature / 1.3).softmax(-1)
    apart = chi_square(counts, flat.numpy()) < 1e-6
    assert apart or not WHOLE, "other temperatures can be told apart by so many"
    known = oracles.joint(2, (0, 1), 1) ** (1 / temperature)
    tokens = draws(oracles.model(2), Canvas((0, 1, oracles.MASK), (2,)), temperature, repeats(2000))
    counts = np.bincount(np.array(tokens)[:, 0], minlength=4)
    assert chi_square(counts, known / known.sum()) > 1e-3


# ---------------------------------------------------------------------- the oracle


@pytest.mark.parametrize("order", [order for order in RULES if order != "factor"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_log_probabilities_sum_to_the_texts_likelihood(order, temperature):
    """A mask a step is the chain rule in any order; "factor" commits the last two together."""
    model, settings = oracles.model(1), RuleSettings(entropy_bound=1e-9)
    given = [
        Canvas((*p, *[oracles.MASK] * 6), tuple(range(len(p), len(p) + 6)))
        for p in ((0, 3), (1, 1, 2))
    ]
    for block in (0, 3):
        schedule = Schedule(6, block, order, 1.0, temperature, at_once=1, seed=block)
        schedule = replace(schedule, rule_settings=settings)
        for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
            whole = model.log_likelihood(ours.at(6))
            before = model.log_likelihood(canvas.ids[:-6])
            assert sorted(ours.steps) == [1, 2, 3, 4, 5, 6]
            assert sum(ours.logprobs) == pytest.approx(whole - before, abs=1e-5)


def test_tokens_at_once_are_not_the_joint():
    """The sum above is no accident of any schedule."""
    model, canvas = oracles.model(1), Canvas((0, 3, *[oracles.MASK] * 6), tuple(range(2, 8)))
    (ours,) = decode(model, [canvas], Schedule(1))
    exact = model.log_likelihood(ours.at(1)) - model.log_likelihood((0, 3))
    assert abs(sum(ours.logprobs) - exact) > 0.01


@simulation
@pytest.mark.parametrize("order", ["left_to_right", "random"])
@pytest.mark.slow
def test_whole_texts_at_temperature_1_follow_the_joint(order):
    runs = repeats(3000)
    schedules = [Schedule(3, 0, order, temperature=1.0, seed=n) for n in range(runs)]
    canvas = Canvas((2, *[oracles.MASK] * 3), (1, 2, 3))
    found = loop.decode_all(oracles.engine(3), [canvas] * runs, schedules)
    counts = np.zeros((4, 4, 4))
    for ours in found:
        counts[ours.tokens] += 1
    assert chi_square(counts.ravel(), oracles.joint(3, (2,), 3).ravel()) > 1e-3


def test_the_oracle_keeps_no_keys_and_values():
    canvas = Canvas((2, oracles.MASK), (1,))
    with pytest.raises(ProbeError, match="no keys and values"):
        decode(oracles.model(1), [canvas], Schedule(cache="dual"))


# ---------------------------------------------------------------------- early stop


def before_end(tokens, ends):
    found = next((i for i, token in enumerate(tokens) if token in ends), len(tokens))
    return tokens[: found + 1]


@pytest.mark.parametrize("order", ["low_confidence", "random", "left_to_right", "threshold"])
@pytest.mark.parametrize("block", [0, 4])
@pytest.mark.slow
def test_an_early_stop_changes_nothing_before_the_first_end(loaded, order, block):
    model, given = loaded["llada-ends"], canvases(count=12, after=(0, 0))
    ends = model.entry.eos_ids
    whole = decode(model, given, Schedule(12, block, order, stop=False))
    short = decode(model, given, Schedule(12, block, order))
    for a, b in zip(whole, short, strict=True):
        text = before_end(a.tokens, ends)
        assert before_end(b.tokens, ends) == text
        assert (b.passes, b.decided) == (a.decided, a.decided)
        # the first canvas of which that text can be read, literally
        window = [[a.at(n)[p] for p in a.canvas.places][: len(text)] for n in range(a.passes + 1)]
        assert a.decided == next(n for n, seen in enumerate(window) if MASK not in seen)
        assert MASK not in a.tokens
    assert sum(b.passes for b in short) < sum(a.passes for a in whole)
    assert any(MASK in b.tokens for b in short)


# ---------------------------------------------------------------------- keys and values


def in_first_step(found):
    return [(i, found.tokens[i]) for i, step in enumerate(found.steps) if step == 1]


@pytest.mark.parametrize("name", ["llada", "dream"])
@pytest.mark.slow
def test_kept_keys_and_values_are_an_approximation_after_a_blocks_first_step(loaded, name):
    model, given = loaded[name], canvases(count=8)
    exact, prefix, dual = (
        decode(model, given, Schedule(12, cache=cache, stop=False))
        for cache in ("none", "prefix", "dual")
    )
    for a, b, c in zip(exact, prefix, dual, strict=True):
        assert in_first_step(a) == in_first_step(b) == in_first_step(c)
        assert MASK not in (*b.tokens, *c.tokens)
        if a.canvas.places[-1] + 1 == len(a.canvas.ids):
            assert b.tokens == c.tokens, "nothing stands right of the block"
    blocked = [decode(model, given, Schedule(12, 3, cache=c)) for c in ("none", "prefix", "dual")]
    texts = [[d.tokens for d in found] for found in blocked]
    assert texts[0] != texts[1]
    assert texts[0] != texts[2]
    assert texts[1] != texts[2]


@pytest.mark.parametrize("cache", ["prefix", "dual"])
def test_waves_are_as_one(loaded, monkeypatch, cache):
    model, given = loaded["llada"], canvases(count=5)
    at_once = decode(model, given, Schedule(6, 4, cache=cache))
    calls = []
    monkeypatch.setattr(memory, "kv_cache_tokens", lambda model: 40)
    ask = Engine.ask
    monkeypatch.setattr(Engine, "ask", lambda self, q: calls.append(len(q)) or ask(self, q))
    assert [d.tokens for d in decode(model, given, Schedule(6, 4, cache=cache))] == [
        d.tokens for d in at_once
    ]
    assert max(calls) < 5


# ---------------------------------------------------------------------- causal models


class Forgetful(Engine):
    """An engine that keeps no keys and values."""

    has_kv_cache = False


@pytest.mark.parametrize("engine", [Engine, Forgetful])
@pytest.mark.parametrize("name", ["llama", "llama-ends"])
def test_causal_models_write_what_generate_writes(loaded, engine, name):
    model = loaded[name]
    prompts = [canvas.ids for canvas in canvases(0, count=6, after=(0, 0))]
    schedules, names = [Schedule()] * 6, ["?"] * 6
    found = loop.proceed_all(engine(model, batch_tokens=64), prompts, 12, schedules, names)
    for prompt, ours in zip(prompts, found, strict=True):
        ids = torch.tensor([prompt])
        theirs = model.network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=list(model.entry.eos_ids),
            pad_token_id=END,
        )[0, len(prompt) :].tolist()
        assert list(ours.tokens) == theirs
        assert ours.at(ours.passes) == (*prompt, *theirs)
        assert ours.steps == tuple(range(1, len(theirs) + 1))
        with torch.inference_mode():
            rows = model.network(torch.tensor([[*prompt, *theirs]])).logits[0].log_softmax(-1)
        own = [float(rows[len(prompt) + i - 1, token]) for i, token in enumerate(theirs)]
        assert ours.logprobs == pytest.approx(own, abs=1e-3)
    lengths = [len(ours.tokens) for ours in found]
    if name == "llama-ends":
        assert len(set(lengths)) > 1
        never = [Schedule(eos="eos_inf")] * 6
        for ours in loop.proceed_all(engine(model, batch_tokens=64), prompts, 12, never, names):
            assert model.entry.eos_ids[0] not in ours.tokens
            assert len(ours.tokens) == 12 or ours.tokens[-1] in model.entry.eos_ids


class Second(Observer):
    """Writes the second most probable token in place of the first, for some steps."""

    def __init__(self, steps):
        self.steps, self.seen = steps, []

    def readouts(self, number, asked):
        return (loop.Readout("top_ids", (2,)),)

    def write(self, step):
        (place,) = step.chosen
        first, second = map(int, step.answer["top_ids"][step.at(place)])
        assert step.chosen[place] == first
        self.seen.append(second)
        return {place: second} if step.number <= self.steps else None


@pytest.mark.parametrize("engine", [Engine, Forgetful])
def test_an_intervention_on_a_causal_model_writes_other_tokens_and_ends_the_text(loaded, engine):
    """The text goes on from what was written; the last token is the model's own again."""
    model, hook = loaded["llama"], Second(3)
    (prompt,) = [canvas.ids for canvas in canvases(0, count=1, after=(0, 0))]
    asker = engine(model, batch_tokens=64)
    (ours,) = loop.proceed_all(asker, [prompt], 12, [Schedule()], ["?"], [hook])
    assert len(ours.tokens) == 4
    ids = list(prompt)
    for step, token in enumerate(ours.tokens):
        with torch.inference_mode():
            row = model.network(torch.tensor([ids])).logits[0, -1]
        first, second = row.topk(2).indices.tolist()
        assert ours.candidates[step] == first
        assert token == (second if step < 3 else first)
        assert hook.seen[step] == second
        ids.append(token)


# ---------------------------------------------------------------------- interventions


@pytest.mark.parametrize("kind", ["shift", "replace", "hold"])
@pytest.mark.parametrize("order", ["low_confidence", "random", "left_to_right", "threshold"])
@pytest.mark.slow
def test_an_intervention_on_nothing_changes_nothing(loaded, kind, order):
    given, schedule = canvases(), Schedule(8, 6, order, 0.3, 1.0, stop=False)
    hooks = [Intervene(kind, 0.0, n, 12) for n in range(len(given))]
    found = decode(loaded["llada"], given, schedule, interventions=hooks)
    assert found == decode(loaded["llada"], given, schedule)
    assert [(hook.hits, hook.changes, hook.offered) for hook in hooks] == [(0, [], 12)] * len(given)


@simulation
@pytest.mark.parametrize(
    ("kind", "frac", "order"),
    spread(("shift", "replace", "hold"), (0.3, 1.0), RULES, every=3),
)
@pytest.mark.slow
def test_every_canvas_ends_whole(loaded, kind, frac, order):
    model, given = loaded["llada"], canvases()
    schedule = Schedule(8, 6, order, 0.3, stop=False)
    hooks = [Intervene(kind, frac, n, 12, model.entry.eos_ids) for n in range(len(given))]
    for ours, hook in zip(decode(model, given, schedule, 64, hooks), hooks, strict=True):
        assert MASK not in ours.tokens
        outside = set(range(len(ours.canvas.ids))) - set(ours.canvas.places)
        assert all(ours.at(99)[i] == ours.canvas.ids[i] for i in outside)
        assert set(ours.steps) == set(range(1, ours.passes + 1)) or kind == "hold"
        assert hook.offered == 12
        assert hook.hits in ((12,) if frac == 1 else (3, 4))
        assert len(hook.changes) <= hook.hits
        for change in hook.changes:
            check(change, ours, kind)
    assert any(change.done for hook in hooks for change in hook.changes)


def check(change, ours, kind):
    """What a change says is what the canvas holds."""
    if kind == "hold":
        assert change.written is None
        assert ours.steps[change.mask] > change.step
        return
    assert (ours.tokens[change.to], ours.steps[change.to]) == (change.written, change.step)
    if kind == "replace":
        assert change.to == change.mask
        assert change.written != change.token
    elif change.done:
        assert abs(change.to - change.mask) == 1
        assert ours.steps[change.mask] > change.step, "the slot it left is filled in later"


def test_a_dry_run_counts_what_an_engine_takes(loaded):
    model, (canvas,) = loaded["llada"], canvases(count=1)
    for guidance in (0.0, 1.0):
        for order in ("low_confidence", "dream_entropy"):
            schedule = Schedule(8, 6, order, guidance=guidance, stop=False)
            counter, engine = DryRun(model.entry, model.border), Engine(model, batch_tokens=4096)
            for asker in (counter, engine):
                (decoded,) = loop.decode_all(asker, [canvas], [schedule])
                assert len(decoded.tokens) == len(canvas.places)
            assert sum(counter.lengths) == engine.tokens
