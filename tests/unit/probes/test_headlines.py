"""Headlines: the tables' own figures, of the rows that they say, and when one stands out."""

import csv
import math

import made_runs
import pandas as pd
import pytest
import reference

from mdlm_probe.analysis import frames, headlines
from mdlm_probe.analysis.headlines import Headline, HeadlineValue
from mdlm_probe.analysis.observed import values
from mdlm_probe.core import catalog

HEADLINES = {
    one.name: (probe, one)
    for probe in catalog.names("headlines")
    for one in catalog.load("headlines", probe).HEADLINES
}
PLACES = {
    "locality index": ("locality-index", {"question": "right"}, "index", 100, "tasks"),
    "distraction": (
        "masks-changes",
        {"filler": "mask", "amount": "50"},
        "accuracy_points",
        -1,
        "accuracy_points",
    ),
    "distraction p_right": (
        *("masks-changes", {"filler": "mask", "amount": "50"}),
        *("p_right_points", -1, "p_right_points"),
    ),
    "half-distance": ("decay-half", {"task": "prose"}, "half", 1, "half"),
    "parallel bound": ("joint-bound", {"task": "all"}, "by_mean", 1, "by_mean"),
    "draws bound": (
        *("joint-total_bound", {"task": "all", "reveal_order": "left_to_right"}),
        *("draws_by_mean", 1, "draws_by_mean"),
    ),
    "shift harm": ("shift-harm", {"intervention": "shift", "frac": "0.01"}, "nats", 1, "nats"),
    "price of a shift": (
        *("alignment-penalties", {"tail_shown": "none", "target": "right"}),
        *("penalty", 1, "penalty"),
    ),
    "shifted win rate": (
        *("judge-winrate", {"intervention": "shift", "frac": "0.01"}),
        *("winrate", 100, "winrate"),
    ),
    "needle exact match": ("needle-overview", {"context_length": "512"}, "exact", 100, "exact"),
    "gain by the right side": (
        *("context-overview", {"task": "all", "span_tokens": "8"}),
        *("gain", 1, "gain"),
    ),
    "order loss": ("blocks-orders", {"order": "low_confidence"}, "nll_excess", 1, "nll_excess"),
    "canvas change": (
        *("canvas-change", {"longer": "64", "shorter": "8"}),
        *("right_more", 100, "right_more"),
    ),
    "cache edits": ("cache-error", {"cache": "prefix"}, "edits", 100, "edits"),
    "list accuracy": ("parallel-overview", {"family": "all"}, "of_optimum", 100, "of_optimum"),
    "errors found": (
        *("remasking-detection", {"error": "unigram", "reading": "masked"}),
        *("auroc", 1, "auroc"),
    ),
    "attention removal": ("attention-contrast", {}, "kl", 1, "kl"),
    "recency": (
        *("attribution-shape", {"part": "recency", "appended_masks": "0"}),
        *("value", 1, "tasks"),
    ),
}
"""Of each headline the committed table, the row that it is, its column, and that of its interval.

Signs are as the headline's: a drop is minus the change.
"""


def found(folder, name):
    """A headline of all models of a run, by model; of the committed one by its written tables."""
    probe, headline = HEADLINES[name]
    frame = frames.frames(folder).rows[probe]
    if reference.FOLDER in folder.parents:
        files = [path for path in folder.glob(f"{probe}-*.csv") if "__" not in path.stem]
        tables = {path.stem.removeprefix(f"{probe}-"): pd.read_csv(path) for path in files}
    else:
        tables = catalog.load("report", probe).tables(frame)
    models = values(frame, "model")
    return {one.model: one for one in headlines.values(headline, tables, frame, models)}


@pytest.mark.parametrize("name", HEADLINES)
def test_a_headline_is_a_figure_of_the_committed_tables(name):
    """Of tiny-mdlm and the adapted one: value, interval and number."""
    file, wanted, column, scale, ends = PLACES[name]
    run = "shift" if file.startswith("judge") else file.partition("-")[0]
    with (reference.FOLDER / run / f"{file}.csv").open(newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if wanted.items() <= row.items()]
    values = found(reference.FOLDER / run, name)
    compared = 0
    for row in rows:
        one = values[row["model"]]
        if row["model"] not in ("tiny-mdlm", "tiny-mdlm-adapted"):
            continue
        assert one.value == pytest.approx(scale * float(row[column]), rel=1e-4)
        theirs = [row[f"{ends}_{end}"] for end in ("low", "high")]
        if all(theirs):
            assert [one.low, one.high] == pytest.approx(
                sorted(scale * float(end) for end in theirs), rel=1e-4, abs=1e-6
            )
        else:
            assert not one.bounded
        counts = [row[k] for k in ("tasks", "units", "scored", "n") if row.get(k)]
        assert one.n == int(counts[0])
        assert one.units
        assert one.setting
        compared += 1
    assert compared


def test_every_probe_has_one_and_no_two_have_a_name():
    assert set(PLACES) == set(HEADLINES)
    names = [
        one.name
        for p in catalog.names("headlines")
        for one in catalog.load("headlines", p).HEADLINES
    ]
    assert len(set(names)) == len(names)
    assert {*catalog.names("probe"), catalog.JUDGE} == set(catalog.names("headlines"))
    for _, headline in HEADLINES.values():
        assert "{value}" in headline.words
        assert ("{way}" in headline.words) == any(headline.ways)


def test_a_model_that_lacks_one_has_a_reason_and_no_zero():
    one = found(reference.FOLDER / "masks", "distraction")["tiny-arlm"]
    assert math.isnan(one.value)
    assert "no masks" in one.reason
    assert HEADLINES["distraction"][1].sentence(one) == one.reason


def test_the_one_percent_must_have_been_moved(tmp_path):
    reference.run(tmp_path, "shift", "oracle")
    made_runs.changed(
        tmp_path, "shift__oracle", lambda row: [] if row["frac"] == "0.01" else [row], frac=[0, 0.1]
    )
    one = found(tmp_path, "shift harm")["oracle"]
    assert not one.known
    assert "10 %" in one.reason


def test_the_masks_nearest_to_a_fifth_are_taken(tmp_path):
    """Of prompts of about 109 tokens 50 are nearest; where these weren't asked, 200."""
    one = found(reference.FOLDER / "masks", "distraction")["tiny-mdlm"]
    assert one.setting.startswith("50 masks (46 %")
    reference.run(tmp_path, "masks", "tiny-mdlm")
    made_runs.changed(
        *(tmp_path, "masks__tiny-mdlm", lambda row: [] if row["amount"] == "50" else [row]),
        masks=["0", "200", "400", "800"],
    )
    assert found(tmp_path, "distraction")["tiny-mdlm"].setting.startswith("200 masks (1")


def test_masks_without_none_beside_them_tell_no_distraction(tmp_path):
    reference.run(tmp_path, "masks", "tiny-mdlm")
    made_runs.changed(
        *(tmp_path, "masks__tiny-mdlm", lambda row: [] if row["amount"] == "0" else [row]),
        masks=["50", "200", "400", "800"],
    )
    one = found(tmp_path, "distraction")["tiny-mdlm"]
    assert not one.known
    assert "--masks 0" in one.reason


# ---------------------------------------------------------------------- planted


def planted(folder, right):
    """Locality rows whose answers are right where `right(row)` says so."""
    reference.run(folder, "locality", "tiny-mdlm")

    def change(row):
        return [row | {"correct": str(int(right(row)))}]

    made_runs.changed(folder, "locality__tiny-mdlm", change)
    return folder


def far(row):
    """Whether the block is at the left end, far from a question at the right."""
    return row["position"] == "0"


def test_a_planted_effect_stands_out_and_its_mirror_image_too(tmp_path):
    """Far from the question a model fails at all but a tenth, and a twentieth of one task."""
    headline = HEADLINES["locality index"][1]

    def near_only(row):
        return not far(row) or (row["item"] == "0" and row["task"] != "country")

    one = found(planted(tmp_path / "near", near_only), "locality index")["tiny-mdlm"]
    assert headline.stands_out(one)
    assert 80 < one.value < 95
    assert one.low > 50
    assert f"{headlines.rounded(one.value)} points higher" in headline.sentence(one)

    def far_only(row):
        return not near_only(row) if row["question"] == "right" else True

    one = found(planted(tmp_path / "far", far_only), "locality index")["tiny-mdlm"]
    assert headline.stands_out(one)
    assert one.value < -80
    assert " points lower" in headline.sentence(one)
    assert "-" not in headline.sentence(one)
    # what is lower by so many points has an interval around so many
    expected = (headlines.rounded(-one.high), headlines.rounded(-one.low))
    assert headline.ends(one) == " to ".join(expected)


def test_no_effect_does_not_stand_out(tmp_path):
    """Half of the tasks fail far from the question, the other half next to it."""
    tasks = sorted({row["task"] for row in reference.rows("locality", "tiny-mdlm")})

    def one_end(row):
        return far(row) == (tasks.index(row["task"]) % 2 == 0)

    one = found(planted(tmp_path, one_end), "locality index")["tiny-mdlm"]
    assert abs(one.value) < 1e-9
    assert one.bounded
    assert one.high > 50
    assert not HEADLINES["locality index"][1].stands_out(one)


@pytest.mark.parametrize(
    ("none", "low", "high", "out"),
    [
        *((0.0, 0.1, 2.0, True), (0.0, -2.0, -0.1, True), (0.0, -1.0, 1.0, False)),
        *((1.0, 1.0, 4.0, False), (1.0, 2.0, 4.0, True), (None, 1.0, 2.0, False)),
        *((0.0, 0.0, 1.0, False), (0.0, math.nan, math.nan, False)),
    ],
)
def test_what_stands_out(none, low, high, out):
    headline = Headline("h", "m", "{value}", "u", lambda tables, frame: iter(()), none=none)
    assert headline.stands_out(HeadlineValue("m", 1.0, low, high, 3)) == out


def test_figures_in_words():
    assert headlines.with_unit(1.0, "tokens") == "1 token"
    assert headlines.with_unit(1.0, "nats per token") == "1 nats per token"
    assert headlines.with_unit(18.7549, "points") == "18.8 points"
    assert headlines.rounded(-0.0049) == "-0.005"
    assert headlines.rounded(math.nan) == "-"
    assert headlines.ends_in_words(HeadlineValue("m", 1.0, 2.0, math.inf)) == "2 to ∞"
    assert headlines.ends_in_words(HeadlineValue("m", 1.0)) == "-"


def test_a_model_that_is_nowhere_in_the_tables_says_so():
    headline = Headline("h", "m", "{value}", "u", lambda tables, frame: iter(()))
    (one,) = headlines.values(headline, {}, pd.DataFrame(), ["m"])
    assert not one.known
    assert one.reason
