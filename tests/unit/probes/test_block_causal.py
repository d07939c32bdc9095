"""Probes and block-causal attention: what later blocks hold is neither asked nor seen."""

from dataclasses import replace

import numpy as np
import pytest
from planted import by_kind

from mdlm_probe.decoding.canvas_of_prompt import appended
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models import load, resolve
from mdlm_probe.probes.attribution import probe as attribution
from mdlm_probe.probes.decay import probe as decay
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.probes.joint.pairs_of_masks import couple
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.prompts.texts import load as load_texts
from tests.helpers import block_models

FEW = {"lexicon": "small", "limit": 1, "shots": 2, "distractors": 2, "tasks": ("verb-smallest",)}
SWEPT = FEW | {"shots": (2,), "distractors": (2,)}
BLOCK = 8
MEASURES = ("pairs", "sets", "orders", "budget")


@pytest.fixture(scope="module", params=[0, 1], ids=["unshifted", "shifted"])
def model(request):
    return block_models.tiny(BLOCK, shift=request.param)


@pytest.fixture(scope="module")
def engine(model):
    return Engine(model, batch_tokens=2048)


def entry(block, shift=0):
    return replace(resolve("tiny-mdlm"), block=block, shift=shift)


@pytest.mark.parametrize("block", [2, 4, 32])
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("place", [1, 5, 31, 32, 33, 100])
def test_a_place_begins_its_block_or_stands_right_behind_its_beginning(block, shift, place):
    """With a shift the first of a block is read from the block before: it sees none of its own."""
    told = entry(block, shift)
    origin = told.origin_at(place)
    own = [p for p in range(300) if (p - origin) // block == (place - origin) // block]
    assert 0 <= origin < block
    assert own[0] == place - shift or place - shift < 0
    assert own[-1] - place == told.block_rest
    assert entry(0).origin_at(place) == 0


def row_of(engine, cell):
    ((_, (row,)),) = masks.measure(engine, [cell])
    return row


@pytest.mark.parametrize("side", ["right", "left", "both"])
def test_appended_masks_are_in_the_answers_block_up_to_its_end_and_unseen_beyond(engine, side):
    """Each mask up to the block's end moves the answer; all behind it change no bit of it."""
    rest = engine.entry.block_rest
    cells = masks.plan(
        masks=tuple(map(str, range(2 * BLOCK))), filler=("mask",), side=(side,), steps=(1,), **SWEPT
    )
    values = []
    for cell in cells:
        assert bool(masks.refuse(cell, engine.entry)) == (
            masks.fillers.behind(cell.amount, cell.side) > rest
        )
        values.append(row_of(engine, cell)["logp_right"])
    moved = np.flatnonzero(np.diff(values) != 0) + 1
    behind = [masks.fillers.behind(cell.amount, side) for cell in cells]
    expected = [k for k in range(1, len(cells)) if behind[k] == behind[k - 1] or behind[k] <= rest]
    assert moved.tolist() == expected


def test_masks_are_swept_up_to_the_end_of_the_block():
    assert masks.suited(entry(32))["masks"] == ("0", "1", "2", "5", "10", "20", "31")
    assert masks.suited(entry(32, 1))["masks"] == ("0", "1", "2", "5", "10", "20", "30")
    assert masks.suited(entry(4))["masks"] == ("0", "1", "2", "3")
    assert attribution.suited(entry(4))["masks"] == (0, 3)
    assert masks.suited(entry(0)) == attribution.suited(entry(0)) == {}


@pytest.mark.parametrize("amount", ["5%", "max"])
def test_amounts_that_depend_on_the_prompt_are_refused_behind_it_only(amount):
    cells = masks.plan(masks=(amount,), filler=("mask",), side=("right", "left", "both"), **SWEPT)
    refused = {cell.side for cell in cells if masks.refuse(cell, entry(8))}
    assert refused == {"right", "both"}


def test_questions_whose_examples_stand_in_later_blocks_are_refused():
    places = ("left", "middle", "right")
    for probe, extra in ((locality, {"positions": (0,)}), (attribution, {"orders": 1})):
        cells = probe.plan(question=places, masks=(0,), **extra, **FEW)
        assert {c.question for c in cells if not probe.refuse(c, entry(8))} == {"right"}
        assert {c.question for c in cells if not probe.refuse(c, entry(0))} == set(places)


@pytest.mark.parametrize(
    ("probe", "name", "most"),
    [(locality, "question_masks", 8), (attribution, "appended_masks", 7)],
)
def test_masks_of_a_question_fit_its_block(probe, name, most):
    """The locality probe counts the answer's own mask, attribution those behind it."""
    extra = {"positions": (0,)} if probe is locality else {"orders": 1}
    cells = probe.plan(masks=tuple(range(20)), **extra, **FEW)
    assert max(getattr(c, name) for c in cells if not probe.refuse(c, entry(8))) == most


def test_a_mask_of_decay_sees_its_block_and_those_before_it(engine):
    """The first mask begins a block; a longer canvas changes nothing, for any mask."""
    few = {"lexicon": "small", "limit": 1, "tasks": ("topic",), "grid": ("all",), "lag": 1}
    tasks = {cell.task for cell in decay.plan(**(few | {"tasks": ("all",)}))}
    short, long = (
        list(decay.plan(**(few | {"tasks": tuple(sorted(tasks))[:1], "masks": size})))
        for size in (16, 24)
    )
    rows = [next(iter(decay.measure(engine, cells)))[1]["places"] for cells in (short, long)]
    tops = [[row["top1_prob"] for row in some][:16] for some in rows]
    assert tops[0] == tops[1]
    assert len(set(tops[0])) > BLOCK


def test_both_sides_of_a_mask_are_refused_where_one_isnt_seen():
    cells = decay.plan(context="both", lexicon="small", limit=1, tasks=("all",))
    assert all(decay.refuse(cell, entry(8)) for cell in cells)
    assert not any(decay.refuse(cell, entry(0)) for cell in cells)


SMALL = {"lexicon": "small", "limit": 2, "tasks": ("all",)}


@pytest.fixture(scope="module")
def exact():
    """The exact posterior of a block-causal model, in one engine."""
    return Engine(load(resolve("oracle-block")), batch_tokens=4096)


@pytest.mark.slow
def test_two_orders_within_a_block_factorise_one_distribution(exact):
    """Circulation and the orders' spread vanish; a pair across blocks has a circulation."""
    options = joint.suited(exact.entry) | {"measure": ("pairs", "orders"), "random": 2}
    cells = list(joint.plan(**options, **SMALL))
    assert not any(joint.refuse(cell, exact.entry) for cell in cells)
    found = [
        (cell, row)
        for cell, rows in joint.measure(exact, cells)
        for own in by_kind(rows).values()
        for row in own
    ]
    turns = [row["circulation"] for cell, row in found if cell.measure == "pairs"]
    assert np.abs(turns).max() < 1e-4
    logps = {}
    for cell, row in found:
        if cell.measure == "orders":
            logps.setdefault(cell.prompt, []).append(row["logp"])
    assert max(np.ptp(values) for values in logps.values()) < 1e-4
    canvas = appended(exact, load_texts("decay", "small")[0], exact.entry.block, "across")
    across = replace(canvas, origin=(canvas.origin + 1) % exact.entry.block)
    pair = 0, 1
    inside, outside = multi_step.run(exact, [couple(one, *pair, 8) for one in (canvas, across)])
    assert abs(inside.circulation) < 1e-4 < 0.01 < abs(outside.circulation)


@pytest.mark.parametrize("shift", [0, 1])
def test_joints_beyond_a_block_are_refused_but_for_the_order_of_reading(shift):
    told, holds = entry(8, shift), 8 - shift
    cells = [
        cell
        for size in range(2, 20)
        for cell in joint.plan(
            **SMALL, masks=size, length=size, spacing=(1,), budget=(1,), measure=MEASURES
        )
    ]
    for cell in cells:
        beyond = cell.masks > holds and cell.reveal_order != "left_to_right"
        assert bool(joint.refuse(cell, told)) == beyond, cell
        assert not joint.refuse(cell, entry(0))
    holes = joint.plan(
        **SMALL, masks=30, canvas="holes", spacing=(1, 8 - shift), measure=("pairs",)
    )
    assert all(joint.refuse(cell, told) for cell in holes)
    holes = joint.plan(**SMALL, masks=30, canvas="holes", spacing=(7 - shift,), measure=("pairs",))
    assert not any(joint.refuse(cell, told) for cell in holes)
