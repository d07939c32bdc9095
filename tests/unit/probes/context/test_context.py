"""The context probe on exact readers, whose likelihoods a test can work out by itself."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import oracles
import planted
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.engine import Engine
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.context import probe as context
from mdlm_probe.probes.context import report, scoring, spans
from mdlm_probe.prompts.prompt import Text

SMALL = {"lexicon": "small", "tasks": ("prose",), "limit": 2}
FEW = SMALL | {"span": ("1", "3"), "right": ("1", "4", "all"), "right_from": ("own", "foreign")}


def engine(name):
    return Engine(models.load(models.resolve(name)), batch_tokens=8192)


def rows_of(asker, **options):
    cells = [one for one in context.plan(**options) if not context.refuse(one, asker.entry)]
    return planted.measured(context, asker, cells)


@pytest.fixture(scope="module")
def oracle():
    return engine("oracle")


@pytest.fixture(scope="module")
def rows(oracle):
    return rows_of(oracle, **FEW, beyond=("cut", "masks"))


def keyed(frame, names=("prompt", "span_tokens", "right_from", "right_amount")):
    return frame.set_index(list(names))["logp"].to_dict()


# ---------------------------------------------------------------------- a joint written out


def posterior(joint, tokens, right):
    """log p(tokens | the right side), of a joint over tokens, what is unseen, and both."""
    seen = joint[(..., *right)]
    for _ in range(seen.ndim - len(tokens)):
        seen = seen.sum(-1)
    return math.log(seen[tokens] / seen.sum())


@pytest.mark.parametrize("beyond", ["cut", "masks"])
@pytest.mark.parametrize("order", ["left_to_right", "right_to_left", "random"])
def test_a_span_has_the_joints_probability_given_each_right_side(order, beyond):
    """All texts of a language of four tokens are written out; what is unseen is summed over."""
    asker = oracles.engine(1)
    left, tokens, right = (0, 2, 1), (3, 0), (1, 2, 0)
    joint = oracles.joint(1, left, len(tokens) + len(right))
    span = spans.Span(left, tokens, right)
    how = chain_rule.sequence(order, len(tokens), 3)
    found = []
    for size in range(len(right) + 1):
        side = spans.Side("own", str(size), right[:size])
        canvas = spans.canvas(asker, span, side, beyond, "")
        assert len(canvas.ids) == 8 if beyond == "masks" else 5 + size
        (logps,) = multi_step.run(asker, [chain_rule.score(canvas, tokens, how)])
        at = joint.sum(axis=tuple(range(2 + size, 5)))[(slice(None), slice(None), *right[:size])]
        assert logps.sum() == pytest.approx(math.log(at[tokens] / at.sum()), abs=1e-5)
        found.append(logps.sum())
    assert np.ptp(found) > 0.01


def test_the_gain_is_the_mutual_information_by_the_languages_own_likelihoods(oracle, rows):
    """log p(left, span, right) of the forward algorithm, with masks for what isn't counted."""
    model, mask = oracle.model, oracle.entry.mask
    for cell in context.plan(**FEW):
        own, *others = scoring._texts(cell)
        span = spans.find(oracle, own, cell.span_tokens)
        size, hidden = len(span.tokens), (mask,) * len(span.tokens)
        for source, amount in itertools.product(("own", "foreign"), (1, 4, None)):
            shown = span.right[:amount]
            if source == "foreign":
                shown = spans.find(oracle, others[0], size).right[: len(shown)]
            both = model.log_likelihood((*span.left, *span.tokens, *shown))
            both -= model.log_likelihood((*span.left, *hidden, *shown))
            left = model.log_likelihood((*span.left, *span.tokens))
            left -= model.log_likelihood(span.left)
            part = rows[(rows.prompt == own.id) & (rows.span_tokens == size)]
            at = part[(part.right_from == source) & (part.right_amount == str(amount or "all"))]
            assert at["logp"].to_numpy() == pytest.approx(both, abs=1e-3)
            nothing = part[part.right_from == "none"]["logp"].to_numpy()
            assert nothing == pytest.approx(left, abs=1e-3)


def test_a_text_without_an_end_may_be_cut_for_an_exact_reader(rows):
    cut, masks = (keyed(part) for _, part in rows.groupby("beyond"))
    assert cut.keys() == masks.keys()
    assert len(cut) == 2 * 2 * 7
    for name, value in cut.items():
        assert value == pytest.approx(masks[name], abs=1e-3)


def test_another_texts_right_side_is_no_help_to_an_exact_reader(rows):
    table = report.tables(rows)["control"]
    assert (table["own_gain"] > 0).all()
    assert (table["foreign_gain"] < 0).all()
    overview = report.tables(rows)["overview"]
    assert (overview["over_foreign"] > overview["gain"]).all()


def test_token_logps_are_by_place_and_add_up(oracle):
    """Two orders of one joint have one sum, and other terms."""
    some = FEW | {"span": ("3",), "limit": 1}
    found = [rows_of(oracle, **some, order=order) for order in ("left_to_right", "right_to_left")]
    for one, other in zip(*(frame.to_dict("records") for frame in found), strict=True):
        assert one["logp"] == pytest.approx(other["logp"], abs=1e-3)
        for row in (one, other):
            assert sum(row["token_logps"]) == pytest.approx(row["logp"], abs=1e-3)
    terms = [np.array(frame["token_logps"].tolist()) for frame in found]
    assert np.abs(terms[0] - terms[1]).max() > 0.01


def test_all_right_sides_of_a_text_are_scored_in_one_random_order(oracle, monkeypatch):
    orders = []
    score = chain_rule.score
    monkeypatch.setattr(
        chain_rule, "score", lambda c, t, order: orders.append(tuple(order)) or score(c, t, order)
    )
    rows_of(oracle, **FEW | {"span": ("5",)}, order="random")
    assert len(orders) == 2 * 7
    assert [len(set(orders[at : at + 7])) for at in (0, 7)] == [1, 1]
    assert len(set(orders)) == 2


# ---------------------------------------------------------------------- other kinds of attention


def test_a_causal_model_has_the_left_alone(oracle, rows):
    found = rows_of(engine("oracle-causal"), **FEW)
    assert set(found["right_from"]) == {"none"}
    exact = keyed(rows[(rows["right_from"] == "none") & (rows["beyond"] == "cut")])
    for name, value in keyed(found).items():
        assert value == pytest.approx(exact[name], abs=1e-3)


def test_a_block_causal_model_is_asked_within_a_block(oracle):
    asker = engine("oracle-block")
    suited = context.suited(asker.entry)
    assert suited == {"span": ("1",), "right": ("1", "2")}
    within = SMALL | {"span": ("1", "2"), "right": ("1", "2"), "right_from": ("own",)}
    found = keyed(rows_of(asker, **within))
    exact = keyed(rows_of(oracle, **within, beyond=("cut",)))
    assert len(found) == 2 * 2 * 3
    for name, value in found.items():
        assert value == pytest.approx(exact[name], abs=1e-3)
    beyond = context.plan(**SMALL, span=("1", "3"), right=("2", "4"))
    assert all(context.refuse(cell, asker.entry) for cell in beyond)
    assert all(context.refuse(cell, asker.entry) for cell in context.plan(**SMALL, span=("1",)))
    assert not any(context.refuse(cell, oracle.entry) for cell in beyond)
    shifted = replace(asker.entry, block=8, shift=1)
    sizes = [("4", "3"), ("4", "4")]
    told = [context.plan(**SMALL, span=(s,), right=(r,))[0] for s, r in sizes]
    assert [bool(context.refuse(cell, shifted)) for cell in told] == [False, True]


# ---------------------------------------------------------------------- texts


def test_texts_that_end_early_are_left_out_and_counted(oracle, tmp_path):
    path = tmp_path / "own.jsonl"
    lines = [
        {"prompt": " the wind", "continuation": " found the hill."},
        {"prompt": " the hill", "continuation": " kept."},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = rows_of(oracle, prompts=str(path), span=("3",), right=("1", "2"))
    assert found["text_tokens"].tolist() == [3, 3, 2]
    assert found["logp"].notna().tolist() == [True, True, False]
    assert found["right_amount"].tolist() == ["0", "1", "0"]
    assert report.notes(found) == ["m: 1 texts end within a span of 3 tokens: left out"]
    assert report.tables(found)["overview"]["n"].tolist() == [1]


def test_an_answer_stands_in_place_of_its_marker(oracle, tmp_path):
    """As the same words as a continuation, with what stands behind the marker at the right."""
    prompt, answer, behind = " the wind", " found the", " hill. every lake"
    path = tmp_path / "own.jsonl"
    lines = [
        {"id": "a", "prompt": f"{prompt} <mask:9>{behind}", "answer": answer.strip()},
        {"id": "b", "prompt": " the hill <mask> the wind, but", "answer": "kept"},
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = rows_of(oracle, prompts=str(path), span=("answer",), right=("1", "all"))
    own = found[(found["prompt"] == "a") & (found["right_from"] != "foreign")]
    assert own["right_shown"].tolist() == [0, 1, 4]
    text = Text("a", "own", prompt, answer + behind)
    span = spans.find(oracle, text, 2)
    assert spans.find(oracle, Text("a", "own", lines[0]["prompt"], "", "found the"), 0) == span
    model, mask = oracle.model, (oracle.entry.mask,) * 2
    both = model.log_likelihood((*span.left, *span.tokens, *span.right))
    both -= model.log_likelihood((*span.left, *mask, *span.right))
    assert own["logp"].iloc[-1] == pytest.approx(both, abs=1e-3)
    cell = context.plan(prompts=str(path), span=("answer",))[0]
    assert context.refuse(cell, models.resolve("llada-8b-instruct"))


@pytest.mark.parametrize(
    "wrong",
    [{"answer": ""}, {"prompt": "a <mask> b <mask>"}, {"prompt": "a"}, {"prompt": "<mask:0>"}],
)
def test_prompts_without_one_marker_and_an_answer_are_refused(wrong, tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"prompt": "a <mask> b", "answer": "c"} | wrong))
    with pytest.raises(ProbeError, match="prompt '1'"):
        context.plan(prompts=str(path), span=("answer",))


@pytest.mark.parametrize(
    "wrong",
    [{"span": ("0",)}, {"span": ("all",)}, {"right": ("x",)}, {"right": ("1", "1")}, {"limit": 0}],
)
def test_wrong_options_are_named(wrong):
    with pytest.raises(ProbeError) as caught:
        context.plan(**SMALL | wrong)
    assert caught.value.option == next(iter(wrong))


def test_prompts_without_continuations_are_refused():
    with pytest.raises(ProbeError, match="no continuation"):
        context.plan(prompts="open")
