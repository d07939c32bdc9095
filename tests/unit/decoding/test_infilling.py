"""Spans within a text, filled in: against the exact posterior, and a reader that is known."""

import math
from dataclasses import replace

import numpy as np
import planted
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.decoding import infilling
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts.prompt import Text

PROMPT = " the wind <mask> the <mask:2> hill, and<mask:3>."
AROUND = (" the wind", " the", " hill, and", ".")
PLACES = (2, 4, 5, 9, 10, 11)
WORDS = " found golden orchard the wind crossed".replace(" ", "| ")[1:].split("|")


def text(prompt=PROMPT):
    return Text("p", "own", prompt)


@pytest.fixture(scope="module")
def oracle():
    return Engine(models.load(models.resolve("oracle")), batch_tokens=4096)


class Reader:
    """Knows a token for each place, from 0.3 on the surer the farther left; or an end of text."""

    def __init__(self, ends=()):
        self.border = planted.PlantedReader(None).border
        self.entry = models.resolve("tiny-mdlm")
        self.tokens = dict(zip(PLACES, map(self.border.token, WORDS), strict=True))
        self.tokens |= dict.fromkeys(ends, self.entry.eos_ids[0])

    def __call__(self, ids, at):
        assert len(ids) == 13, "the text at both sides is there in every pass"
        return {self.tokens[at]: 0.9 - at / 20}


def filled(reader, schedule=None):
    engine = planted.engine(reader)
    engine.entry = replace(engine.entry, eos_ids=reader.entry.eos_ids)
    schedule = schedule or Schedule(steps=0)
    (found,) = infilling.write(engine, [text()], [schedule], ["p"])
    return found


def test_every_span_holds_what_the_reader_says_and_the_text_stays():
    found = filled(Reader())
    assert found.decoded.canvas.places == PLACES
    assert found.parts == (WORDS[0], "".join(WORDS[1:3]), "".join(WORDS[3:]))
    assert found.text == "".join(found.parts)
    parts = zip(AROUND, (*found.parts, ""), strict=True)
    assert found.whole == "".join(one + other for one, other in parts)
    assert found.ids == tuple(Reader().tokens.values())
    assert found.decoded.passes == 6
    assert found.decoded.steps == (1, 2, 3, 4, 5, 6)
    assert not found.ended


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        (Schedule(steps=3), (1, 1, 2, 2, 3, 3)),
        (Schedule(steps=3, block=2), (1, 1, 2, 2, 3, 3)),
        (Schedule(steps=0, block=4), (1, 2, 3, 4, 5, 6)),
        (Schedule(steps=0, order="threshold", threshold=0.6), (1, 1, 1, 2, 3, 4)),
    ],
)
def test_spans_are_filled_in_by_the_schedule(schedule, steps):
    assert filled(Reader(), schedule).decoded.steps == steps


def test_an_end_of_text_ends_its_span_alone():
    """What stands behind it in the span is left away, and later spans are filled in."""
    found = filled(Reader(ends=(4,)))
    assert found.parts == (WORDS[0], "", "".join(WORDS[3:]))
    assert found.ended
    assert found.places == (0, 3, 4, 5)
    assert found.decoded.passes == 6
    assert found.whole == " the wind found the hill, and the wind crossed."
    last = filled(Reader(ends=(11,)))
    assert last.parts[2] == "".join(WORDS[3:5])


def test_one_mask_is_the_likeliest_word_given_both_sides(oracle):
    """By the language's own likelihood of the text with each word in its place."""
    before, behind = " the wind found the", " kettle. every"
    (found,) = infilling.write(oracle, [text(f"{before} <mask>{behind}")], [Schedule()], ["p"])
    border, model = oracle.border, oracle.model
    left, right = border.pieces(before), border.pieces(behind, inside=True)
    texts = {i: (*left, i, *right) for i in border.ordinary}
    logps = {i: model.log_likelihood(ids) for i, ids in texts.items()}
    best = max(logps, key=logps.__getitem__)
    assert found.parts == (border.decode([best]),) == (" copper",)
    total = np.logaddexp.reduce(list(logps.values()))
    assert found.decoded.logprobs[0] == pytest.approx(logps[best] - total, abs=1e-3)
    assert math.isfinite(total)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (models.resolve("tiny-arlm"), "causal"),
        (models.resolve("oracle-block"), "block of 4"),
        (models.resolve("llada-8b-instruct"), "chats"),
    ],
)
def test_models_that_see_no_text_behind_a_mask_are_refused(entry, said):
    with pytest.raises(ProbeError, match=said) as caught:
        infilling.check(entry)
    assert caught.value.option == "infill"
    infilling.check(models.resolve("llada-8b"))


def test_prompts_that_cannot_be_filled_in_are_named(oracle):
    with pytest.raises(TooLong, match="5002 tokens"):
        infilling.canvas_of(oracle, text(" the wind<mask:5000>"), "p")
    with pytest.raises(ProbeError, match="escaped"):
        infilling.canvas_of(oracle, text(r" the \<mask> hill <mask>"), "p")
    canvas = infilling.canvas_of(oracle, text(), "p")
    with pytest.raises(ProbeError, match="fewer than the 3 blocks"):
        infilling.schedule_of(Schedule(steps=2, block=2), canvas, "p")
