"""Spans of masks: where they stand, what is compared, and what is refused."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.probes.decay import distances as spans
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.texts import chosen
from mdlm_probe.runs.rough_border import RoughBorder

TEXT = Text("one", "prose", " the wind crossed a hill.", " every door kept the light.")


def asker(name="tiny-mdlm"):
    entry = models.resolve(name)
    return SimpleNamespace(entry=entry, border=models.load_border(entry))


def test_masks_follow_the_prompt_and_stand_before_its_continuation():
    left = canvas_of_prompt.span(asker(), TEXT, 5, "left")
    assert asker().border.decode(left.ids) == TEXT.prompt + "<mask>" * 5
    assert left.places == tuple(range(len(left.ids) - 5, len(left.ids)))
    both = canvas_of_prompt.span(asker(), TEXT, 5, "both")
    assert asker().border.decode(both.ids) == TEXT.prompt + "<mask>" * 5 + TEXT.continuation
    assert both.places == left.places
    assert set(left.own) == set(left.ids) - {asker().entry.mask_id}
    assert set(both.own) == set(both.ids) - {asker().entry.mask_id}


def test_a_causal_model_gets_the_prompt_alone():
    span = canvas_of_prompt.span(asker("tiny-arlm"), TEXT, 5, "left")
    assert asker().border.decode(span.ids) == TEXT.prompt
    assert span.places == ()


def test_distances_are_to_the_nearest_visible_token():
    assert spans.distances(5, "left") == (1, 2, 3, 4, 5)
    assert spans.distances(5, "both") == (1, 2, 3, 2, 1)
    assert spans.distances(4, "both") == (1, 2, 2, 1)


@pytest.mark.parametrize("context", ["left", "both"])
def test_the_middle_keeps_a_guard_of_a_quarter_on_both_sides(context):
    assert spans.middle(8, context) == (2, 3, 4, 5)
    assert spans.middle(256, context)[0] == 64
    assert 188 < spans.middle(256, context)[-1] < 192
    for masks in range(1, 40):
        found = spans.middle(masks, context)
        assert len(found) == pytest.approx(masks / 2, abs=1)
        assert found
        assert found[0] == masks - 1 - found[-1], "as far from either end"


def test_masks_near_the_end_stand_in_the_middle_of_the_longer_canvas():
    assert spans.edge(256, "left") == (193, 241, 253, 256)
    assert spans.edge(256, "both") == spans.edge(3, "left") == ()
    for masks in range(4, 300):
        places = np.array(spans.edge(masks, "left"))
        assert not spans.before_edge(places, masks, "left").any()
        assert spans.before_edge(places, spans.longer(masks), "left").all()
    assert spans.before_edge(np.arange(1, 9), 8, "both").all()
    assert spans.before_edge(np.arange(1, 9), 8, "left").tolist() == [True] * 6 + [False] * 2


def test_prompts_are_compared_up_to_the_centre():
    assert spans.between_prompts(256, "left") == (1, 4, 16, 64, 128)
    assert spans.between_prompts(20, "both") == (1, 4, 10)
    assert spans.between_prompts(1, "left") == (1,)
    assert spans.between_prompts(2, "left") == (1,)


def test_grids():
    assert spans.grid(("octaves",), 20, "left") == (1, 2, 3, 4, 6, 8, 12, 16)
    assert spans.grid(("octaves",), 256, "left")[-4:] == (96, 128, 192, 256)
    assert spans.grid(("octaves",), 20, "both") == (1, 2, 3, 4, 6, 8)
    assert spans.grid(("all",), 5, "both") == (1, 2, 3)
    assert spans.grid(("7", "2"), 7, "left") == (2, 7)


def test_pairs_are_the_grids_and_each_masks_neighbour():
    assert spans.pairs((1, 4, 7), 1, 7, "left") == [(1, 2), (1, 4), (1, 7), (4, 5), (4, 7)]
    assert spans.pairs((1, 4), 3, 7, "left") == [(1, 4), (4, 7)]
    assert (2, 9) in spans.pairs((2,), 1, 10, "both")


def test_neighbours_are_mirrored_with_the_text():
    """Twelve masks between texts: (1, 2) on the left is (11, 12) on the right; none crosses."""
    found = spans.pairs((1, 4), 1, 12, "both")
    assert {(1, 2), (4, 5), (11, 12), (8, 9)} <= set(found)
    distances = spans.distances(12, "both")
    near = [(a, b) for a, b in found if b - a == 1]
    assert all(abs(distances[a - 1] - distances[b - 1]) == 1 for a, b in near)
    assert (6, 7) not in spans.pairs((6,), 1, 11, "both")


def test_a_long_far_end_is_thinned_evenly():
    found = spans.middle(4000, "left")
    assert len(found) <= spans.MOST
    assert len({b - a for a, b in pairwise(found)}) == 1
    assert found[0] == 1000


def test_one_mask_has_no_pairs():
    assert spans.pairs((1,), 1, 1, "left") == []


@pytest.mark.parametrize(
    ("named", "found"),
    [
        (("0",), "--grid has '0'"),
        (("-3",), "--grid has '-3'"),
        (("9",), r"--grid has '9'\nexpected: distances of 1 to 8"),
        (("octaves", "3"), "--grid has 'octaves'"),
        (("3", "2", "3"), "--grid names a distance twice"),
        (("3", "03"), "--grid names a distance twice"),
        (("²",), "--grid has '²'"),
    ],
)
def test_bad_grids_are_named(named, found):
    with pytest.raises(ProbeError, match=found):
        spans.grid(named, 8, "left")


def test_texts_are_chosen_by_task():
    texts = [Text(f"{task}{n}", task, "x", "y" * n) for n in range(3) for task in ("b", "a")]
    ids = [t.id for t in chosen(texts, ("all",), 2, "left")]
    assert ids == ["b0", "b1", "a0", "a1"]
    assert [t.id for t in chosen(texts, ("a",), 9, "left")] == ["a0", "a1", "a2"]
    with pytest.raises(ProbeError, match="unknown task 'prse'"):
        chosen([TEXT], ("prse",), 1, "left")
    with pytest.raises(ProbeError, match="2 prompts have no continuation, such as 'b0'"):
        chosen(texts, ("all",), 2, "both")


def test_a_prompt_that_cannot_be_asked_is_named_with_both_numbers():
    with pytest.raises(ProbeError, match=r"prompt 'one' has 6 tokens: with 1020 masks it has 1026"):
        canvas_of_prompt.span(asker(), TEXT, 1020, "left")
    with pytest.raises(ProbeError, match=r"expected: at most 1024[^?]*1018 masks would fit"):
        canvas_of_prompt.span(asker("tiny-arlm"), TEXT, 1020, "left")
    with pytest.raises(ProbeError, match="prompt 'two' has no visible token"):
        canvas_of_prompt.span(asker(), Text("two", "prose", ""), 3, "left")
    with pytest.raises(ProbeError, match="prompt 'two' spells the mask token"):
        canvas_of_prompt.span(asker(), Text("two", "prose", " the<mask> wind"), 3, "left")


def test_a_tokenizer_that_cannot_be_had_is_enough_to_count():
    rough = SimpleNamespace(entry=asker().entry, border=RoughBorder(asker().entry))
    span = canvas_of_prompt.span(rough, TEXT, 5, "both")
    assert len(span.places) == 5
    assert len(span.ids) > 10
