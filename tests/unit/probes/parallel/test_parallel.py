"""The parallel probe: what is asked of which model, at which pace, and when an optimum is known."""

from dataclasses import replace

import planted
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.parallel import answering, report
from mdlm_probe.probes.parallel import probe as parallel
from mdlm_probe.probes.parallel.optimum import optimum
from mdlm_probe.prompts import list_prompts

FEW = {"lexicon": "small", "limit": 3, "words": (4,), "shots": 1}


@pytest.fixture(scope="module")
def ideal():
    return Engine(models.load(models.resolve("oracle-lists")), batch_tokens=4096)


def rows(engine, **options):
    return planted.measured(parallel, engine, parallel.plan(**FEW | options))


def test_an_order_by_confidence_has_an_optimum_where_one_answer_is_right_only(ideal):
    found = rows(ideal, families=("copy", "shuffle"), order=("low_confidence",), per_step=(2,))
    assert (found.loc[found["family"] == "copy", "optimum"] == 1).all()
    assert found.loc[found["family"] == "shuffle", "optimum"].isna().all()
    tables = report.tables(found)
    known = tables["overview"].set_index("family")["of_optimum"]
    assert known["copy"] == 1
    assert known[["shuffle", "all"]].isna().all()


def test_orders_that_commit_as_many_as_they_do_are_asked_once(ideal):
    orders = ("threshold", "left_to_right")
    cells = parallel.plan(**FEW, families=("copy",), order=orders, per_step=(1, 2))
    ways = {(cell.order, cell.asked_per_step) for cell in cells}
    assert ways == {("threshold", 0), ("left_to_right", 1), ("left_to_right", 2)}
    found = planted.measured(parallel, ideal, cells).groupby("order")["per_step"].max()
    assert found["threshold"] == 4  # an ideal reader is sure of every word


def test_items_are_the_same_at_every_pace(ideal):
    found = rows(ideal, families=("shuffle",), per_step=(1, 2, 4), order=("random", "margin"))
    assert found.groupby("item")["word_list"].nunique().tolist() == [1, 1, 1]
    assert found["word_list"].nunique() == 3
    assert len(found) == 18


def test_blocks_of_attention_cut_a_step_short_and_the_optimum_knows():
    """Blocks of 4 begin at the start of the text: an answer lies in two, most often."""
    engine = Engine(models.load(models.resolve("oracle-block")), batch_tokens=4096)
    found = rows(engine, families=("replace-random",), per_step=(4,), limit=4)
    source = list_prompts.load("lists", "small")
    for row in found.to_dict("records"):
        steps = [int(step) for step in row["unmasked"].split()]
        own = source.task("replace-random", 4, row["item"], 0, lambda word: True)
        assert row["optimum"] == optimum(own, steps, 1.0)
        assert row["per_step"] == 4 / max(steps)
    assert set(found["passes"]) == {2}


def test_a_causal_model_writes_one_token_per_step_from_left_to_right():
    entry = models.resolve("tiny-arlm")
    cells = parallel.plan(**FEW, families=("copy",), per_step=(1, 2), order=("left_to_right",))
    assert {cell.asked_per_step for cell in cells if not parallel.refuse(cell, entry)} == {1}
    assert all(parallel.refuse(cell, entry) for cell in parallel.plan(**FEW))
    assert not any(parallel.refuse(cell, models.resolve("oracle")) for cell in parallel.plan(**FEW))
    assert parallel.suited(entry) == {"per_step": (1,), "order": ("left_to_right",)}
    engine = Engine(models.load(models.resolve("oracle-causal")), batch_tokens=4096)
    found = rows(engine, families=("shuffle",), **parallel.suited(entry))
    assert found["optimum"].to_list() == pytest.approx([1.0] * 3)
    assert set(found["per_step"]) == {1}


@pytest.mark.parametrize("steps", [(1, 2), (1, 2, 3, 4)])
def test_a_text_that_ends_early_lacks_words(ideal, steps):
    cell = parallel.plan(**FEW, families=("copy",), per_step=(1,))[0]
    asked = answering.asked_task(ideal, cell)
    tokens = asked.words[: len(steps)]
    nothing = tuple(0.0 for _ in steps)
    decoded = Decoded(Canvas((), ()), tokens, steps, tokens, nothing, nothing, 4, 4, 4)
    row = answering.row(ideal.border, cell, asked, decoded)
    whole = len(steps) == 4
    assert (row["correct"], row["fault"]) == (whole, "" if whole else "foreign")
    assert row["arrangement"] == ("1 2 3 4" if whole else "1 2 ? ?")
    assert row["optimum"] == 1


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"per_step": (0,)}, "per_step"),
        ({"words": (1,)}, "words"),
        ({"words": (40,)}, "words"),
        ({"families": ("copy", "copy")}, "families"),
        ({"temperature": -1.0}, "temperature"),
        ({"order": ("dream_origin",)}, "order"),
        ({"factor": 2.0}, "factor"),
    ],
)
def test_options_that_cannot_be_are_refused_by_name(options, named):
    with pytest.raises(ProbeError) as error:
        parallel.plan(**FEW | options)
    assert named in error.value.options


def test_words_of_several_tokens_are_refused_with_the_way_out(ideal):
    cell = parallel.plan(limit=1, words=(100,))[0]
    with pytest.raises(ProbeError, match="of the 110 words of 'lists' are a token each"):
        answering.asked_task(ideal, cell)


def test_a_prompt_beyond_the_context_is_refused(ideal):
    cell = replace(parallel.plan(**FEW)[0], shots=200)
    with pytest.raises(ProbeError, match="with 200 examples has"):
        answering.asked_task(ideal, cell)
