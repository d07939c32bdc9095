"""Rules of published recipes against loops written down literally, on random networks.

Every loop has its own description at hand: which tokens are kept of a distribution, what confidence
is, how many masks a step commits. Random numbers are those of our places, so that texts can be
compared token for token at any temperature.
"""

import math
import random
from functools import lru_cache

import numpy as np
import pytest
import torch
from checkpoints import EOS, MASK_TEXT, special_ids, write_dream, write_llada
from simulations import WHOLE, simulation, spread

from mdlm_probe import models
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.rules import RuleSettings
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import readouts
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.noise import gumbel

MASK, END = special_ids()[MASK_TEXT], special_ids()[EOS]
SEEDS = (0, 1, 2) if WHOLE else (0, 1)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """LLaDAs and Dreams of several seeds; their logits are spread so that all rules differ."""
    root = tmp_path_factory.mktemp("rules")
    found = {}
    for name, write in (("llada", write_llada), ("dream", write_dream)):
        for seed in SEEDS:
            folder = write(root / f"{name}-{seed}", seed=seed)
            found[name, seed] = models.load(models.resolve(str(folder)))
            with torch.no_grad():
                found[name, seed].network.get_output_embeddings().weight.mul_(4)
    return found


def canvases(count=2, masks=12, seed=0):
    rng = random.Random(seed)
    found = []
    for n in range(count):
        left = [rng.randrange(250) for _ in range(rng.randint(3, 9))]
        places = tuple(range(len(left), len(left) + masks))
        found.append(Canvas((*left, *[MASK] * masks), places, f"canvas {n}"))
    return found


def decode(model, given, schedule):
    return loop.decode_all(Engine(model, batch_tokens=4096), given, [schedule] * len(given))


def probabilities(model, ids):
    """[length, vocabulary]: row i scores the token at i."""
    logits = network_logits(model.network, tuple(ids)).clone()
    if model.shift:
        logits = torch.cat([logits[:1], logits[:-1]])
    logits[:, MASK] = -torch.inf
    return logits.softmax(-1)


@lru_cache(4096)  # loops of different settings begin alike
def network_logits(network, ids):
    with torch.no_grad():
        return network(input_ids=torch.tensor([ids])).logits[0]


def kept(row, top_p, top_k, first):
    """A distribution without its less probable tokens; `first` says which of the two is taken."""
    for which in (first, "k" if first == "p" else "p"):
        values, ranked = row.sort(descending=True, stable=True)
        if which == "k" and top_k:
            ranked = ranked[:top_k]
        if which == "p" and top_p < 1:
            before = values.cumsum(0) - values  # what stands before a token in the order
            ranked = ranked[(before <= top_p) | (torch.arange(len(row)) == 0)]
        own = torch.zeros_like(row)
        own[ranked] = row[ranked]
        row = own / own.sum()
    return row


def sampled(row, place, temperature, seed):
    """The token drawn from a row of probabilities, which are of the temperature already."""
    if temperature == 0:
        return int(row.argmax())
    noise = gumbel(seed, torch.tensor([place]), len(row))[0]
    return int((row.double().log() + noise).argmax())


def tempered(row, temperature):
    return row if temperature == 0 else (row.log() / temperature).softmax(-1)


def dream(model, canvas, steps, alg, temperature, top_p, top_k, alg_temp, eps, seed):
    """Dream's loop: a share of the masks left by time, confidence after temperature and cuts."""
    ids, places = list(canvas.ids), canvas.places
    times, made, written = torch.linspace(1, eps, steps + 1), 0, {}
    for step in range(steps):
        left = [p for p in places if ids[p] == MASK]
        last = step == steps - 1
        share = float(1 - times[step + 1] / times[step])
        if alg == "origin":
            numbers = [places.index(p) for p in left]
            draws = [random.Random(seed_of(seed, "origin", steps, step, n)) for n in numbers]
            chosen = [p for p, d in zip(left, draws, strict=True) if last or d.random() < share]
        count = len(left) if last else int(torch.tensor(float(len(left))) * torch.tensor(share))
        if not (chosen if alg == "origin" else count):
            continue
        made += 1
        rows = probabilities(model, ids)
        tokens, sure = {}, {}
        for p in left:
            row = kept(tempered(rows[p], temperature), top_p, top_k, "p")
            tokens[p] = sampled(row, p, temperature, seed_of(seed, made))
            own = row[row > 0]
            first, second = [*row.sort(descending=True).values[:2].tolist()]
            sure[p] = {
                "origin": 0.0,
                "maskgit_plus": float(row[tokens[p]]),
                "topk_margin": first - second,
                "entropy": float((own * own.log()).sum()),
            }[alg]
        if alg != "origin":
            if alg_temp:  # a sample without replacement from softmax(confidence / alg_temp)
                draw = {p: random.Random(seed_of(seed, "alg_temp", made, p)).random() for p in left}
                sure = {p: sure[p] / alg_temp - math.log(-math.log(draw[p])) for p in left}
            chosen = sorted(left, key=lambda p: (-sure[p], p))[:count]
        for p in chosen:
            ids[p], written[p] = tokens[p], made
    return tuple(ids[p] for p in places), tuple(written[p] for p in places)


DREAMS_SETTINGS = ((0.0, 1.0, 0, 0.0, 0.001), (0.7, 0.9, 0, 0.1, 0.05), (1.0, 0.8, 20, 0.5, 0.001))
"""Temperature, top-p, top-k, temperature of the order and eps."""
ALGORITHMS = ("origin", "maskgit_plus", "topk_margin", "entropy")


@simulation
@pytest.mark.parametrize(
    ("seed", "alg", "given_settings", "steps"),
    spread(SEEDS, ALGORITHMS, DREAMS_SETTINGS, (5, 12, 20), every=3),
)
@pytest.mark.slow
def test_dreams_loop_with_all_its_settings(loaded, seed, alg, given_settings, steps):
    model, given = loaded["dream", seed], canvases(seed=seed)
    temperature, top_p, top_k, alg_temp, eps = given_settings
    alg_temp = 0.0 if alg == "origin" else alg_temp
    settings = RuleSettings(top_p=top_p, top_k=top_k, alg_temp=alg_temp, eps=eps)
    schedule = Schedule(
        *(steps, 0, f"dream_{alg}", 0.9, temperature),
        stop=False,
        seed=seed,
        rule_settings=settings,
    )
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        literal = dream(model, canvas, steps, alg, temperature, top_p, top_k, alg_temp, eps, seed)
        assert (ours.tokens, ours.steps) == literal


def sdar(model, canvas, block, steps, strategy, threshold, bound, temperature, top_p, top_k, seed):
    """SDAR's loop, `steps` a block: probabilities after temperature, top-k, then top-p."""
    ids, places, made, written = list(canvas.ids), canvas.places, 0, {}
    quotas = [block // steps + (step < block % steps) for step in range(steps)]
    for begin in range(0, len(places), block):
        window = places[begin : begin + block]
        for quota in quotas:
            left = [p for p in window if ids[p] == MASK]
            if not left:
                break
            made += 1
            rows, tokens, sure, entropies = probabilities(model, ids), {}, {}, {}
            for p in left:
                row = kept(tempered(rows[p], temperature), top_p, top_k, "k")
                tokens[p] = sampled(row, p, temperature, seed_of(seed, made))
                sure[p] = float(row[tokens[p]])
                own = row[row > 0]
                entropies[p] = -float((own * own.log()).sum())
            if strategy == "low_confidence_dynamic":
                chosen = [p for p in left if sure[p] > threshold]
                if len(chosen) < quota:
                    chosen = sorted(left, key=lambda p: (-sure[p], p))[:quota]
            else:
                ranked = sorted(left, key=lambda p: (entropies[p], p))
                sums = np.cumsum([entropies[p] for p in ranked])
                chosen = ranked[: max(1, int((sums < bound).sum()))]
            for p in chosen:
                ids[p], written[p] = tokens[p], made
        assert MASK not in [ids[p] for p in window] or strategy == "entropy_bounded"
    return tuple(ids[p] for p in places), tuple(written[p] for p in places)


@simulation
@pytest.mark.parametrize(
    ("seed", "strategy", "sampling", "shape"),
    spread(
        SEEDS,
        ("low_confidence_dynamic", "entropy_bounded"),
        ((0.0, 1.0, 0), (1.0, 0.9, 0), (0.8, 0.9, 30), (1.0, 1.0, 1)),
        ((4, 4), (6, 2), (12, 5)),
        every=3,
    ),
)
@pytest.mark.slow
def test_sdars_strategies(loaded, seed, strategy, sampling, shape):
    model, given = loaded["llada", seed], canvases(seed=seed)
    (temperature, top_p, top_k), (block, steps) = sampling, shape
    settings = {"top_p": top_p, "top_k": top_k}
    steps = block if strategy == "entropy_bounded" else steps
    for limit in (0.3, 0.9) if strategy == "low_confidence_dynamic" else (2.0, 20.0):
        own = settings if strategy[0] == "l" else settings | {"entropy_bound": limit}
        schedule = Schedule(
            *(steps * (12 // block), block, strategy, min(limit, 1.0), temperature),
            stop=False,
            seed=seed,
            rule_settings=RuleSettings.of(own),
        )
        for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
            literal = sdar(
                *(model, canvas, block, steps, strategy, limit, limit),
                *(temperature, top_p, top_k, seed),
            )
            assert (ours.tokens, ours.steps) == literal


def test_with_one_token_kept_any_threshold_commits_the_whole_block(loaded):
    """What docs/decoding.md warns of: confidence is taken after the cut, and so it is 1."""
    given = canvases()
    kept_one = RuleSettings(top_k=1)
    for order in ("threshold", "low_confidence_dynamic"):
        schedule = Schedule(12, 4, order, 0.99, 1.0, stop=False, rule_settings=kept_one)
        for ours in decode(loaded["llada", 0], given, schedule):
            assert ours.steps == (1,) * 4 + (2,) * 4 + (3,) * 4
            assert max(ours.logprobs) < math.log(0.99), "the model itself was less sure"


def factored(model, canvas, factor):
    """Fast-dLLM's factor: the n-th surest mask needs 1 - factor / (n + 1), the first nothing.

    As published, where the search stops at the last mask, that one is committed, too.
    """
    ids, places, made, written = list(canvas.ids), canvas.places, 0, {}
    while left := [p for p in places if ids[p] == MASK]:
        made += 1
        rows = probabilities(model, ids)
        tokens = {p: int(rows[p].argmax()) for p in left}
        ranked = sorted(left, key=lambda p: (-float(rows[p].max()), p))
        count = 0
        for n, p in enumerate(ranked, 1):
            count = n - 1
            if n > 1 and float(rows[p].max()) < 1 - factor / (n + 1):
                break
        if count in (0, len(left) - 1):
            count += 1
        for p in ranked[:count]:
            ids[p], written[p] = tokens[p], made
    return tuple(ids[p] for p in places), tuple(written[p] for p in places)


@simulation
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0, 3.0])
def test_fast_dllms_factor(loaded, seed, factor):
    model, given = loaded["llada", seed], canvases(seed=seed)
    settings = RuleSettings(factor=factor)
    schedule = Schedule(12, order="factor", stop=False, rule_settings=settings)
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        assert (ours.tokens, ours.steps) == factored(model, canvas, factor)


def edited(model, canvas, block, threshold, edit_threshold, most=16):
    """LLaDA2.1's loop: masks above a threshold, one at least, and written tokens that another
    outweighs; a block ends where a step without masks changes nothing, or after so many of these.
    """
    ids, places, passes, edits = list(canvas.ids), canvas.places, 0, 0
    for begin in range(0, len(places), block):
        window, extra = places[begin : begin + block], 0
        while True:
            left = [p for p in window if ids[p] == MASK]
            if not left:
                extra += 1
                if extra > most:
                    break
            passes += 1
            rows = probabilities(model, ids)
            best = {p: int(rows[p].argmax()) for p in window}
            sure = {p: float(rows[p].max()) for p in window}
            chosen = [p for p in left if sure[p] > threshold]
            if left and not chosen:
                chosen = sorted(left, key=lambda p: (-sure[p], p))[:1]
            written = [p for p in window if p not in left]
            changed = [p for p in written if sure[p] > edit_threshold and best[p] != ids[p]]
            edits += len(changed)
            if not chosen and not changed:
                break
            for p in (*chosen, *changed):
                ids[p] = best[p]
    return tuple(ids[p] for p in places), passes, edits


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(
    ("seed", "order", "thresholds", "block"),
    spread(
        SEEDS,
        ("threshold", "low_confidence_dynamic"),
        ((0.7, 0.5), (0.5, 0.0), (0.1, 0.2)),
        (4, 12),
        every=2,
    ),
)
def test_llada21s_editing(loaded, seed, order, thresholds, block):
    """Both modes, token for token and pass for pass; `at` shows each canvas as it was."""
    model, given, edits = loaded["llada", seed], canvases(seed=seed), 0
    threshold, edit = thresholds
    settings = RuleSettings(edit_threshold=edit)
    schedule = Schedule(12, block, order, threshold, stop=False, rule_settings=settings)
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        tokens, passes, changes = edited(model, canvas, block, threshold, edit)
        assert (ours.tokens, ours.passes, len(ours.edits)) == (tokens, passes, changes)
        assert [ours.at(ours.passes)[p] for p in canvas.places] == list(tokens)
        for change in ours.edits:
            place = canvas.places[change.mask]
            before, after = ours.at(change.step - 1), ours.at(change.step)
            assert (before[place], change.since < change.step) == (change.token, True)
            assert after[place] == int(probabilities(model, before)[place].argmax())
        edits += changes
    assert edits, "a network that never edits tests nothing"


def test_ends_never_and_turns_last_at_once(loaded):
    """The published loop takes both settings: no end of text, and an end of turn after all else."""
    model = loaded["llada", 1]
    turn = 7
    entry = models.resolve(model.entry.source)
    assert entry.eos_ids[:1] == (END,)
    rows = torch.log_softmax(torch.randn(6, 40, generator=torch.Generator().manual_seed(3)), -1)
    rows[0, 5], rows[1, turn] = 3.0, 4.0
    rows = rows.log_softmax(-1)
    places = torch.arange(6)
    found = readouts.candidates(rows, places, never=(5,), last=(5, turn))
    logits = rows.clone()
    logits[:, 5] = -torch.inf
    tokens = logits.argmax(-1)
    assert found[:, 0].tolist() == tokens.tolist()
    assert 5 not in tokens
    assert found[1, 0] == turn
    logits[:, [5, turn]] = -torch.inf
    sure = logits.softmax(-1).gather(1, tokens[:, None])[:, 0]
    for at in range(6):
        expected = -math.inf if tokens[at] == turn else math.log(sure[at])
        assert float(found[at, 2]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize(
    ("top_p", "top_k", "first"), [(0.7, 0, False), (1.0, 3, False), (0.7, 4, True), (0.7, 4, False)]
)
def test_truncated_rows_are_what_sorting_by_hand_keeps(temperature, top_p, top_k, first):
    """Over a vocabulary of more than one group of tokens."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.log_softmax(3 * torch.randn(5, 1500, generator=generator), -1)
    found = readouts.truncated(rows, temperature, top_p, top_k, first)
    for row, ours in zip(rows, found, strict=True):
        hot = (row / temperature).softmax(-1)
        alive = kept(hot, top_p, top_k, "p" if first else "k") > 0
        assert torch.equal(ours > -torch.inf, alive)
        expected = torch.where(alive, row, -torch.inf).log_softmax(-1)
        assert torch.allclose(ours[alive], expected[alive], atol=1e-5)
