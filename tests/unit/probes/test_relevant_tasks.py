"""Few-shot probes: whatever has an interval or a test over tasks has it over relevant tasks.

Sets share these, two by two, as the suite's do: an interval over sets would be another one.
"""

import json

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe import models
from mdlm_probe.analysis import paired_differences, stats
from mdlm_probe.analysis import pairing as pairs
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.probes._few_shot import report_parts
from mdlm_probe.probes._few_shot.report_parts import with_task
from mdlm_probe.probes.attribution import probe as attribution_probe
from mdlm_probe.probes.attribution import report as attribution
from mdlm_probe.probes.locality import probe as locality_probe
from mdlm_probe.probes.locality import report as locality
from mdlm_probe.probes.masks import report as masks
from mdlm_probe.reports import probe_report
from mdlm_probe.reports.html.probe_sections import ReportedRun, sections

NAMES, OTHERS, ITEMS = ("a", "b", "c"), ("x", "y"), 6


def rows(column, values, seed=0, **more):
    """Rows of three relevant tasks among two others, at some values of a column, and their hits.

    The hits are [values, tasks, others, items].
    """
    rng = np.random.default_rng(seed)
    hits = rng.random((len(values), 3, 2, ITEMS)) < rng.uniform(0.2, 0.8, (len(values), 3, 1, 1))
    right = rng.uniform(0.2, 0.8, hits.shape)
    at, task, other, item = (axis.ravel() for axis in np.indices(hits.shape))
    names = np.array(NAMES, dtype=object)[task]
    found = {"model": "m", "suite": "few-shot", "shots": 10, "distractors": 40, "options": 3}
    found |= {"set": names + "-" + np.array(OTHERS, dtype=object)[other], "item": item}
    found |= {"correct": hits.ravel().astype(int), "logp_right": np.log(right.ravel())}
    found |= {column: np.array(values, dtype=object)[at], "entropy": 1.0, "top1_prob": 0.5}
    return pd.DataFrame(found | more).infer_objects(), hits.astype(float), right


def over_tasks(values):
    """The t interval and test of the tasks' means, of [tasks, others, items]."""
    return stats.mean(values.mean(axis=(1, 2)))


def ends(line, name, scale=1.0):
    return line[f"{name}_low"] / scale, line[f"{name}_high"] / scale


def test_accuracy_and_index_of_locality():
    frame, hits, right = rows("position", (0, 40), question="right", question_masks=0)
    table = locality.accuracy(frame)
    for at, line in table.iterrows():
        share = stats.share_over(hits[at].ravel(), np.repeat(NAMES, 2 * ITEMS))
        assert ends(line, "tasks") == pytest.approx((share.low, share.high))
        found = over_tasks(right[at]).within(0, 1)
        assert ends(line, "p_right") == pytest.approx((found.low, found.high))
        assert (line["n"], line["tasks"]) == (36, 3)
    (line,) = locality.index(frame).to_dict("records")
    found = over_tasks(hits[1] - hits[0]).within(-1, 1)
    assert (*ends(line, "tasks"), line["tasks_p"]) == pytest.approx(
        (found.low, found.high, found.p)
    )
    assert line["tasks_holm"] == line["tasks_p"]
    assert (line["n"], line["tasks"]) == (36, 3)


TAIL = {"filler": "mask", "side": "right", "steps": 1, "order": "none"}
TAIL |= {"appended": 5, "mask_tokens": 1, "answer_step": 1}


def test_drops_changes_and_controls_of_masks():
    frame, hits, right = rows("amount", ("5", "9"), **TAIL)
    other, dots, _ = rows("amount", ("5", "9"), seed=1, **(TAIL | {"filler": "dot"}))
    series = masks.series(pd.concat([frame, other], ignore_index=True))
    curve = masks.curve(series).query("filler == 'mask'").to_dict("records")
    for line, own in zip(curve, hits, strict=True):
        share = stats.share_over(own.ravel(), np.repeat(NAMES, 2 * ITEMS))
        assert ends(line, "tasks") == pytest.approx((share.low, share.high))
        assert (line["n"], line["tasks"]) == (36, 3)
    (change,) = masks.changes(series).query("filler == 'mask'").to_dict("records")
    control = masks.controls(series).to_dict("records")[1]
    for line, gaps in ((change, hits[1] - hits[0]), (control, hits[1] - dots[1])):
        found = over_tasks(gaps).within(-1, 1)
        expected = (found.low, found.high, found.p)
        assert (*ends(line, "accuracy_points", 100), line["accuracy_points_p"]) == pytest.approx(
            expected
        )
        assert line["units"] == 3
    found = over_tasks(right[1] - right[0]).within(-1, 1)
    assert (*ends(change, "p_right_points", 100), change["p_right_points_p"]) == pytest.approx(
        (found.low, found.high, found.p)
    )
    drop = masks.drop(series).query("filler == 'mask'").to_dict("records")[0]
    found = over_tasks(hits[0] - hits[1]).within(-1, 1)
    assert (*ends(drop, "from_start_points", 100), drop["from_start_points_p"]) == pytest.approx(
        (found.low, found.high, found.p)
    )
    best = hits[int(hits.mean(axis=(1, 2, 3)).argmax())] - hits[1]
    if best.any():
        found = over_tasks(best).within(-1, 1)
        assert ends(drop, "tasks", 100) == pytest.approx((found.low, found.high))
    assert masks.tables(frame)["tasks"]["task"].tolist() == [*NAMES]


def test_scores_of_attribution():
    at = {
        "question": "right",
        "appended_masks": 0,
        "method": "grad-norm",
        "example_order": 0,
        "score": 1.0,
    }
    frame, _, scores = rows("examples_before", range(5), label="relevant", gap=np.nan, **at)
    frame["normalised"] = scores.ravel()
    for line, own in zip(
        attribution.positions(frame).query("label == 'any'").to_dict("records"), scores, strict=True
    ):
        found = over_tasks(own).within(0, 1)
        assert ends(line, "tasks") == pytest.approx((found.low, found.high))
        assert (line["n"], line["tasks"]) == (36, 3)
    parts = attribution.shape(frame).set_index("part")
    for name, place in (("primacy", 0), ("recency", 4)):
        found = over_tasks(scores[place] - scores[2]).within(-1, 1)
        expected = (found.low, found.high, found.p)
        line = parts.loc[name]
        assert (*ends(line, "tasks"), line["tasks_p"]) == pytest.approx(expected)
    groups = attribution.groups(frame.drop(columns="label").assign(group="all"))
    found = over_tasks(scores.mean(axis=0)).within(0, 1)
    assert ends(groups.iloc[0], "tasks") == pytest.approx((found.low, found.high))


@pytest.mark.parametrize("named", [True, False])
def test_two_runs_compared(named):
    """By the column, and of older rows by the names of sets."""
    both = [rows("position", (0, 40), seed, question="right", question_masks=0) for seed in (0, 1)]
    frames = [with_task(frame) if named else frame for frame, _, _ in both]
    pairing = locality.PAIRED[0]
    coordinates = ["set", "item", "question", "question_masks", "position", "shots", "distractors"]
    table = paired_differences.lines(pairs.pair(*frames, pairing, coordinates), pairing)
    found = over_tasks((both[1][1] - both[0][1]).mean(axis=0))
    line = table.iloc[0]
    assert line["measure"] == "accuracy (points)"
    assert (*ends(line, "difference", 100), line["p"]) == pytest.approx(
        (found.low, found.high, found.p)
    )
    assert (line["n"], line["clusters"]) == (36, 3)


# ---------------------------------------------------------------------- which task it is


def test_rows_say_their_relevant_task(tmp_path):
    """The names of a suite of one's own may have hyphens: the task isn't read from the set's."""
    text = """
template: {question: "Options: {options}", option: "({letter}) {text}", between: ", ",
  answer: "Answer:[{answer}].", turn: "\\n", end: "\\n\\n"}
lexicons: {small: {numbers: [1, 40]}}
words: {animal: [cat, dog, horse, cow], object: [chair, desk, lamp, spoon]}
relevant: {living-thing: {target: animal, wrong: [object]}}
distractor: {the-smallest: {numbers: smallest}}
"""
    path = tmp_path / "own.yaml"
    path.write_text(text)
    entry = models.resolve("oracle")
    engine = DryRun(entry, models.load_border(entry))
    few = {"suite": str(path), "lexicon": "small", "answer": "word", "limit": 1}
    few |= {"shots": 1, "distractors": 1}
    for probe in (locality_probe, attribution_probe):
        for _, found in probe.measure(engine, probe.plan(**few)):
            for own in planted.by_kind(found).values():
                assert {row["task"] for row in own} == {"living-thing"}


def test_an_lm_eval_task_is_one_relevant_task():
    entry = models.resolve("oracle")
    engine = DryRun(entry, models.load_border(entry))
    cells = locality_probe.plan(lm_eval_task="suite_verb_words", limit=1, shots=1, distractors=1)
    found = [row["task"] for _, rows in locality_probe.measure(engine, cells) for row in rows]
    assert len(found) > 1
    assert set(found) == {"suite_verb_words"}


def test_older_rows_have_the_task_of_their_sets_name():
    names = pd.DataFrame({"set": ["verb-smallest", "verb-largest", "colour-largest", "alone"]})
    assert with_task(names)["task"].tolist() == ["verb", "verb", "colour", "alone"]
    mixed = names.assign(task=["own-name", None, None, None])
    assert with_task(mixed)["task"].tolist() == ["own-name", "verb", "colour", "alone"]
    of_lm_eval = pd.DataFrame({"suite": ["lm-eval:a-b"], "set": ["a-b-smallest"]})
    assert with_task(of_lm_eval)["task"].tolist() == ["a-b"]


def test_older_rows_that_may_mean_two_tasks_are_refused():
    frame = pd.DataFrame({"suite": ["mine.yaml"], "set": ["living-thing-the-smallest"]})
    with pytest.raises(ProbeError, match="don't say which task is relevant") as found:
        with_task(frame)
    assert "--fresh" in found.value.hint
    assert with_task(frame.assign(task="living-thing"))["task"].tolist() == ["living-thing"]


def test_one_relevant_task_has_no_interval_over_tasks_and_it_is_said_why():
    frame, hits, _ = rows("position", (0, 40), question="right", question_masks=0)
    assert report_parts.notes(frame) == []
    alone = frame[frame["set"].str.startswith("b-")]
    table, index = locality.accuracy(alone), locality.index(alone)
    for found in (table, index):
        assert found[["tasks_low", "tasks_high"]].isna().all(axis=None)
        assert found[["items_low", "items_high"]].notna().all(axis=None)
        assert found["tasks"].tolist() == [1] * len(found)
    assert index["tasks_p"].isna().all()
    (said,) = locality.notes(alone.assign(model="one"))
    assert said.startswith("all items of one have one relevant task, 'b': ")
    (said,) = locality.notes(pd.concat([frame, alone.assign(model="one")]))
    assert "of one have" in said
    gaps = hits[1, 1] - hits[0, 1]
    expected = stats.paired_hits(gaps.ravel(), np.zeros(gaps.size))
    assert index["items_p"][0] == expected.p


def test_the_report_of_a_run_says_so_first(tmp_path):
    frame, _, _ = rows("position", (0, 40), question="right", question_masks=0)
    frame[frame["set"].str.startswith("b-")].to_csv(tmp_path / "locality__m.csv", index=False)
    entry = {"status": "finished", "config": {"probe": "locality", "model": "m", "options": {}}}
    (tmp_path / "run.json").write_text(json.dumps({"locality__m": entry}))
    made, notes = probe_report.make(tmp_path)
    (said,) = locality.notes(made["locality"].frame)
    assert notes == [f"locality: {said}"]
    drawn = made["locality"].charts[""]
    assert drawn.over() == "items (of one relevant task, so not over tasks)"
    run = ReportedRun("", tmp_path, {"locality__m": entry}, made, [*notes, "masks: another's"])
    (section,) = sections(run, ["m"])
    assert said in str(section.facts)
    assert "another's" not in str(section.facts)
