"""The attribution probe: prompts as in the paper, and sums that add up token by token."""

import itertools
from collections import Counter as Tally

import numpy as np
import pytest
from checkpoints import write_llada

from mdlm_probe import models
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Attribution, Engine
from mdlm_probe.probes._few_shot import questions
from mdlm_probe.probes.attribution import columns
from mdlm_probe.probes.attribution import probe as attribution
from mdlm_probe.prompts import few_shot_sets
from mdlm_probe.runs import plan
from mdlm_probe.runs.plan import Job

SMALL = {"lexicon": "small", "answer": "word", "tasks": ("verb-smallest",), "limit": 1, "orders": 1}


class Planted(DryRun):
    """An engine that scores every token by its position and its sign by its parity."""

    token = 65

    def attribute(self, queries, method="grad-norm", ig_steps=32):
        self.queries, self.how = list(queries), (method, ig_steps)
        scored = [(np.arange(len(q.ids)) + 1.0) * (-1.0) ** np.arange(len(q.ids)) for q in queries]
        return [Attribution(s.astype(np.float32), self.token, 2.5, None) for s in scored]


def planted(model, engine_class=None, **options):
    entry = models.resolve(model)
    engine = (engine_class or Planted)(entry, models.load_border(entry))
    cells = attribution.plan(**{**SMALL, **options})
    rows = [found for _, found in attribution.measure(engine, cells)]
    return cells, rows, engine


@pytest.mark.slow
def test_defaults_are_the_papers():
    cells = attribution.plan()
    assert len(cells) == 16 * 2 * 30 * 20
    assert {c.appended_masks for c in cells} == {0, 50}
    assert {(c.shots, c.distractors, c.question, c.method) for c in cells} == {
        (10, 40, "right", "grad-norm")
    }
    assert {c.ig_steps for c in cells} == {0}
    steps = {c.ig_steps for c in attribution.plan(limit=1, method="integrated-gradients")}
    assert steps == {32}
    assert attribution.GRADIENTS is True


def test_orders_differ_between_orders_and_not_between_items():
    cells, _, engine = planted("tiny-mdlm", orders=3, limit=2, masks=(0,))
    texts = {}
    for cell, query in zip(cells, engine.queries, strict=True):
        examples = engine.border.decode(query.ids).split("\n\n")
        assert len(examples) == 51
        texts.setdefault(cell.example_order, []).append(examples[:-1])
    assert all(first == second for first, second in texts.values())
    assert len({tuple(orders[0]) for orders in texts.values()}) == 3
    assert len({tuple(sorted(orders[0])) for orders in texts.values()}) == 1


@pytest.mark.parametrize(("question", "at"), [("left", 0), ("middle", 25), ("right", 50)])
@pytest.mark.parametrize("model", ["tiny-mdlm", "tiny-arlm"])
def test_rows_add_up_token_by_token(model, question, at):
    """By hand: the text is cut at blank lines, and an example's tokens are what spells its part."""
    causal = model == "tiny-arlm"
    if causal and question != "right":
        return
    masks = (0,) if causal else (0, 50)
    cells, found, engine = planted(model, question=(question,), masks=masks, detail="token")
    for cell, rows, query in zip(cells, found, engine.queries, strict=True):
        pieces = [engine.border.decode([i]) for i in query.ids]
        part, sums, sizes = 0, Tally(), Tally()
        for place, text in enumerate(pieces):
            sums[part] += place + 1
            sizes[part] += 1
            part += text == "\n\n"
        examples = rows["examples"]
        assert len(examples) == 51
        assert [row["summed_tokens"] for row in examples] == [sizes[n] for n in range(51)]
        assert [row["score"] for row in examples] == [sums[n] for n in range(51)]
        labels = [row["label"] for row in examples]
        assert labels.index("question") == at
        assert Tally(labels) == {"relevant": 10, "distractor": 40, "question": 1}
        places = [row["examples_before"] for row in examples]
        assert places.pop(at) == at
        assert places == list(range(50))
        largest = max(sums[n] for n in range(51) if n != at)
        assert [row["normalised"] for row in examples] == [sums[n] / largest for n in range(51)]
        relevant = {questions.shots(cell, "relevant")[n][0] for n in range(10)}
        texts = engine.border.decode(query.ids).split("\n\n")
        for text, label in zip(texts, labels, strict=True):
            assert (text.split("\nAnswer")[0] in relevant) == (label == "relevant")


def test_groups_of_tokens():
    cells, found, engine = planted("tiny-mdlm", masks=(0, 50))
    for cell, rows, query in zip(cells, found, engine.queries, strict=True):
        groups = {row["group"]: row for row in rows["groups"]}
        mask, ids = engine.entry.mask_id, np.array(query.ids)
        values = np.arange(len(ids)) + 1.0
        own = query.positions[0]
        assert ids[own] == mask
        masked = np.flatnonzero(ids == mask)
        others = values[ids != mask]
        expected = {"answer": values[[own]], "last-50": others[-50:], "all": others}
        if cell.appended_masks:
            expected["masks"] = values[masked[1:]]
            assert own == masked[0]
            assert groups["masks"]["summed_tokens"] == 50
        assert groups.keys() == expected.keys()
        for name, part in expected.items():
            assert groups[name]["summed_tokens"] == len(part)
            assert groups[name]["mean"] == pytest.approx(part.mean())
            assert groups[name]["normalised"] == pytest.approx(part.mean() / len(ids))


OWN = 1000.0
"""The score of the answer's mask that is to stand out from all the others."""


class Loud(Planted):
    """Scores every token by its position, and the answer's own mask far above all of them."""

    def attribute(self, queries, method="grad-norm", ig_steps=32):
        found = super().attribute(queries, method, ig_steps)
        for query, one in zip(queries, found, strict=True):
            one.scores[list(query.positions)] = OWN
        return found


@pytest.mark.parametrize("masks", [0, 50])
def test_the_papers_shares_leave_out_the_answers_own_mask(masks):
    """By hand: a token's score is its place; the largest but the answer's mask is at the end."""
    options = {"masks": (masks,), "detail": "token"}
    _, (rows,), engine = planted("tiny-mdlm", Loud, **options)
    (query,) = engine.queries
    own, count = query.positions[0], len(query.ids)
    assert own < count - 1, "tokens follow the mask, so that the largest other one is the last"
    values = np.arange(count) + 1.0
    mask = np.array(query.ids) == engine.entry.mask_id
    groups = {row["group"]: row for row in rows["groups"]}
    others = {"last-50": values[~mask][-50:], "all": values[~mask]}
    if masks:
        mask[own] = False
        others["masks"] = values[mask]
    for name, part in others.items():
        assert groups[name]["by_others"] == pytest.approx(part.mean() / count)
        assert groups[name]["normalised"] == pytest.approx(part.mean() / OWN)
    assert groups["answer"]["by_others"] is None
    assert groups["answer"]["normalised"] == 1
    tokens = rows["tokens"]
    expected = [(place + 1) / count for place in range(count)]
    expected[own] = None
    assert [row["by_others"] for row in tokens] == expected
    assert not any("by_others" in row for row in rows["examples"])


def test_causal_models_have_no_mask_to_leave_out():
    _, (rows,), _ = planted("tiny-arlm", masks=(0,), detail="token")
    parts = rows["groups"] + rows["tokens"]
    assert [row["by_others"] for row in parts] == [row["normalised"] for row in parts]


def test_groups_of_a_causal_model_have_no_masks():
    _, (rows,), engine = planted("tiny-arlm", masks=(0,))
    assert [row["group"] for row in rows["groups"]] == ["last-50", "all"]
    (query,) = engine.queries
    assert query.positions == (len(query.ids),)


def test_token_rows_keep_their_signs():
    _, (rows,), engine = planted("tiny-mdlm", masks=(0,), detail="token")
    tokens = rows["tokens"]
    assert [row["score"] for row in tokens[:3]] == [1, -2, 3]
    assert [row["mean"] for row in tokens[:3]] == [1, -2, 3]
    assert [row["token_position"] for row in tokens] == list(range(len(engine.queries[0].ids)))
    assert tokens[0]["token_text"] == "Options: (A) "
    assert [row["normalised"] for row in tokens[-2:]] == [1 - 1 / len(tokens), 1]
    assert "tokens" not in planted("tiny-mdlm")[1][0]


def test_every_row_says_what_was_predicted(monkeypatch):
    options = {"masks": (0,), "method": "integrated-gradients"}
    cells, (rows,), engine = planted("tiny-mdlm", **options)
    (example,) = questions.test_points(cells)
    right = few_shot_sets.answer_text(example, example.right, "word")
    own = {kind.name: set(names(kind.columns)) for kind in attribution.OBSERVATIONS}
    assert [*rows] == ["examples", "groups"]
    assert all(set(row) == own[kind] for kind, some in rows.items() for row in some)
    for row in itertools.chain(*rows.values()):
        assert (row["right"], row["logit"]) == (right, 2.5)
        assert row["predicted"] == engine.border.decode([65]) != right
        assert row["correct"] is False
    assert engine.how == ("integrated-gradients", 32)
    monkeypatch.setattr(Planted, "token", engine.border.token(right))
    _, (rows,), _ = planted("tiny-mdlm", **options)
    assert {row["correct"] for some in rows.values() for row in some} == {True}


def test_chat_models_count_the_messages_only(tmp_path):
    folder = str(write_llada(tmp_path / "my-instruct", context=4096))
    shape = {"shots": 1, "distractors": 1, "answer": "letter", "masks": (0, 3)}
    cells, found, engine = planted(folder, **shape)
    for cell, rows in zip(cells, found, strict=True):
        turns = [turn for _, turn in questions.mixed(cell, cell.example_order)]
        (point,) = questions.test_points([cell])
        template = questions.template_of(cell)
        turns.append(few_shot_sets.ask(template, point, 4 if cell.appended_masks else 0))
        sizes = [sum(len(engine.border.pieces(text)) for text in turn) for turn in turns]
        assert [row["summed_tokens"] for row in rows["examples"]] == sizes


def test_no_examples_and_no_gradients_are_cases_of_their_own():
    _, (rows,), _ = planted("tiny-mdlm", shots=0, distractors=0, masks=(0,))
    (question,) = rows["examples"]
    assert (question["label"], question["examples_before"], question["normalised"]) == (
        "question",
        0,
        None,
    )
    cells = attribution.plan(**SMALL, masks=(0,))
    entry = models.resolve("tiny-mdlm")
    engine = Planted(entry, models.load_border(entry))
    engine.attribute = lambda queries, *_: [
        Attribution(np.zeros(len(q.ids), np.float32), 5, 0.0, None) for q in queries
    ]
    ((_, rows),) = attribution.measure(engine, cells)
    assert {row["normalised"] for some in rows.values() for row in some} == {None}


# ---------------------------------------------------------------------- refusals


def test_causal_models_are_asked_at_the_right_and_without_masks():
    arlm, mdlm = models.resolve("tiny-arlm"), models.resolve("tiny-mdlm")
    (cell,) = attribution.plan(**SMALL, masks=(0,), question=("middle",))
    assert "can't see examples after" in attribution.refuse(cell, arlm)
    (cell,) = attribution.plan(**SMALL, masks=(50,))
    assert "no masks" in attribution.refuse(cell, arlm)
    assert attribution.refuse(cell, mdlm) == ""


@pytest.mark.parametrize("model", ["oracle", "oracle-causal"])
def test_models_without_gradients_are_refused_before_they_are_loaded(model, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("loaded"))
    with pytest.raises(ProbeError, match=f"'attribution' needs gradients; '{model}' is computed"):
        plan.prepare(Job("attribution", model, output=tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": 0}, "--orders has 0"),
        ({"ig_steps": 0}, "--ig-steps has 0"),
        ({"limit": 0}, "--limit has 0"),
        ({"masks": (-1,)}, "--masks has -1"),
        ({"masks": (5, 5)}, "--masks names a value twice"),
        ({"question": ("left", "left")}, "--question names a value twice"),
        ({"distractors": -1}, "--distractors has -1"),
        ({"tasks": ("x",)}, "unknown task 'x'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ProbeError, match=message):
        attribution.plan(**options)


# ---------------------------------------------------------------------- whole runs


@pytest.mark.parametrize("method", ["input-x-gradient", "integrated-gradients"])
@pytest.mark.slow
def test_other_methods(method):
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=1024)
    options = {**SMALL, "shots": 2, "distractors": 2, "masks": (0,), "detail": "token"}
    cells = attribution.plan(**options, method=method)
    ((_, rows),) = attribution.measure(engine, cells)
    tokens = [row["score"] for row in rows["tokens"]]
    assert min(tokens) < 0 < max(tokens)
    parts = rows["examples"]
    assert sum(row["score"] for row in parts) == pytest.approx(sum(map(abs, tokens)), rel=1e-5)
    gap = rows["examples"][0]["gap"]
    if method == "integrated-gradients":
        assert abs(gap) < 0.05 * abs(sum(tokens))
    else:
        assert gap is None


def test_every_kind_has_the_sums():
    assert all(set(columns.SCORES) < set(kind.columns) for kind in attribution.OBSERVATIONS)
