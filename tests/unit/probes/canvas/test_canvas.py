"""The canvas probe: plans, refusals, columns, right answers, and the recall prompts."""

import re

import pandas as pd
import planted
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.canvas import probe as canvas
from mdlm_probe.probes.canvas import report
from mdlm_probe.probes.canvas.first_sentence import first_sentence, holds
from mdlm_probe.prompts import texts


@pytest.mark.parametrize(
    ("text", "right", "found"),
    [
        ("85", "85", True),
        (" The sum is 85. Or 86.", "85", True),
        ("The sum is 86. No, 85.", "85", False),
        ("It is 3.85 in all", "85", True),
        ("It is 385.", "85", False),
        ("\n\n bell.\nthe wall", "Bell", True),
        ("bells", "bell", False),
        ("the wall\nbell", "bell", False),
        ("", "bell", False),
        ("anything", " ", False),
        ("C++ it is", "c++", True),
    ],
)
def test_an_answer_is_right_if_its_first_sentence_holds_it(text, right, found):
    assert holds(text, right) is found


def test_a_sentence_ends_before_a_space_only():
    assert first_sentence("3.5 or 4? Yes") == "3.5 or 4?"


def test_steps_grow_with_the_canvas():
    cells = canvas.plan(lexicon="small", limit=1, length=(8, 32), at_once=4)
    assert [(cell.length, cell.block, cell.steps) for cell in cells] == [(8, 8, 2), (32, 32, 8)]
    cells = canvas.plan(lexicon="small", limit=1, length=(8, 32), block=16)
    assert [(cell.length, cell.block, cell.steps) for cell in cells] == [(8, 8, 8), (32, 16, 32)]
    seeds = {cell.schedule().seed for cell in cells}
    assert len(seeds) == 1, "the same draws on every canvas"
    assert not any(cell.schedule().stop for cell in cells)


def test_what_no_canvas_has_is_refused():
    with pytest.raises(ProbeError, match="--length names a value twice"):
        canvas.plan(length=(8, 8))
    with pytest.raises(ProbeError, match="--block 5 does not divide --length 8"):
        canvas.plan(length=(8,), block=5)
    (cell,) = canvas.plan(lexicon="small", limit=1, length=(4096,))
    assert "leaves no room" in canvas.refuse(cell, models.resolve("tiny-mdlm"))
    (cell,) = canvas.plan(lexicon="small", limit=1, length=(8,))
    assert canvas.refuse(cell, models.resolve("tiny-mdlm")) == ""
    assert "knows no end of text" in canvas.refuse(cell, models.resolve("oracle"))
    (own,) = canvas.plan(prompts="open", tasks=("question",), lexicon="small", limit=1, length=(8,))
    assert canvas.refuse(own, models.resolve("oracle")) == ""
    assert canvas.refuse(own, models.resolve("oracle-block")) == "", "a canvas in its own blocks"


def test_columns_that_a_run_cant_fill_are_left_out():
    options = {"prompts": "recall", "lexicon": "small", "tasks": ("all",), "limit": 1}
    assert canvas.unwritten(options, models.resolve("tiny-mdlm")) == ()
    assert "end_masses" in canvas.unwritten(options, models.resolve("tiny-arlm"))
    options |= {"prompts": "open", "tasks": ("prose",)}
    assert canvas.unwritten(options, models.resolve("tiny-mdlm")) == ("right", "in_first_sentence")


def test_a_causal_model_ends_where_it_ends():
    """Room beyond its end changes nothing; less room cuts its answer off."""
    border = planted.PlantedReader(None, "oracle-causal").border
    word, end = border.token(" jar"), border.entry.eos_ids[0]
    (text,) = texts.load("recall", "small")[:1]
    first = len(border.encode(text.prompt))

    def rule(ids, at):
        return {end if at - first == 5 else word: 0.9}

    cells = canvas.plan(lexicon="small", limit=1, length=(4, 8, 16))
    rows = planted.measured(canvas, planted.engine(rule, "oracle-causal"), cells)
    assert rows["answer_tokens"].tolist() == [4, 5, 5]
    assert rows["ended"].tolist() == [False, True, True]
    assert rows["passes"].tolist() == [4, 6, 6]
    tables = report.tables(rows)
    assert "ends" not in tables
    assert "mean_end_mass" not in tables["overview"]
    assert {"answer_tokens_low", "in_first_sentence_low"} <= set(tables["overview"]), "for charts"
    both = pd.concat([rows, rows.assign(model="other", end_masses="0 0 0 0", mean_end_mass=0.0)])
    both = both.assign(first_ends=0, first_commits=1, first_end_place=float("nan"), end_first=None)
    assert set(report.tables(both)["ends"]["model"]) == {"other"}


def test_recall_prompts_hold_their_answers():
    full, small = texts.load("recall"), texts.load("recall", "small")
    assert (len(full), len(small)) == (16, 50)
    for text in (*full, *small):
        passage, question = text.prompt.split("\n\n")
        assert holds(passage.replace(". ", ", ").replace("; ", ", "), text.answer)
        assert not re.search(rf"\b{text.answer}\b", question)
    assert len({text.prompt for text in (*full, *small)}) == 66
    border = models.load_border(models.resolve("tiny-mdlm"))
    for text in small:
        fact = text.prompt.split("\n\n")[1]
        assert f"{fact} {text.answer}." in text.prompt
        assert border.decode(border.encode(text.prompt)) == text.prompt
