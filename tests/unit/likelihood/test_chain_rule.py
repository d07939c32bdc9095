"""The chain rule and multi-step work against exact enumeration; broken joints must show."""

import itertools

import numpy as np
import pytest
from oracles import MASK, TOKENS, Deaf, Sharpened, engine, joint, model

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine import multi_step
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.joint.orders import check_continued, names, write
from mdlm_probe.prompts.prompt import Text

PROMPT = (0, 2)
ENTRY = model(0).entry


def canvas(length: int) -> Canvas:
    places = tuple(range(len(PROMPT), len(PROMPT) + length))
    return Canvas(PROMPT + (MASK,) * length, places, "c")


def only(asker, work):
    (found,) = multi_step.run(asker, [work])
    return found


def conditionals(table: np.ndarray, seen: dict[int, int]) -> np.ndarray:
    """Of every place of an exact joint its marginal given the seen ones, [places, tokens]."""
    index = tuple(
        slice(seen[i], seen[i] + 1) if i in seen else slice(None) for i in range(table.ndim)
    )
    part = np.zeros_like(table)
    part[index] = table[index]
    places = range(table.ndim)
    return np.array([part.sum(tuple(j for j in places if j != i)) for i in places]) / part.sum()


# ---------------------------------------------------------------------- orders


@pytest.mark.parametrize("seed", range(3))
def test_any_order_gives_the_joint(seed):
    asker, table = engine(seed), joint(seed, PROMPT, 3)
    for text in [(0, 1, 3), (2, 2, 0)]:
        expected = np.log(table[text])
        orders = list(itertools.permutations(range(3)))
        found = multi_step.run(
            asker, [chain_rule.score(canvas(3), text, order) for order in orders]
        )
        assert [logps.sum() for logps in found] == pytest.approx([expected] * 6, abs=1e-5)
        assert only(asker, chain_rule.score_by_confidence(canvas(3), text)).sum() == pytest.approx(
            expected, abs=1e-5
        )


@pytest.mark.parametrize("seed", range(3))
def test_each_step_is_given_those_before_it(seed):
    table, text, order = joint(seed, PROMPT, 3), (1, 3, 0), (2, 0, 1)
    found = only(engine(seed), chain_rule.score(canvas(3), text, order))
    seen, expected = {}, []
    for i in order:
        expected.append(np.log(conditionals(table, seen)[i, text[i]]))
        seen[i] = text[i]
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_confidence_goes_where_the_largest_probability_is(seed):
    table, text = joint(seed, PROMPT, 4), (1, 3, 0, 2)
    found = only(engine(seed), chain_rule.score_by_confidence(canvas(4), text))
    seen, expected = {}, []
    while left := [i for i in range(4) if i not in seen]:
        rows = conditionals(table, seen)
        at = max(left, key=lambda i: rows[i].max())
        expected.append(np.log(rows[at, text[at]]))
        seen[at] = text[at]
    assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("broken", "least"), [(None, 0), (Sharpened, 0.01), (Deaf, 0.01)])
def test_a_broken_joint_shows_in_its_orders(broken, least):
    spans = []
    for seed in range(4):
        for text in [(0, 1, 3, 1), (2, 2, 0, 1), (3, 0, 1, 2)]:
            asked = [
                chain_rule.score(canvas(4), text, order) for order in [(0, 1, 2, 3), (3, 2, 1, 0)]
            ]
            left, right = multi_step.run(engine(seed, broken), asked)
            spans.append(abs(left.sum() - right.sum()) / 4)
    assert np.mean(spans) > least if broken else max(spans) < 1e-5


def test_orders_by_name():
    assert names("random", 2) == ["random-1", "random-2"]
    assert names("low_confidence", 2) == ["low_confidence"]
    assert chain_rule.sequence("left_to_right", 4, 1) == [0, 1, 2, 3]
    assert chain_rule.sequence("right_to_left", 4, 1) == [3, 2, 1, 0]
    drawn = {tuple(chain_rule.sequence("random-1", 8, seed)) for seed in range(5)}
    assert len(drawn) == 5
    assert all(sorted(order) == list(range(8)) for order in drawn)


# ---------------------------------------------------------------------- several at once


@pytest.mark.parametrize("at_once", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(4))
def test_what_steps_write_equals_enumeration(seed, at_once):
    table = joint(seed, PROMPT, 4)
    found = only(engine(seed), write(canvas(4), at_once, ENTRY))
    seen, logp_steps, steps = {}, 0.0, 0
    while left := [i for i in range(4) if i not in seen]:
        rows = conditionals(table, seen)
        chosen = sorted(left, key=lambda i: -rows[i].max())[:at_once]
        logp_steps += sum(np.log(rows[i].max()) for i in chosen)
        seen |= {i: int(rows[i].argmax()) for i in chosen}
        steps += 1
    written = tuple(seen[i] for i in range(4))
    assert found["written"] == written
    assert found["logp"] == pytest.approx(np.log(table[written]), abs=1e-5)
    assert found["logp_steps"] == pytest.approx(logp_steps, abs=1e-5)
    assert (found["steps"], found["text_tokens"]) == (steps, 4)


def test_one_at_a_time_saw_what_it_is_scored_by_and_all_at_once_did_not():
    losses = []
    for seed in range(8):
        one, four = multi_step.run(
            engine(seed), [write(canvas(4), at_once, ENTRY) for at_once in (1, 4)]
        )
        assert one["logp"] == pytest.approx(one["logp_steps"], abs=1e-6)
        losses.append(abs(four["logp"] - four["logp_steps"]))
    assert max(losses) > 0.1


# ---------------------------------------------------------------------- multi-step work


class Recorder:
    """Keeps the queries that reach an engine, call by call."""

    def __init__(self, inner):
        self.inner, self.entry, self.border = inner, inner.entry, inner.border
        self.calls = []

    def ask(self, queries):
        self.calls.append(list(queries))
        return self.inner.ask(queries)


def test_works_share_a_call_a_step_and_a_pass_a_sequence():
    recorder = Recorder(engine(0))
    alone = [only(engine(0), write(canvas(4), n, ENTRY)) for n in (1, 2, 4)]
    together = multi_step.run(recorder, [write(canvas(4), n, ENTRY) for n in (1, 2, 4)])
    assert together == alone
    assert len(recorder.calls) == 5, "four steps of one mask, and the scoring"
    assert len(recorder.calls[0]) == 1, "all begin with the same masks"
    for call in recorder.calls:
        assert len({query.ids for query in call}) == len(call)


def test_merged_queries_get_their_own_rows_and_readouts():
    ids = canvas(3).ids
    queries = [
        Query(ids, (2,), (Readout("chosen", (1, 0)),)),
        Query(ids, (4, 2), (Readout("top_id"), Readout("chosen", (3,)))),
        Query(ids, (3, 4), (Readout("entropy"),)),
    ]

    def work(query):
        (answer,) = yield [query]
        return answer

    recorder = Recorder(engine(0))
    found = multi_step.run(recorder, [work(query) for query in queries])
    assert [len(call) for call in recorder.calls] == [1]
    for answer, query in zip(found, queries, strict=True):
        (expected,) = engine(0).ask([query])
        assert tuple(answer) == query.readouts
        assert all(np.array_equal(answer[name], expected[name]) for name in query.readouts)


def test_a_dry_run_takes_all_steps():
    entry, border = model(0).entry, model(0).border
    counter = DryRun(entry, border)
    found = multi_step.run(counter, [write(canvas(8), n, ENTRY) for n in (2, 8)])
    assert [row["steps"] for row in found] == [4, 1]
    assert len(counter.lengths) == 1 + 3 + 8 + 8 - 1, "steps and scores; the first is shared"
    assert multi_step.run(counter, []) == []


def test_work_that_asks_nothing_ends_beside_one_that_does():
    def empty():
        return 5
        yield

    def one():
        (answer,) = yield [Query(canvas(1).ids, (2,), (Readout("top_id"),))]
        return int(answer["top_id"][0])

    found = multi_step.run(engine(0), [empty(), one()])
    assert found[0] == 5
    assert found[1] in range(TOKENS)


# ---------------------------------------------------------------------- refusals


def test_texts_without_a_continuation_are_named():
    texts = [Text("one", "t", "ab", "cd"), Text("two", "t", "ab", " ")]
    with pytest.raises(ProbeError, match="1 prompts have no continuation, such as 'two'"):
        check_continued(texts)
    with pytest.raises(ProbeError, match="prompt 'three' has 1 token"):
        canvas_of_prompt.continuation_ids(engine(0), Text("three", "t", "ab", "c"), 8)
    assert canvas_of_prompt.continuation_ids(engine(0), texts[0], 8) == (2, 3)
    assert canvas_of_prompt.continuation_ids(engine(0), Text("x", "t", "a", "bcd"), 2) == (1, 2)


def test_a_prompt_beyond_the_context_is_named_with_both_numbers():
    with pytest.raises(ProbeError, match=r"prompt 'long' has 60 tokens.*\n.*64"):
        canvas_of_prompt.appended(engine(0), Text("long", "t", "a" * 60), 8, "c")
