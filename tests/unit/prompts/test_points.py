"""Points with two labels: rules against a literal count, orders, what examples can teach."""

import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import points
from mdlm_probe.prompts.few_shot_sets import Example, ordered
from mdlm_probe.prompts.suite import load

ROOT = Path(__file__).parents[3]
FEW, MANY = 20, 200


def coordinates(example):
    return np.array([int(x) for x in example.question.split(", ")])


def unit(example, low=1, high=100):
    return (coordinates(example) - low) / (high - low)


@pytest.mark.parametrize("rule", points.RULES)
@pytest.mark.parametrize("span", [(1, 100), (1, 40)])
def test_points_are_distinct_and_half_of_each_label(rule, span):
    found = points.questions(rule, *span)
    assert Counter(one.right for one in found) == {0: 600, 1: 600}
    assert len({one.question for one in found}) == len(found)
    every = np.stack([coordinates(one) for one in found])
    assert every.min() >= span[0]
    assert every.max() <= span[1]
    assert {one.options for one in found} == {points.LABELS}


def label(rule, x):
    """The label by the rule in words, 0 the first."""
    if rule == "plane":
        return int(0.8 * (x[0] - 0.5) - 0.5 * (x[1] - 0.5) + 0.33 * (x[2] - 0.5) < 0)
    if rule == "ball":
        return int(sum((x - 0.5) ** 2) > points.RADIUS**2)
    if rule == "octants":
        return sum(x < 0.5) % 2
    nearest = min(range(4), key=lambda i: math.dist(x, points.CENTRES[i]))
    return nearest // 2


@pytest.mark.parametrize("rule", points.RULES)
def test_labels_follow_the_rule(rule):
    found = points.questions(rule, 1, 100)
    assert [label(rule, unit(one)) for one in found] == [one.right for one in found]


def test_the_ball_has_half_of_the_cube():
    assert 4 / 3 * math.pi * points.RADIUS**3 == pytest.approx(0.5)


def examples(*rights):
    return tuple(Example(("a", "b"), right, str(n)) for n, right in enumerate(rights))


def test_orders_are_the_same_examples():
    drawn = examples(0, 1, 1, 0, 1)
    assert ordered(drawn, "random", 0) == drawn
    for seed in range(4):
        grouped = [one.right for one in ordered(drawn, "grouped", seed)]
        turns = [one.right for one in ordered(drawn, "alternating", seed)]
        assert grouped in ([0, 0, 1, 1, 1], [1, 1, 1, 0, 0])
        assert turns in ([0, 1, 0, 1, 1], [1, 0, 1, 0, 1])
        for order in ("grouped", "alternating"):
            assert sorted(ordered(drawn, order, seed), key=str) == sorted(drawn, key=str)
    firsts = {ordered(drawn, "grouped", seed)[0].right for seed in range(20)}
    assert firsts == {0, 1}


def test_a_group_keeps_the_order_in_which_it_was_drawn():
    found = ordered(examples(0, 1, 1, 0, 1), "grouped", 0)
    for right in (0, 1):
        questions = [one.question for one in found if one.right == right]
        assert questions == sorted(questions)


@pytest.mark.parametrize("order", ["alternating", "grouped"])
def test_the_suites_of_other_orders_have_the_same_points(order):
    base, other = load("points"), load(f"points-{order}")
    assert other.name == f"points-{order}"
    assert base.sets.keys() == other.sets.keys()
    assert base.digest() != other.digest()
    for name, one in base.sets.items():
        first, second = (s.shots("relevant", FEW, 0) for s in (one, other[name]))
        assert Counter(first) == Counter(second)
        assert first != second
        assert one.items(10, 0, FEW) == other[name].items(10, 0, FEW)
        assert one.shots("distractor", 5, 0) == other[name].shots("distractor", 5, 0)


def test_both_labels_come_last_over_the_sets():
    sets = load("points-grouped").sets.values()
    assert {one.shots("relevant", FEW, 0)[-1].right for one in sets} == {0, 1}


def test_suites_in_the_order_that_was_drawn_keep_the_digest_of_finished_runs():
    found = [load("few-shot", lexicon).digest() for lexicon in ("full", "small")]
    assert found == ["cd4fe85a8dec2f27", "289330757fc59fbc"]


def nearest(known, asked):
    """The share of points whose nearest known one has their label."""
    places, wanted = (np.stack([unit(one) for one in side]) for side in (known, asked))
    found = np.array([one.right for one in known])[cdist(wanted, places).argmin(1)]
    return float(np.mean(found == [one.right for one in asked]))


def test_the_page_says_what_a_reader_of_the_nearest_example_reaches():
    page = (ROOT / "docs" / "points.md").read_text()
    for rule in points.RULES:
        one = load("points")[f"{rule}-smallest"]
        asked = one.items(1000, 0, MANY)
        reached = [nearest(one.shots("relevant", n, 0), asked) for n in (FEW, MANY)]
        (told,) = re.findall(rf"^\| `{rule}` \|.*\| (\d+) \| (\d+) \|$", page, re.MULTILINE)
        assert [int(x) for x in told] == [round(100 * x) for x in reached]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like: points\norder: sideways\n", "found 'sideways'"),
        ("like: points\norder: grouped\nshots: 3\n", "shots"),
        ("like: nowhere\norder: grouped\n", "nowhere"),
    ],
)
def test_faults_of_a_suite_in_another_order_are_named(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(ProbeError, match=message):
        load(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("points: ball", "points: cube", "found 'cube'"),
        ("options: 2", "options: 3", "3 options"),
        ("numbers: [1, 100]", "numbers: [1, 20]", "30 numbers or more apart"),
    ],
)
def test_faults_of_points_are_named(tmp_path, old, new, message):
    text = (ROOT / "tasks" / "points.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace(old, new))
    with pytest.raises(ProbeError, match=message):
        load(str(tmp_path / "mine.yaml"))
