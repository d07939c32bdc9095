"""Parts of the page: numbers as text, tables, charts with their rows, words, facts, files."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import reference

from mdlm_probe.analysis import published
from mdlm_probe.analysis.chart_data import ALL
from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import html, masks_used
from mdlm_probe.reports.html import (
    page_charts,
    page_tables,
    probe_sections,
    published_values,
    run_facts,
)
from mdlm_probe.reports.probe_report import ProbeReport

CHART = Chart(
    "name",
    "A title",
    lambda tables, frame: tables["t"],
    "line",
    Axis("at", "place"),
    Axis("share", "share (%)", 100, ends="share"),
    panels=("side",),
    beside=(("chance", "chance (%)"), ("absent", "nowhere")),
)
TABLE = pd.DataFrame(
    {
        "model": ["a", "a", "a", "b"],
        "side": ["left", "left", "right", "left"],
        "at": [0, 4, 0, 0],
        "share": [0.5, 0.25, 0.75, np.nan],
        "share_low": [0.4, np.nan, 0.7, np.nan],
        "share_high": [0.6, np.nan, 0.8, np.nan],
        "chance": 1 / 3,
        "n": 4,
    }
)


def drawn(chart=CHART, **tables):
    sources = {ALL: ({"t": TABLE}, TABLE)} | {k: ({"t": t}, t) for k, t in tables.items()}
    return page_charts.page_chart(chart, sources, ("a", "b"), "2 appended")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0.0625, "0.063"), (-0.0625, "-0.063"), (2.0, "2"), (1e-9, "1.0e-9"), (-0.0, "0")),
        *((0.1234, "0.123"), (np.nan, "-"), (None, "-"), (np.inf, "∞"), (7, "7"), ("x", "x")),
        *((100.0, "100"), (0.0005, "0.001"), (0.00049, "4.9e-4"), (1200.5, "1200.5")),
    ],
)
def test_numbers_as_text(value, text):
    assert page_tables.number(value) == text


def test_two_columns_make_one_interval():
    found = page_tables.page_table("t", TABLE[["model", "share", "share_low", "share_high", "n"]])
    assert found.heads == ("model", "share", "95 % of share", "n")
    assert found.rows[0] == ("a", ("a", "0.5", "0.4 to 0.6", "4"))
    assert found.rows[1] == ("a", ("a", "0.25", "-", "4"))
    assert found.numbers == (False, True, True, True)
    over = pd.DataFrame({"tasks_low": [0.0], "tasks_high": [1.0], "last_low": [2.0]})
    assert page_tables.page_table("t", over).heads == ("95 % over tasks", "last_low")


def test_a_chart_has_its_rows_in_percent():
    found = drawn()
    data = found.data
    rows = [dict(zip(data["fields"], row, strict=True)) for row in data["rows"][ALL]]
    near = {"x": 0, "y": 50, "low": 40, "high": 60, "beside_0": 33.3333, "n": 4}
    assert rows[0] == {"model": "a", "side": "left"} | near
    assert rows[3]["y"] is None
    assert [panel["where"] for panel in data["panels"]] == [{"side": "left"}, {"side": "right"}]
    assert [panel["title"] for panel in data["panels"]] == ["side left", "side right"]
    heads = ("model", "side", "place", "share (%)", "95 %", "chance (%)", "items")
    assert found.table.heads == heads
    assert found.table.rows[1][1] == ("a", "left", "4", "25", "-", "33.333", "4")
    assert [each.label for each in found.legend] == ["a", "b", "chance (%)"]
    assert found.legend[0].colour == "var(--model-0)"
    assert found.caption == "n = 4 items; masks: 2 appended; bands: 95 % over observations"


def test_a_caption_is_that_of_the_task():
    alone = TABLE.assign(n=[1, 1, 2, 1], share_low=np.nan, share_high=np.nan)
    captions = drawn(other=alone).data["captions"]
    assert captions[ALL].startswith("n = 4 items")
    assert captions["other"] == "n = 1 to 2 items; masks: 2 appended"


def test_axes_reach_as_far_as_there_is_something_to_see():
    task = TABLE.assign(share=0.9, share_low=0.85, share_high=1.0)
    found = drawn(other=task).data["ends"]
    x_low, x_high, low, high = found[ALL][0]
    assert found[ALL][0] == found[ALL][1]  # all panels alike
    assert x_low < 0 < 4 < x_high < 4.2
    assert 22 < low < 25
    assert 80 < high < 83  # the right panel's interval
    assert 30 < found["other"][0][2] < 33.3  # chance
    assert found["other"][0][3] > 100
    steep = Chart(**{**vars(CHART), "y": Axis("share", "share", scale="log"), "beside": ()})
    low, high = drawn(steep).data["ends"][ALL][0][2:]
    assert 0.23 < low < 0.25 < 0.75 < high < 0.8


def test_measures_have_axes_of_their_own():
    table = TABLE.assign(measure=["nats", "nats", "tokens", "nats"], share=[1.0, 2.0, 500.0, 1.5])
    table = table.drop(columns=["share_low", "share_high", "chance"])
    axis = Axis("share", "measure")
    chart = Chart(**{**vars(CHART), "y": axis, "panels": ("measure",), "beside": ()})
    found = page_charts.page_chart(chart, {ALL: ({"t": table}, table)}, ("a", "b"))
    nats, tokens = found.data["ends"][ALL]
    assert nats[3] < 3 < 400 < tokens[2]


def test_a_chart_of_several_axes_has_panels_of_each():
    table = TABLE.assign(nats=[0.1, 2.0, 30.0, 1.0])
    axes = (CHART.y, Axis("nats", "loss (nats)", scale="log"), Axis("absent", "nowhere"))
    chart = Chart(**{**vars(CHART), "y": axes, "beside": ()})
    found = page_charts.page_chart(chart, {ALL: ({"t": table}, table)}, ("a", "b"))
    where = [panel["where"] for panel in found.data["panels"]]
    assert [one["side"] for one in where] == ["left", "left", "right", "right"]
    assert [one["measure"] for one in where] == ["share (%)", "loss (nats)"] * 2
    assert len(found.data["specs"]) == 2, "panels of one measure are alike"
    types = [
        found.data["specs"][panel["spec"]]["layer"][0]["encoding"]["y"]["scale"].get("type")
        for panel in found.data["panels"][:2]
    ]
    assert types == [None, "log"]
    assert found.columns == 2


def test_words_name_ends_and_extremes():
    left, right = (panel["words"] for panel in drawn().data["panels"])
    assert left.startswith("A title, side left. Lines. Across: place. Up: share (%).")
    assert "a: first 50 at 0, last 25 at 4, lowest 25 at 4, highest 50 at 0." in left
    assert "b:" not in left  # nothing is known of it
    assert right.endswith("a: 75 at 0.")


def test_words_of_many_lines_end_before_a_reader_would_leave_them_out():
    """Browsers' tools know a name of 900 characters or more as no name."""
    table = pd.DataFrame(
        {"model": "m", "place": [0, 4] * 8, "share": 0.5, "way": np.repeat(range(8), 2)}
    )
    table["way"] = table["way"].map("a way with a name of a hundred characters {:86d}".format)
    chart = Chart(
        "",
        "A title",
        lambda *_: table,
        "line",
        Axis("place", "place"),
        Axis("share", "share"),
        colour="way",
    )
    found = page_charts.page_chart(chart, {ALL: ({"t": table}, table)}, ("m",))
    (panel,) = found.data["panels"]
    assert len(panel["words"]) < 900
    told = panel["words"].count("a way with")
    assert told > 3
    assert panel["words"].endswith(f"{8 - told} more: see the table.")


def test_nothing_to_draw_is_no_chart():
    nothing = Chart(**{**vars(CHART), "rows": lambda tables, frame: pd.DataFrame()})
    assert drawn(nothing) is None
    assert drawn(Chart(**{**vars(CHART), "y": Axis("missing", "not there")})) is None


def test_heat_maps_have_places_in_order():
    fill = Axis("share", "share (%)", 100)
    heat = Chart(**{**vars(CHART), "kind": "heat", "y": Axis("side", "side"), "fill": fill})
    found = drawn(Chart(**{**vars(heat), "panels": ("model",), "beside": ()})).data
    x, y = (found["specs"][0]["layer"][0]["encoding"][axis] for axis in "xy")
    assert x["axis"]["labelExpr"] == "['0', '4'][datum.value] || ''"
    assert y["axis"]["labelExpr"] == "['left', 'right'][datum.value] || ''"
    assert "Lowest: 25 at 4 across, left up." in found["panels"][0]["words"]
    domain = found["specs"][0]["layer"][0]["encoding"]["color"]["scale"]["domain"]
    assert domain == [25, 75]


def read(folder, name):
    """A run of the committed study."""
    reference.run(folder, name, "tiny-arlm", "tiny-mdlm")
    (found,) = html.read(folder)
    return found


@pytest.mark.slow
def test_facts_say_what_was_run(tmp_path):
    run = read(tmp_path, "masks")
    found = run_facts.facts(run.made["masks"].frame, run.entries, ["a note"])
    rows = dict(found.rows)
    assert found.heads == ("tiny-arlm", "tiny-mdlm")
    masks = masks_used.masks_used("{masks} appended", run.entries)
    assert masks == "tiny-arlm: none, it is causal; tiny-mdlm: 0, 50, 200, 400, 800 appended"
    asked = ", ".join(run.entries["masks__tiny-mdlm"]["config"]["options"]["filler"])
    assert asked.startswith("mask, ")
    assert rows["option filler"] == (asked, asked)
    assert rows["number format"] == ("float32", "float32")
    assert len(rows["weights"][0]) == 12
    assert rows["weights"][0] != rows["weights"][1]
    entry = run.entries["masks__tiny-mdlm"]
    assert entry["model"]["weight_hash"].startswith(rows["weights"][1])
    assert rows["ended"][1] == entry["ended"]
    assert sum(map(int, rows["rows"])) == len(run.made["masks"].frame)
    assert "option metric" not in rows  # nobody chose one
    assert any("a causal model has no masks" in line for line in found.left_out)
    assert found.left_out[-1] == "a note"


def test_published_figures_stand_beside_ours():
    class Module:
        PUBLISHED = (
            published.PublishedValue("drop", "a", "23", "a paper"),
            published.PublishedValue("drop", "c", "27", "a paper"),
        )

        @staticmethod
        def ours(tables):
            yield published.OwnValue("drop", "b", 5.0)
            yield published.OwnValue("drop", "a", 20.0, 18.0, 22.0)

    found = published_values.table(Module, {})
    assert [cells for _, cells in found.rows] == [
        ("drop", "b", "-", "5", "-"),
        ("drop", "a", "23", "20 (18 to 22)", "a paper"),
    ]
    assert [model for model, _ in found.rows] == ["b", "a"]
    unrun = published_values.table(Module, {}, run=False)
    assert [cells for _, cells in unrun.rows] == [("drop", "c", "27", "not run", "a paper")]
    assert [model for model, _ in unrun.rows] == [""]  # what wasn't run isn't filtered
    assert published_values.table(object, {}) is None


@pytest.mark.slow
def test_the_published_attribution_is_beside_the_same_setting(tmp_path):
    made = read(tmp_path, "attribution").made["attribution"]
    module = catalog.charts("attribution")
    found = {(one.what, one.model): one.value for one in module.ours(made.tables)}
    groups = made.tables["groups"].set_index(["model", "appended_masks", "group"])["by_others"]
    masks = module.SAID["masks"]
    assert found[masks, "tiny-mdlm"] == groups["tiny-mdlm", 50, "masks"]
    assert ("llada-8b", "0.234") in {
        (f.model, f.value) for f in module.PUBLISHED if f.what == masks
    }


def test_a_report_without_charts_has_its_tables(tmp_path, monkeypatch):
    made = ProbeReport(TABLE, {"t": TABLE}, dict, ("t",))
    run = probe_sections.ReportedRun("", tmp_path, {}, {"decay": made}, [])
    (section,) = probe_sections.sections(run, ())
    assert section.charts == []
    assert [table.title for table in section.tables] == ["t"]


@pytest.mark.slow
def test_of_judging_the_masks_are_those_of_the_answers(tmp_path):
    run = read(tmp_path, "shift")
    assert run.made["judge"].masks == run.made["shift"].masks == "a canvas of 32"


@pytest.mark.slow
def test_a_run_without_rows_is_told(tmp_path):
    reference.run(tmp_path / "cache", "cache")
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "run.json").write_text(json.dumps({"decay__m": {"status": "started"}}))
    text = html.page(tmp_path, html.read(tmp_path))
    assert "<strong>late</strong>: without rows" in text
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(ProbeError, match="holds no rows yet"):
        html.read(tmp_path)
