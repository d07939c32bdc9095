"""Trackers: what they are given, what happens without them, and the real ones where installed."""

import sys
import types
from dataclasses import replace

import pandas as pd
import pytest
from commands import call
from PIL import Image

from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.reports import exports, probe_report
from mdlm_probe.reports.exports import tracker_data

pytestmark = pytest.mark.usefixtures("reports_once")

TRACKERS = ("wandb", "trackio")


class Fake(types.ModuleType):
    """Either tracker, as far as it is used: it remembers what it is given."""

    def __init__(self, name):
        super().__init__(name)
        self.given, self.logged, self.summary, self.finished = [], [], {}, 0
        self.offline, self.url, self.dir = True, "", "/kept/files"

    def Settings(self, **given):
        return given

    def Table(self, columns=None, data=None):
        return ("table", columns, data)

    def Image(self, picture):
        assert isinstance(picture, Image.Image)
        return ("image", picture.size)

    def init(self, **given):
        self.given.append(given)
        return self

    def log(self, values):
        self.logged.append(values)

    def Api(self):
        return self

    def runs(self, project):
        if not self.given:
            raise ValueError(f"Project '{project}' does not exist")
        return [types.SimpleNamespace(name=given["name"]) for given in self.given]

    def finish(self):
        self.finished += 1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.finish()


@pytest.fixture(params=TRACKERS)
def fake(request, monkeypatch):
    module = Fake(request.param)
    monkeypatch.setitem(sys.modules, request.param, module)
    return module


@pytest.mark.slow
def test_a_tracker_gets_configuration_tables_estimates_and_figures(run, made, fake, tmp_path):
    words = ["--project", "p", "--name", "n", "--entity", "e", "-o", tmp_path / "out"]
    said = call("export", run, "--to", fake.__name__, *words).output
    assert f"{fake.__name__} has n" in said
    (given,) = fake.given
    assert (given["project"], given["name"], given["group"]) == ("p", "n", None)
    assert given.get("entity", "e") == "e"
    entries = read_run(run)
    for name, entry in entries.items():
        assert given["config"][name]["options"] == entry["config"]["options"]
        assert given["config"][name]["weight_hash"] == entry["model"]["weight_hash"]
    (logged,) = fake.logged
    for name, table in made["masks"].tables.items():
        kind, heads, rows = logged[f"masks/{name}"]
        assert kind == "table"
        rows = [
            row if isinstance(row, dict) else dict(zip(heads, row, strict=True)) for row in rows
        ]
        assert len(rows) == len(table)
        for row, line in zip(rows, table.to_dict("records"), strict=True):
            assert row == {n: None if v != v else v for n, v in line.items()}
    assert logged["masks/figure"][0] == logged["masks/figure certainty"][0] == "image"
    numbers = logged | fake.summary
    row = made["masks"].tables["drop"].set_index(["model", "filler"]).loc[("tiny-mdlm", "mask")]
    where = "tiny-mdlm shots=10 distractors=0 filler=mask side=right steps=1 order=none"
    for column in ("points", "degradation", "from_start_points_p"):
        assert numbers[f"masks/drop/{column} {where}"] == row[column]
    assert not [n for n, v in numbers.items() if isinstance(v, float) and v != v]
    assert fake.finished == 1


def send(tracker, runs, **request):
    return catalog.load("format", tracker).send(runs, exports.ExportRequest(**request))


def test_a_studys_runs_are_tracked_as_a_group(run, made, fake, tmp_path):
    one = {"locality": replace(made["locality"], draw=dict)}
    names = ("first", "second")
    runs = [exports.ExportedRun(name, tmp_path / "s" / name, read_run(run), one) for name in names]
    said = send(fake.__name__, runs, folder=tmp_path / "out")
    assert len(said) == 2
    assert [given["name"] for given in fake.given] == ["s/first", "s/second"]
    assert {given["group"] for given in fake.given} == {"s"}
    assert fake.finished == 2
    send(fake.__name__, runs, folder=tmp_path / "out", name="mine")
    assert [given["name"] for given in fake.given[2:]] == ["mine/first", "mine/second"]


def test_trackio_numbers_the_runs_of_a_second_export(run, made, monkeypatch, tmp_path):
    fake = Fake("trackio")
    monkeypatch.setitem(sys.modules, "trackio", fake)
    runs = [exports.ExportedRun("", run, {}, {})]
    said = [send("trackio", runs, name="n", folder=tmp_path)[0] for _ in range(3)]
    assert [given["name"] for given in fake.given] == ["n", "n-2", "n-3"]
    assert said[1].startswith("trackio has n-2: ")
    send("trackio", runs, name="other", folder=tmp_path)
    assert fake.given[-1]["name"] == "other"


def test_a_failing_service_is_an_error_of_one_line(run, fake, tmp_path):
    def fails(**given):
        raise ConnectionError("no route\nto host")

    fake.init = fails
    with pytest.raises(exports.ProbeError, match=f"^{fake.__name__} failed: no route\nhint"):
        send(fake.__name__, [exports.ExportedRun("", run, {}, {})], folder=tmp_path)


@pytest.mark.parametrize("name", TRACKERS)
def test_a_missing_package_is_an_error_that_says_what_to_install(name, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(exports.ProbeError, match=rf"pip install 'mdlm-probe\[{name}\]'"):
        send(name, [], folder=tmp_path)


def test_estimates_are_named_by_the_coordinates_and_what_else_tells_rows_apart():
    table = pd.DataFrame({"model": ["a", "a"], "frac": [0.1, 0.25], "mean": [1.0, float("nan")]})
    made = probe_report.ProbeReport(table, {"t": table, "hidden": table}, dict, ("t",))
    assert tracker_data.keys_of("judge", table) == ["model", "frac"]
    assert tracker_data.estimates(exports.ExportedRun("", None, {}, {"judge": made})) == {
        "judge/t/mean a frac=0.1": 1.0
    }
    assert tracker_data.keys_of("judge", table[:1]) == ["model", "frac"]  # a coordinate of a cell
    assert tracker_data.keys_of("locality", table[:1]) == ["model"]
    counted = table.assign(prompts=8)[["model", "prompts", "mean"]]  # no coordinate: a count
    assert tracker_data.keys_of("shift", counted[:1]) == ["model"]
