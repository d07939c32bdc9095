"""Which rows become examples: the same for every model, wrong ones among them, never by chance."""

import itertools
import random

import pandas as pd
import pytest

from mdlm_probe.analysis.examples import choice


def frame(models=("one", "two"), items=12, settings=3, wrong=()):
    """One row per model, item and setting; `wrong` items have a 0."""
    rows = [
        {"model": m, "set": f"s{i % 3}", "item": i, "at": s, "correct": int(i not in wrong)}
        | {"logp": -i / 100}
        for m, i, s in itertools.product(models, range(items), range(settings))
    ]
    return pd.DataFrame(rows)


def chosen(rows, limit=8, by=("correct", "logp")):
    found = choice.spread(rows, ("set", "item"), ("at",), by, limit)
    return rows.loc[found]


@pytest.mark.parametrize(
    ("count", "found"),
    [(1, [0]), (2, [0, 9]), (3, [0, 4, 9]), (4, [0, 3, 6, 9]), (10, [*range(10)]), (0, [])],
)
def test_a_ranking_is_taken_evenly_with_both_ends(count, found):
    assert choice.evenly(range(10), count) == found
    assert choice.evenly(range(10), 99) == [*range(10)]


def test_groups_are_numbered_as_they_come_and_missing_values_are_one_group():
    rows = pd.DataFrame({"a": ["y", "x", "y", "x"], "b": [1.0, None, 1.0, None]})
    assert choice.numbers(rows, ("a", "b", "unknown")).tolist() == [0, 1, 0, 1]
    assert choice.numbers(rows, ("unknown",)).tolist() == [0, 0, 0, 0]


def test_a_ranking_is_by_means_over_models_and_settings():
    rows = frame(items=5)
    rng = random.Random(0)
    rows["correct"] = [rng.random() for _ in range(len(rows))]
    group = choice.numbers(rows, ("item",))
    means = {i: rows["correct"][rows["item"] == i].mean() for i in range(5)}
    assert choice.ranking(rows, group, ("correct",)) == sorted(means, key=means.get)


def test_every_model_has_the_same_items_and_no_more_than_asked_for():
    rows = frame(wrong=(7,))
    for limit in (1, 3, 8, 30):
        found = chosen(rows, limit)
        by_model = [list(zip(p["item"], p["at"], strict=True)) for _, p in found.groupby("model")]
        assert by_model[0] == by_model[1]
        assert 1 <= len(by_model[0]) <= limit
        assert len(set(by_model[0])) == len(by_model[0])


def test_an_item_that_is_answered_wrong_comes_first():
    assert chosen(frame(wrong=(7,)))["item"].iloc[0] == 7
    assert chosen(frame())["item"].iloc[0] == 11  # all right: the least probable


def test_models_that_lack_a_setting_are_shown_in_those_they_share():
    rows = frame(settings=6)
    rows = rows[(rows["model"] == "one") | rows["at"].isin([2, 4])].reset_index(drop=True)
    found = chosen(rows)
    shared = found[found["model"] == "two"]
    assert set(shared["at"]) == {2, 4}
    assert {2, 4} < set(found["at"][found["model"] == "one"])


def test_the_same_rows_give_the_same_choice_and_other_rows_another():
    assert chosen(frame(wrong=(3, 5))).equals(chosen(frame(wrong=(3, 5))))
    assert not chosen(frame(wrong=(3, 5))).equals(chosen(frame(wrong=(4, 9))))
    assert chosen(frame()[:0]).empty


def test_extremes_are_the_least_and_the_largest_of_each_column():
    rows = frame(settings=5)
    assert set(choice.extreme(rows, ("at", "unknown"))["at"]) == {0, 4}
