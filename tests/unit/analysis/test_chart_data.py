"""The data of charts: panels, layers, what is counted, and intervals that are open."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pictured import PictureSpec, outside

from mdlm_probe.analysis import chart_picture, chart_style
from mdlm_probe.analysis.chart_data import of_report
from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, HeatColours, at, best_ends
from mdlm_probe.analysis.text_width import width

TABLE = pd.DataFrame(
    {
        "model": ["a", "a", "b", "b"] * 2,
        "task": ["one"] * 4 + ["two"] * 4,
        "at": [1, 10] * 4,
        "loss": [0.5, 0.2, 3.0, 2.0, 0.4, 0.1, 5.0, 4.0],
        "n": [3, 4, 3, 3, 3, 3, 3, 5],
    }
)
TABLE = TABLE.assign(loss_low=TABLE["loss"] - 0.1, loss_high=TABLE["loss"] + 1)
CHART = Chart(
    "",
    "A title",
    lambda tables, frame: tables["t"],
    "line",
    Axis("at", "place", scale="log"),
    Axis("loss", "loss (nats)", ends="loss"),
    panels=("task",),
    counts=(("n", "texts"),),
    over="texts",
)


def data(chart=CHART, table=TABLE, **changed):
    return of_report(replace(chart, **changed), {"t": table}, table)


def picture(*given, **changed):
    found = data(*given, **changed)
    style = chart_style.chart_style(found, ("b", "a"))
    return PictureSpec(chart_picture.picture(found, style, "2 appended"), found)


def test_panels_stand_in_the_order_of_their_columns():
    kinds = pd.Categorical(TABLE["task"], ["two", "one"], ordered=True)
    assert [p.title for p in data(table=TABLE.assign(task=kinds)).panels] == ["two", "one"]
    both = data(panels=("model", "task"))
    assert [p.title for p in both.panels] == ["a, one", "a, two", "b, one", "b, two"]
    named = data(panels=("at",), names=(("at", "place"),))
    assert [p.title for p in named.panels] == ["place 1", "place 10"]


def test_values_are_counted_and_intervals_say_over_what():
    found = data()
    assert found.counted() == "n = 3 to 5 texts"
    assert found.over() == "texts"
    assert data(counts=(("absent", "texts"),)).counted() == ""
    unknown = TABLE.assign(loss_low=np.nan, loss_high=np.nan)
    assert data(table=unknown).over() == ""
    sets = pd.DataFrame({f"tasks{e}": [0.1, np.nan] for e in ("_low", "_high")})
    sets = sets.assign(items_low=0.0, items_high=1.0)
    mixed = best_ends(sets)
    assert list(mixed["over"]) == [
        "relevant tasks",
        "items (of one relevant task, so not over tasks)",
    ]
    assert list(mixed["best_low"]) == [0.1, 0.0]


@pytest.mark.parametrize(
    ("many", "one"),
    [
        ("texts", "text"),
        ("relevant tasks", "relevant task"),
        ("prompts with sinks in both", "prompt with sinks in both"),
        ("draws of each", "draw of each"),
        ("needles a cell", "needle a cell"),
        ("masks per step", "mask per step"),
        ("tokens apart", "token apart"),
    ],
)
def test_one_is_no_plural(many, one):
    told = [data(table=TABLE.assign(n=n), counts=(("n", many),)).counted() for n in (1, 2)]
    assert told == [f"n = 1 {one}", f"n = 2 {many}"]


def test_a_layer_of_no_task_is_in_every_panel_and_inside_it():
    far = picture(layers=(at("chance", loss=9.0),))
    for panel in far.panels:
        assert [row["y"] for row in panel.layer()] == [9]
        assert panel.domain("y")[1] > 9
    assert "chance" in far.legend
    assert outside(far) == []
    alone = ChartLayer("dots", lambda tables, frame: TABLE[TABLE["task"] == "one"], "point")
    first, second = picture(layers=(alone,)).panels
    assert len(first.layer()) == 4
    assert second.layer() == []
    assert len(second.marks("point")) == 1, "what a panel has no rows of isn't drawn"


def test_layers_are_of_the_models_colour_or_of_none():
    layers = (at("chance", loss=1.0), ChartLayer("theory", lambda tables, frame: TABLE, "line"))
    panel = picture(layers=layers).panels[0]
    rule, theory = panel.spec["layer"][:2]
    assert rule["encoding"]["color"] == {"value": chart_style.SCREEN.beside}
    assert theory["encoding"]["color"]["field"] == "model"
    dashes = [mark["mark"]["strokeDash"] for mark in (rule, theory)]
    assert dashes[0] != dashes[1]


def test_an_open_interval_ends_at_the_axis():
    table = TABLE.assign(loss_high=np.inf)
    table.loc[0, "loss_low"] = -np.inf
    drawn = picture(table=table)
    panel = drawn.panels[0]
    low, high = panel.domain("y")
    assert high < 6, "it holds what is finite"
    (band,) = panel.marks("area")
    assert band["encoding"]["y2"] == {"field": "high_at"}
    filter_, from_, to = band["transform"][:3]
    assert filter_["filter"] == "(isValid(datum.low) || isValid(datum.high))"
    assert from_["calculate"].endswith(f": {low!r}")
    assert to["calculate"].endswith(f": {high!r}")
    assert not any("high" in row for row in panel.rows)


def test_many_lines_have_bars_and_many_points_no_marks():
    models = pd.concat([TABLE.assign(model=f"m{n}") for n in range(7)])
    crowded = picture(table=models)
    assert "bars: 95 % over texts" in crowded.caption
    assert crowded.panels[0].marks("area") == []
    assert len(crowded.panels[0].marks("rule")) == 1
    long = pd.concat([TABLE.assign(at=TABLE["at"] + n) for n in range(0, 200, 12)])
    assert data(table=long).lines == (2, 34)
    style = chart_style.chart_style(data(table=long), ())
    assert style.dense
    assert [entry.shape for entry in style.legend] == ["", ""]
    assert "bands" in picture(table=long).caption


def test_colours_are_those_of_the_page_and_of_the_kind():
    assert picture().panels[0].colours() == dict(zip("ab", chart_style.MODELS[1::-1], strict=True))
    kinds = pd.Categorical(TABLE["model"], ["z", "b", "a"], ordered=True)
    told = data(table=TABLE.assign(kind=kinds), colour="kind")
    style = chart_style.chart_style(told, ())
    assert style.colours == dict(zip("ba", chart_style.CATEGORIES[1:3], strict=True))
    assert list(style.shapes.values()) == list(chart_style.SHAPES[1:3]), "of its kind always"


@pytest.mark.parametrize("name", ["short", "a name of many words that goes on and on"])
def test_names_up_the_side_have_their_room(name):
    table = TABLE.drop_duplicates("model").assign(name=[name, "b"])
    chart = replace(CHART, kind="interval", x=CHART.y, y=Axis("name", ""))
    drawn = picture(chart, table)
    (panel,) = drawn.panels
    assert panel.encoding("y")["axis"]["labelLimit"] == 0
    room = chart_picture.WHOLE.width - panel.spec["width"]
    assert room > width(name, chart_style.SCREEN.text)
    assert panel.domain("y") == [name, "b"]


def test_the_colours_of_a_heat_map_reach_as_far_as_asked():
    heat = replace(CHART, kind="heat", y=Axis("model", "model"), fill=Axis("loss", "loss"))
    assert data(heat, panels=()).fill_limits() == (0.1, 5)
    centred = replace(heat, colours=HeatColours(centred=8.0))
    assert data(centred).fill_limits() == (-8, 8)
    fixed = replace(heat, colours=HeatColours(ends=(0, 100)))
    assert data(fixed).fill_limits() == (0, 100)
    assert data(heat, TABLE.assign(loss=2.0)).fill_limits() == (2, 3)
