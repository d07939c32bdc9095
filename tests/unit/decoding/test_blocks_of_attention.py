"""Decoding under block-causal attention against literal loops, in every family's form.

The literal loops keep nothing: each pass feeds the text up to the end of the block, under a mask of
attention that is made place by place. Ours keeps finished blocks, and must write the same.
"""

import random
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from dense_checkpoints import BLOCK_SIZES, write_dense
from simulations import WHOLE, simulation, spread

from mdlm_probe import models
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.decoding import loop, presets
from mdlm_probe.decoding.layout import laid_out, layout
from mdlm_probe.decoding.rules import RuleSettings
from mdlm_probe.decoding.schedule import Schedule, unfit
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.noise import gumbel
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.prompts import shipped

FAMILIES = ("sdar", "dream_reasoner", "stable_diffcoder", "a2d-bd3lm", "fast_dllm")
LENGTHS = (3, 4, 8, 9, 12, 17)
"""Of prompts: shorter than a block, ending with one, and amid one."""
OF_A_KIND = (3, 8, 17)
COMPARED = LENGTHS if WHOLE else OF_A_KIND


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """Of every family a network, whose tokens are spread so that thresholds have a say."""
    root, found = tmp_path_factory.mktemp("blocks"), {}
    for name in FAMILIES:
        folder = write_dense(root / name, name, seed=len(found))
        load = LoadOptions(block_size=BLOCK_SIZES.get(name))
        found[name] = models.load(models.entry_for(str(folder), load), load)
        with torch.no_grad():
            found[name].network.get_output_embeddings().weight.mul_(3)
    after_prompt = replace(found["a2d-bd3lm"].entry, origin="prompt")
    found["a2d-bd3lm"].entry = found["a2d-bd3lm"].border.entry = after_prompt
    return found


class Forgetful(Engine):
    """An engine that keeps no keys and values."""

    has_kv_cache = False


def prompts(mask, lengths=LENGTHS):
    rng = random.Random(5)
    tokens = [token for token in range(6, 250) if token != mask]
    return [tuple(rng.choice(tokens) for _ in range(length)) for length in lengths]


def canvases(model, masks=12, last_block="whole", lengths=LENGTHS):
    found = []
    for prompt in prompts(model.entry.mask_id, lengths):
        ids = (*prompt, *[model.entry.mask_id] * masks)
        places = tuple(range(len(prompt), len(ids)))
        found.append(laid_out(ids, places, model.entry, "canvas", last_block))
    return found


def decode(model, given, schedule, engine=Engine):
    asker = engine(model, batch_tokens=4096)
    found = loop.decode_all(asker, given, [schedule] * len(given))
    assert asker.tokens == sum(ours.network_tokens for ours in found)
    return found


# ---------------------------------------------------------------------- literal loops


def probabilities(model, ids, origin=0):
    """[length, vocabulary]: row i scores the token at i; nothing behind its block is seen."""
    logits = network_logits(model.network, tuple(ids), origin, model.entry.block).clone()
    if model.shift:
        logits = torch.cat([logits[:1], logits[:-1]])
    logits[:, model.entry.mask_id] = -torch.inf
    return logits.softmax(-1)


@lru_cache(4096)
def network_logits(network, ids, origin, block):
    number = [(place - origin) // block for place in range(len(ids))]
    mask = torch.tensor([[key <= query for key in number] for query in number])
    with torch.no_grad():
        return network(
            input_ids=torch.tensor([ids]),
            attention_mask=mask[None, None],
            position_ids=torch.arange(len(ids))[None],
        ).logits[0]


def ends_of_blocks(model, prompt, masks, whole):
    """Where the blocks that hold masks end: from position 0 on, or from the prompt's end."""
    block, last = model.entry.block, prompt + masks
    origin = prompt % block if model.entry.origin == "prompt" else 0
    ends = [end for end in range(origin + block, last + block, block) if end > prompt]
    return origin, ends if whole else [min(end, last) for end in ends if end - block < last]


def dynamic(model, prompt, masks, threshold, temperature=0.0, seed=0, whole=True):
    """SDAR's loop, LLaDA2.0's and DreamReasoner's: in each block all above the threshold, one at
    least; the prompt's tail is in the first one. Returns tokens, steps, passes and blocks.
    """
    origin, ends = ends_of_blocks(model, len(prompt), masks, whole)
    ids = list(prompt) + [model.entry.mask_id] * (ends[-1] - len(prompt))
    made, written = 0, {}
    for end in ends:
        while left := [p for p in range(len(prompt), end) if ids[p] == model.entry.mask_id]:
            made += 1
            rows, tokens, sure = probabilities(model, ids[:end], origin), {}, {}
            noise = torch.zeros_like(rows[left])
            if temperature:
                noise = gumbel(seed_of(seed, made), torch.tensor(left), rows.shape[1])
            for p, own in zip(left, noise, strict=True):
                row = rows[p] if temperature == 0 else (rows[p].log() / temperature).softmax(-1)
                drawn = row.double().log() + own
                tokens[p] = int(drawn.argmax())
                sure[p] = float(row[tokens[p]])
            chosen = [p for p in left if sure[p] > threshold]
            for p in chosen or [max(left, key=lambda p: (sure[p], -p))]:
                ids[p], written[p] = tokens[p], made
    answer = range(len(prompt), len(ids))
    return tuple(ids[p] for p in answer), tuple(written[p] for p in answer), made, len(ends)


def fast(model, prompt, masks, threshold, small):
    """Fast-dLLM v2's loop: a block's first token from the last row of the finished blocks, then
    sub-blocks left to right, in each all above the threshold, one at least.
    """
    block, ids, made, written = model.entry.block, list(prompt), 0, {}
    blocks = 0
    while len(ids) < len(prompt) + masks or len(ids) % block:
        blocks += 1
        if len(ids) % block == 0:
            made += 1
            with_next = probabilities(model, [*ids, model.entry.mask_id])
            written[len(ids)] = made
            ids.append(int(with_next[-1].argmax()))
        begin = len(ids) // block * block
        ids += [model.entry.mask_id] * (begin + block - len(ids))
        for first in range(begin, begin + block, small):
            window = range(first, first + small)
            while left := [p for p in window if ids[p] == model.entry.mask_id]:
                made += 1
                rows = probabilities(model, ids)
                sure = {p: float(rows[p].max()) for p in left}
                chosen = [p for p in left if sure[p] > threshold]
                for p in chosen or [max(left, key=lambda p: (sure[p], -p))]:
                    ids[p], written[p] = int(rows[p].argmax()), made
    answer = range(len(prompt), len(ids))
    return tuple(ids[p] for p in answer), tuple(written[p] for p in answer), made, blocks


# ---------------------------------------------------------------------- comparisons


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(
    ("name", "threshold", "temperature", "last_block"),
    spread(FAMILIES[:4], (0.1, 0.3, 1.0), (0.0, 1.0), ("whole", "cut"), every=3),
)
def test_dynamic_thresholds_in_blocks(loaded, name, threshold, temperature, last_block):
    """Token for token, step for step and pass for pass, with finished blocks kept and without."""
    model, order = loaded[name], "low_confidence_dynamic"
    schedule = Schedule(12, 0, order, threshold, temperature, stop=False, seed=3)
    given = canvases(model, last_block=last_block, lengths=COMPARED)
    kept = decode(model, given, schedule)
    plain = decode(model, given, schedule, Forgetful)
    for canvas, ours, other in zip(given, kept, plain, strict=True):
        prompt = canvas.ids[: canvas.places[0]]
        tokens, steps, passes, blocks = dynamic(
            model, prompt, 12, threshold, temperature, 3, last_block == "whole"
        )
        assert (ours.tokens, ours.steps) == (tokens, steps)
        assert (other.tokens, other.steps) == (tokens, steps)
        # one more pass keeps each finished block, but for the last
        assert (ours.passes, other.passes) == (passes + blocks - 1, passes)
        assert ours.network_tokens < other.network_tokens or blocks == 1


@pytest.mark.slow
@simulation
@pytest.mark.parametrize("small", [1, 2, 4])
@pytest.mark.parametrize("threshold", [0.1, 0.3, 1.0])
def test_fast_dllms_first_tokens_and_sub_blocks(loaded, small, threshold):
    model = loaded["fast_dllm"]
    schedule = Schedule(12, small, "threshold", threshold, stop=False)
    given = canvases(model, lengths=COMPARED)
    both = decode(model, given, schedule), decode(model, given, schedule, Forgetful)
    for canvas, ours, other in zip(given, *both, strict=True):
        prompt = canvas.ids[: canvas.places[0]]
        tokens, steps, passes, _ = fast(model, prompt, 12, threshold, small)
        assert (ours.tokens, ours.steps, ours.passes) == (tokens, steps, passes)
        assert (other.tokens, other.steps, other.passes) == (tokens, steps, passes)
        assert ours.network_tokens < other.network_tokens


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_mask_a_step_is_a_step_a_mask(loaded, name):
    """Stable-DiffCoder's and dllm's loops: the quota is one, whatever block the prompt ends in."""
    model = loaded[name]
    given = canvases(model, last_block="cut")
    for ours in decode(model, given, Schedule(12, 0, "low_confidence", stop=False)):
        assert sorted(ours.steps) == list(range(1, 13))
        assert model.entry.mask_id not in ours.tokens
        for step in range(1, 13):
            mask = ours.steps.index(step)
            place = ours.canvas.places[mask]
            origin = model.entry.origin_after(ours.canvas.places[0])
            begin, end = model.entry.block_span(place, origin)
            before = ours.at(step - 1)[:end]
            if model.shift and place == begin:
                before = before[: place + 1]
            rows = probabilities(model, before, origin)
            assert ours.tokens[mask] == int(rows[place].argmax())
            left = [p for p in ours.canvas.places if begin <= p < end]
            left = [p for p in left if p < len(before) and before[p] == model.entry.mask_id]
            if not (model.shift and place == begin):
                assert float(rows[place].max()) >= max(float(rows[p].max()) for p in left) - 1e-6


@pytest.mark.slow
@simulation
@pytest.mark.parametrize(
    ("name", "thresholds"),
    spread(("sdar", "dream_reasoner"), ((0.7, 0.5), (0.5, 0.0), (0.1, 0.1)), every=2),
)
def test_editing_in_blocks(loaded, name, thresholds):
    """LLaDA2.1's loop: edits stay inside the current block, and so finished ones are kept."""
    model, edits, (threshold, edit) = loaded[name], 0, thresholds
    settings = RuleSettings(edit_threshold=edit)
    schedule = Schedule(
        12, 0, "low_confidence_dynamic", threshold, stop=False, rule_settings=settings
    )
    given = canvases(model, lengths=COMPARED)
    both = decode(model, given, schedule), decode(model, given, schedule, Forgetful)
    for canvas, ours, other in zip(given, *both, strict=True):
        prompt, mask = canvas.ids[: canvas.places[0]], model.entry.mask_id
        origin, ends = ends_of_blocks(model, len(prompt), 12, True)
        ids, passes = list(prompt) + [mask] * (ends[-1] - len(prompt)), 0
        for end in ends:
            window, extra = range(max(len(prompt), end - model.entry.block), end), 0
            while extra < 16:
                left = [p for p in window if ids[p] == mask]
                extra += not left
                passes += 1
                rows = probabilities(model, ids[:end], origin)
                best = {p: int(rows[p].argmax()) for p in window}
                sure = {p: float(rows[p].max()) for p in window}
                chosen = [p for p in left if sure[p] > threshold]
                if left and not chosen:
                    chosen = [max(left, key=lambda p: (sure[p], -p))]
                changed = [p for p in window if p not in left and best[p] != ids[p]]
                changed = [p for p in changed if sure[p] > edit]
                if not chosen and not changed:
                    break
                edits += len(changed)
                for p in (*chosen, *changed):
                    ids[p] = best[p]
        tokens = tuple(ids[len(prompt) :])
        assert (ours.tokens, ours.passes) == (tokens, passes + len(ends) - 1)
        assert (other.tokens, other.passes) == (tokens, passes)
        assert ours.edits == other.edits
    assert edits, "a network that never edits tests nothing"


def test_the_last_block_is_filled_or_cut(loaded):
    model = loaded["sdar"]
    for canvas, prompt in zip(canvases(model), prompts(model.entry.mask_id), strict=True):
        assert len(canvas.ids) % 4 == 0
        assert 0 <= canvas.extra < 4
        assert len(canvas.places) - canvas.extra == 12
        assert canvas.ids[: len(prompt)] == prompt
        assert canvas.ids[len(prompt) :] == (model.entry.mask_id,) * len(canvas.places)
    model = loaded["a2d-bd3lm"]
    for canvas in canvases(model):  # blocks begin at the prompt's end: 12 masks are three of them
        assert canvas.extra == 0


def test_steps_are_shared_out_by_the_masks_that_were_asked_for(loaded):
    """The prompt's tail adds a block, which has as many steps as the last one."""
    model = loaded["sdar"]
    for canvas in canvases(model):
        plans = layout(canvas, Schedule(12, 0), model.entry)
        assert {plan.steps for plan in plans} == {4}
        assert [plan.end for plan in plans] == sorted({plan.end for plan in plans})
        plans = layout(canvas, Schedule(7, 4), model.entry)
        assert [plan.steps for plan in plans] == [3, 2, 2, 2][: len(plans)]
        plans = layout(canvas, Schedule(12, 2), model.entry)
        assert {len(plan.masks) for plan in plans} <= {1, 2}
        assert sum(len(plan.masks) for plan in plans) == len(canvas.places)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sdar", "fast_dllm"])
@pytest.mark.parametrize("engine", [Engine, Forgetful])
@pytest.mark.parametrize("block", [0, 2])
def test_a_dry_run_counts_what_an_engine_takes_at_most(loaded, name, engine, block):
    """A mask a step: exactly so; a threshold may need fewer."""
    model = loaded[name]
    for canvas in canvases(model, lengths=OF_A_KIND):
        schedule = Schedule(12, block, "low_confidence", stop=False)
        cached = engine is Engine
        work = loop.Decoding(canvas, schedule, model.entry, None, cached)
        counted = [one for (one,) in work.passes()]
        (ours,) = decode(model, [canvas], schedule, engine)
        first_tokens = name == "fast_dllm"
        assert len(counted) >= ours.passes
        assert sum(one.network_tokens for one in counted) >= ours.network_tokens
        if not first_tokens:
            assert len(counted) == ours.passes
            assert sum(one.network_tokens for one in counted) == ours.network_tokens
        counter = DryRun(model.entry, model.border)
        (brief,) = counter.run([work])
        assert len(brief.tokens) == len(canvas.places)


def test_what_a_models_blocks_do_not_go_with_is_refused(loaded):
    entry = loaded["sdar"].entry
    assert unfit(4, "none", entry) == unfit(2, "prefix", entry) == ""
    assert "blocks of 4" in unfit(32, "none", entry)
    assert "blocks of 4" in unfit(3, "none", entry)
    assert "exact" in unfit(4, "dual", entry)
    assert unfit(32, "dual", models.resolve("tiny-mdlm")) == ""


def test_an_early_stop_changes_nothing_before_the_end(loaded):
    model = loaded["sdar"]
    ends = model.entry.eos_ids
    with torch.no_grad():
        model.network.get_output_embeddings().weight[list(ends)] *= 3
    network_logits.cache_clear()
    given = canvases(model)
    whole = decode(model, given, Schedule(12, 0, stop=False))
    short = decode(model, given, Schedule(12, 0))
    stopped = 0
    for a, b in zip(whole, short, strict=True):
        first = next((i for i, t in enumerate(a.tokens) if t in ends), len(a.tokens))
        assert a.tokens[: first + 1] == b.tokens[: first + 1]
        assert b.passes <= a.passes
        stopped += b.passes < a.passes
    assert stopped


def test_guided_passes_keep_nothing(loaded):
    model = loaded["dream_reasoner"]
    given = canvases(model)
    guided = Schedule(12, 0, guidance=0.5, stop=False)
    both = decode(model, given, guided), decode(model, given, guided, Forgetful)
    assert both[0] == both[1]


# ---------------------------------------------------------------------- authors' settings


def scheduled(preset, **more):
    """A preset of the shipped file as a schedule of twelve masks in twelve steps, and its rule."""
    settings = Document(shipped.folder() / presets.FILE).data[preset]["settings"]
    named = {n: settings[n] for n in ("threshold", "temperature") if n in settings}
    rules = RuleSettings.of(settings)
    return Schedule(
        12, 0, settings["order"], **named, stop=False, seed=7, rule_settings=rules, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "name", "threshold", "temperature"),
    [
        ("sdar", "sdar", 0.9, 1.0),
        ("sdar-generate", "sdar", 0.85, 1.0),
        ("llada2.0", "dream_reasoner", 0.95, 0.0),  # the same loop, in blocks of any size
        ("dream-reasoner", "dream_reasoner", 0.9, 0.0),
    ],
)
def test_presets_with_a_dynamic_threshold(loaded, preset, name, threshold, temperature):
    model, schedule = loaded[name], scheduled(preset)
    given = canvases(model, last_block=schedule.rule_settings.last_block)
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        prompt = canvas.ids[: canvas.places[0]]
        literal = dynamic(model, prompt, 12, threshold, temperature, 7)
        assert (ours.tokens, ours.steps) == literal[:2]


@pytest.mark.parametrize(
    ("preset", "name"),
    [("stable-diffcoder", "stable_diffcoder"), ("a2d-bd3lm", "a2d-bd3lm"), ("sdar-static", "sdar")],
)
def test_presets_of_a_mask_a_step(loaded, preset, name):
    """No threshold is reached: the surest mask, whichever that is."""
    model, schedule = loaded[name], scheduled(preset)
    whole = schedule.rule_settings.last_block == "whole"
    given = canvases(model, last_block=schedule.rule_settings.last_block)
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        prompt = canvas.ids[: canvas.places[0]]
        literal = dynamic(model, prompt, 12, 1.0, 0.0, 7, whole)
        assert (ours.tokens, ours.steps) == literal[:2]
        assert whole == (preset == "sdar-static")


def test_the_preset_of_fast_dllm(loaded):
    """Its sub-blocks are a fourth of its block, here of four tokens."""
    model, schedule = loaded["fast_dllm"], replace(scheduled("fast-dllm-v2"), block=1)
    given = canvases(model)
    for canvas, ours in zip(given, decode(model, given, schedule), strict=True):
        prompt = canvas.ids[: canvas.places[0]]
        assert (ours.tokens, ours.steps) == fast(model, prompt, 12, 0.9, 1)[:2]


@pytest.mark.parametrize(
    ("preset", "threshold", "edit"), [("llada2.1-quality", 0.7, 0.5), ("llada2.1-speed", 0.5, 0.0)]
)
def test_presets_that_edit_are_the_modes_that_were_compared(preset, threshold, edit):
    """With `test_editing_in_blocks`."""
    schedule = scheduled(preset)
    assert schedule.threshold == threshold
    assert schedule.rule_settings == RuleSettings(edit_threshold=edit)
    assert (schedule.order, schedule.temperature) == ("low_confidence_dynamic", 0.0)
