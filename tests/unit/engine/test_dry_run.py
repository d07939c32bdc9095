"""The dry run: counts what it is asked, and answers in the shapes of an engine."""

import inspect
from itertools import pairwise

import numpy as np
import pytest
from checkpoints import bpe

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.loop import Continuation, Decoding
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine import readouts
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Answer, Block, Query, Readout
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint

ENTRY = Checkpoint("stub", "stub", "masked", mask_id=0, context=64)


def dry_run(model="tiny-mdlm"):
    entry = models.resolve(model)
    return DryRun(entry, models.load_border(entry))


@pytest.fixture(scope="module", params=["tiny-mdlm", "tiny-arlm", "oracle"])
def engine(request):
    return Engine(models.load(models.resolve(request.param)), batch_tokens=2048)


def queries(count, length=10):
    return [Query((1,) * length, (length - 1, 3), (Readout("entropy"),)) for _ in range(count)]


# ---------------------------------------------------------------------- counts


def test_queries_are_counted_and_checked():
    counter = DryRun(ENTRY, Border(bpe(), ENTRY))
    assert len(counter.ask(queries(3))) == 3
    assert (counter.lengths, counter.asked) == ([10, 10, 10], 6)
    assert (counter.largest, counter.calls, counter.passes) == (30, 1, 1)
    with pytest.raises(ProbeError, match="65 tokens"):
        counter.ask(queries(1, 65))
    assert len(counter.lengths) == 3


def test_attributions_are_counted_as_several_passes():
    counter = DryRun(ENTRY, Border(bpe(), ENTRY))
    found = counter.attribute(queries(3))
    assert [len(one.scores) for one in found] == [10, 10, 10]
    assert {one.gap for one in found} == {None}
    assert (counter.lengths, counter.asked, counter.passes) == ([10, 10, 10], 6, 2)
    (one,) = counter.attribute(queries(1), "integrated-gradients", 20)
    assert one.gap == 0
    assert counter.passes == 40


def decodings(counter, schedule):
    masks = counter.entry.mask_id
    canvases = [Canvas((5, 6, *[masks] * n), tuple(range(2, n + 2))) for n in (4, 8)]
    return [Decoding(canvas, schedule, counter.entry) for canvas in canvases]


@pytest.mark.parametrize(
    "schedule",
    [Schedule(4), Schedule(2, 4), Schedule(4, order="threshold"), Schedule(4, at_once=3)],
)
def test_decoding_is_counted_at_most_and_answered_whole(schedule):
    """Whole canvases, though the likely one ends at once; each is as long as it was."""
    counter = dry_run()
    works = decodings(counter, schedule)
    found = counter.run(works)
    made = [schedule.made(4), schedule.made(8)]
    assert sorted(counter.lengths) == [6] * made[0] + [10] * made[1]
    assert (counter.largest, counter.calls) == (16, max(made))
    for work, decoded in zip(works, found, strict=True):
        assert len(decoded.tokens) == len(work.canvas.places)
        assert min(decoded.steps) == max(decoded.steps) == 1
        assert not {counter.entry.mask_id, *counter.entry.eos_ids} & set(decoded.tokens)


def test_what_is_needed_beside_is_answered_and_not_counted():
    alone, counter = dry_run(), dry_run()
    work, beside = decodings(counter, Schedule(4))
    alone.run([work])
    found = counter.run([work], [beside])
    assert [len(decoded.tokens) for decoded in found] == [4, 8]
    assert counter.lengths == alone.lengths
    assert (counter.asked, counter.largest, counter.calls) == (alone.asked, alone.largest, 4)


def test_guided_passes_go_through_the_network_twice_and_are_asked_once():
    counter = dry_run()
    counter.run(decodings(counter, Schedule(4, guidance=1.0)))
    assert sorted(set(counter.lengths)) == [12, 20]
    assert counter.largest == 16


def test_continuations_grow_to_their_end():
    counter = dry_run("tiny-arlm")
    works = [
        Continuation((5,) * n, 3, Schedule(), counter.entry, "c", counter.has_kv_cache)
        for n in (2, 7)
    ]
    found = counter.run(works)
    assert sorted(counter.lengths) == [2, 3, 4, 7, 8, 9]
    assert (counter.asked, counter.largest, counter.calls) == (6, 9, 3)
    assert [len(decoded.tokens) for decoded in found] == [1, 1]


def test_a_canvas_beyond_the_context_is_refused():
    counter = DryRun(ENTRY, Border(bpe(), ENTRY))
    canvas = Canvas((0,) * 65, tuple(range(65)), "c7")
    with pytest.raises(ProbeError, match="65 tokens, in cell c7"):
        counter.run([Decoding(canvas, Schedule(65), ENTRY)])


# ---------------------------------------------------------------------- answers


ASKED = (3, 7, 8)
READOUTS = [
    *(Readout(name) for name in ("entropy", "top_id", "top_logprob", "whole")),
    *(Readout("top_ids", (n,)) for n in (1, 5, 10**6)),
    *(Readout("top_logprobs", (n,)) for n in (1, 5, 10**6)),
    *(Readout("chosen", ids) for ids in ((2,), (3, 3, 4))),
    *(Readout("mass", ids) for ids in ((2,), (3, 3, 4), ())),
    Readout("drawn", (0.3,)),
    Readout("own", (3, *range(6))),
    Readout("own_tokens", (3, *((n, 5, 2 * n) for n in range(6)))),
    Readout("candidates", ("probability", 0.0, 0)),
    Readout("candidates", ("entropy", 1.0, 4, (2,), (3,), True)),
    Readout("candidates", ("probability", 1.0, 4, (2,), (3,), True, 0.9, 3, True)),
    Readout("other", (5,)),
]
BLOCKS = [
    Block("mean", (0, 2)),
    Block("divergences", (0, 2, 1), (((0, 1), (1, 2)), 1 << 20)),
]


def test_every_readout_is_tried():
    """A new readout needs a shape for dry runs, and a line above."""
    functions = {
        name
        for name, function in inspect.getmembers(readouts, inspect.isfunction)
        if next(iter(inspect.signature(function).parameters)) == "rows" and name[0] != "_"
    }
    helpers = {"without", "normalised", "truncated"}
    assert functions - helpers == {asked.name for asked in (*READOUTS, *BLOCKS)}


def test_shapes_and_types_are_an_engines(engine):
    ids = list(range(10, 20))
    if engine.entry.mask_id is not None:
        ids[3:] = [engine.entry.mask_id] * 7
    query = Query(tuple(ids), ASKED, tuple(READOUTS), blocks=tuple(BLOCKS))
    (likely,) = DryRun(engine.entry, engine.border).ask([query])
    (found,) = engine.ask([query])
    assert tuple(likely) == tuple(found) == (*READOUTS, *BLOCKS)
    for name, array in found.items():
        assert likely[name].shape == array.shape, name
        assert likely[name].dtype == array.dtype, name
        assert np.isfinite(likely[name]).all(), name


def test_answers_are_those_of_an_even_distribution():
    counter = dry_run()
    vocab = counter.entry.geometry["vocab"]
    names = ("entropy", "top_logprob", "whole")
    readings = (*map(Readout, names), Readout("mass", (5, 6, 6)), Readout("chosen", (1,)))
    (found,) = counter.ask([Query((5,) * 9, ASKED, readings)])
    assert found["whole"].shape == (3, vocab)
    assert np.exp(found["whole"]).sum(-1) == pytest.approx(1, abs=1e-4)
    assert found["entropy"] == pytest.approx(np.log(vocab))
    assert found["top_logprob"] == pytest.approx(-np.log(vocab))
    assert found["chosen"] == pytest.approx(-np.log(vocab))
    assert found["mass"] == pytest.approx(2 / vocab)


def test_confidence_differs_between_masks_and_not_between_runs():
    query = Query((5,) * 20, tuple(range(2, 20)), (Readout("candidates", ("probability",)),))
    first, again = (dry_run().ask([query])[0]["candidates"] for _ in range(2))
    assert (first == again).all()
    ordered = sorted(first[:, 2])
    assert all(a < b for a, b in pairwise(ordered))
    assert max(ordered) < -0.5


# ---------------------------------------------------------------------- lookups


def test_an_answer_is_looked_up_by_readout_or_by_its_only_name():
    masses = Readout("mass", (1,)), Readout("mass", (2,))
    block = Block("mean", (0,))
    answer = Answer({Readout("entropy"): np.array([1.0, 2.0]), block: np.array([3.0])})
    answer |= {mass: np.array([n, n]) for n, mass in enumerate(masses)}
    assert answer["entropy"].tolist() == answer[Readout("entropy")].tolist() == [1.0, 2.0]
    assert answer["mean"].tolist() == answer[block].tolist() == [3.0]
    assert [answer[mass][0] for mass in masses] == [0, 1]
    with pytest.raises(KeyError, match="2 readouts named 'mass'"):
        answer["mass"]
    with pytest.raises(KeyError, match="0 readouts named 'top_id'"):
        answer["top_id"]
    with pytest.raises(KeyError):
        answer[Readout("mass", (3,))]
    part = answer.part([Readout("entropy"), masses[1]], [1])
    assert {name.name: values.tolist() for name, values in part.items()} == {
        "entropy": [2.0],
        "mass": [1],
    }
