"""Headlines of checkpoints against the step: their rows, charts and files, and the step column."""

import csv
import json

import made_runs
import pytest
import reference
from made_trainings import checkpoints

from mdlm_probe.analysis.chart_style import chart_style
from mdlm_probe.analysis.headlines import Headline, HeadlineValue
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.reports import html, leaderboard, leaderboard_files, over_training, probe_report
from mdlm_probe.reports.over_training import NAME, Point, training_names

pytestmark = pytest.mark.slow

INDEX = Headline("locality index", "", "", "points", lambda tables, frame: iter(()))


def fails_far(row, step):
    """Right next to the question; elsewhere at the last steps alone."""
    return row | {"correct": str(int(row["position"] == "40" or step >= 2000))}


def points(training, values, headline=INDEX, run=""):
    """A point for each step: a value, or a value and its interval's ends."""
    made = {
        step: HeadlineValue(f"m-{step}", *ends, n=8, units="tasks") for step, ends in values.items()
    }
    return [Point(training, step, run, "locality", headline, one) for step, one in made.items()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two trainings: one whose steps have gaps, and one that was measured at a single step."""
    home = tmp_path_factory.mktemp("trainings")
    checkpoints(home, "/runs/a", (1000, 500, 2000, 9000), change=fails_far)
    return checkpoints(home, "/runs/b", (500,))


def one(made):
    """The table of the only chart."""
    ((name, data),) = made.data().items()
    assert name == "locality-index"
    return data


# ---------------------------------------------------------------------- points to charts


def test_a_training_is_a_line_of_its_steps_in_order():
    late = points("/x/b", {2000: (5.0, 4.0, 6.0), 10: (1.0, 0.0, 2.0)})
    data = one(over_training.over_training(points("/x/a", {500: (3.0, 2.0, 4.0)}) + late))
    rows = data.own()[["training", "x", "y", "low", "high", "n", "model"]]
    assert rows.to_numpy().tolist() == [
        ["a", 500, 3, 2, 4, 8, "m-500"],
        ["b", 10, 1, 0, 2, 8, "m-10"],
        ["b", 2000, 5, 4, 6, 8, "m-2000"],
    ]
    assert data.counted() == "n = 8 tasks"
    assert data.over() == "tasks"


def test_one_step_of_each_training_is_no_chart():
    alone = points("/x/a", {500: (3.0,)}) + points("/x/b", {700: (3.0,)})
    assert not over_training.over_training(alone)
    assert not over_training.over_training([])


def test_a_figure_has_the_steps_that_it_is_known_at():
    other = Headline("other", "", "", "", INDEX.find, none=None)
    unknown = points("/x/a", {1: (float("nan"),), 2: (1.0,), 3: (2.0,)}, other)
    found = over_training.over_training([*points("/x/a", {1: (1.0,), 2: (2.0,)}), *unknown])
    steps = {name: list(data.own()["x"]) for name, data in found.data().items()}
    assert steps == {"locality-index": [1, 2], "other": [2, 3]}
    assert found.charts["locality-index"].layers  # no effect is a line
    assert not found.charts["other"].layers


def test_runs_of_a_study_have_charts_of_their_own():
    both = points("/x/a", {1: (1.0,), 2: (2.0,)}, run="locality")
    both += points("/x/a", {1: (3.0,), 2: (4.0,)}, run="left")
    charts = over_training.over_training(both).charts
    titles = [chart.title for chart in charts.values()]
    assert titles == ["Locality index over training", "Locality index (left) over training"]
    assert list(charts) == ["locality-index", "locality-index-left"]


def test_of_two_checkpoints_of_a_step_the_first_is_shown():
    twice = points("/x/a", {1: (1.0,), 2: (2.0,)}) + points("/x/a", {2: (7.0,)})
    assert list(one(over_training.over_training(twice)).own()["y"]) == [1, 2]


def test_a_training_has_one_colour_in_every_chart():
    """Also where another one, that comes before it elsewhere, has no value."""
    other = Headline("other", "", "", "", INDEX.find)
    many = points("/x/a", {1: (1.0,), 2: (2.0,)}) + points("/x/b", {1: (1.0,), 2: (2.0,)})
    many += points("/x/b", {1: (1.0,), 2: (2.0,)}, other)
    found = over_training.over_training(many)
    colours = {name: chart_style(data, ()).colours for name, data in found.data().items()}
    assert set(colours["locality-index"]) == {"a", "b"}
    assert set(colours["other"]) == {"b"}
    assert colours["other"]["b"] == colours["locality-index"]["b"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/x/a", "/x/b", "/x/a"], ["a", "b"]),
        (["/x/one/out", "/x/two/out"], ["one/out", "two/out"]),
        (["C:\\x\\out", "/x/two/out"], ["x/out", "two/out"]),
        (["out"], ["out"]),
        (["/x/out", "out"], ["x/out", "out"]),
    ],
)
def test_trainings_are_named_by_what_tells_them_apart(paths, names):
    assert list(training_names(paths).values()) == names


# ---------------------------------------------------------------------- reports


def test_checkpoints_come_in_the_order_of_steps_and_tables_say_them(folder):
    assert [entry["config"]["model"] for entry in read_run(folder).values()] == [
        *("a-500", "a-1000", "a-2000", "a-9000", "b-500")
    ]
    made, _ = probe_report.make(folder)
    for table in made["locality"].tables.values():
        assert list(table.columns[:2]) == ["model", "step"]
        names = table["model"].str.rpartition("-")[2].astype(int)
        assert (table["step"] == names).all()


def test_models_beside_checkpoints_have_no_step(folder, tmp_path):
    home = checkpoints(tmp_path / "both", "/runs/a", (500,))
    kept = json.loads((home / "run.json").read_text())
    reference.run(home, "locality", "oracle")
    kept |= json.loads((home / "run.json").read_text())
    (home / "run.json").write_text(json.dumps(kept))
    table = probe_report.make(home)[0]["locality"].tables["index"]
    assert list(table["step"][table["model"] == "a-500"].unique()) == [500]
    assert table["step"][table["model"] == "oracle"].isna().all()
    assert not over_training.of_reports({"": probe_report.make(home)[0]})


def test_the_report_has_the_charts_and_their_files(folder):
    written = {path.name for path in html.write(folder)}
    assert {f"{NAME}-locality-index.{end}" for end in ("png", "svg", "pdf")} <= written
    with (folder / f"{NAME}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["training"], row["step"]) for row in rows] == [
        *(("a", "500"), ("a", "1000"), ("a", "2000"), ("a", "9000"), ("b", "500"))
    ]
    assert [float(row["value"]) for row in rows[:4]] == [100, 100, 0, 0]
    text = (folder / "report.html").read_text()
    assert 'id="training-steps-locality-index"' in text
    assert "Locality index over training" in text
    with (folder / "locality-index.csv").open(newline="") as file:
        assert {row["step"] for row in csv.DictReader(file)} == {"500", "1000", "2000", "9000"}


def test_runs_without_a_training_are_as_before(tmp_path):
    reference.run(tmp_path, "locality", "tiny-mdlm")
    assert not any(NAME in path.name for path in html.write(tmp_path))
    assert "step" not in probe_report.make(tmp_path)[0]["locality"].tables["index"]


# ---------------------------------------------------------------------- the leaderboard


def test_the_leaderboard_says_steps_and_draws_them(folder, tmp_path):
    second = checkpoints(tmp_path / "second", "/runs/c", (500, 4000))
    made = leaderboard.make([folder, second])
    text = leaderboard_files.text(made)
    assert text.heads[:2] == ("model", "step")
    assert [row[:2] for row in text.rows][-2:] == [("c-500", "500"), ("c-4000", "4000")]
    paths = {path.name for path in leaderboard_files.save(tmp_path / "to", made, ["csv", "html"])}
    assert f"leaderboard-{NAME}-locality-index.svg" in paths
    with (tmp_path / "to" / "leaderboard.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[-1]["training"] == "/runs/c"
    assert rows[-1]["step"] == "4000"
    page = (tmp_path / "to" / "leaderboard.html").read_text()
    assert page.count("<svg") == 1
    assert "var(--category-0)" in page  # drawn in the page's colours, light and dark
    assert "<script" not in page


def test_models_without_a_step_have_a_dash_in_the_leaderboard(folder, tmp_path):
    reference.run(tmp_path, "locality", "oracle")
    made = leaderboard.make([folder, tmp_path])
    assert leaderboard_files.text(made).rows[-1][:2] == ("oracle", "-")
    alone = leaderboard.make([tmp_path])
    assert leaderboard_files.text(alone).heads[:2] == ("model", "locality index (points)")
    assert not alone.over_training()


def test_damaged_steps_are_said(folder, tmp_path):
    made_runs.written(tmp_path, "locality", reference.rows("locality", "tiny-mdlm"), "m")
    entries = json.loads((tmp_path / "run.json").read_text())
    entries["locality__m"]["training"] = {"training": "/runs/a", "step": "500"}
    (tmp_path / "run.json").write_text(json.dumps(entries))
    with pytest.raises(ProbeError, match=r"training\.step is '500', not a whole number"):
        probe_report.make(tmp_path)
