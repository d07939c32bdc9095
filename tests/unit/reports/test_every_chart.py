"""Every chart of every probe, with two models: what has to be right in all of them."""

import io
import itertools
import json
import math
import re
from functools import cache

import numpy as np
import pytest
import two_models
from pictured import outside, pictured
from PIL import Image
from simulations import cases, simulation, spread
from svg_texts import points, size, texts, view
from vega_lite_schema import validator

from mdlm_probe.analysis import chart_data, chart_picture, chart_style, observed
from mdlm_probe.analysis.chart_encodings import ENDS, PanelSize
from mdlm_probe.analysis.chart_spec import panel_spec
from mdlm_probe.analysis.chart_style import CATEGORIES, DARK, MODELS, PAGE, PAPER
from mdlm_probe.core import catalog
from mdlm_probe.reports import html, pictures

pytestmark = pytest.mark.slow
PROBES = catalog.names("report")
ALL_MODELS = ("third", "another", "tiny-mdlm", "tiny-mdlm-adapted", "tiny-arlm", "oracle")
"""Of a page: more than a probe's own, in another order."""
MASKS = "7 appended"
ITEM = "an item"


@cache
def made(probe):
    rows = two_models.rows(probe)
    tables = catalog.load("report", probe).tables(rows)
    return tables, rows


@cache
def drawn(probe):
    """The pictures of a probe's charts."""
    return pictured(catalog.charts(probe), *made(probe), models=ALL_MODELS, masks=MASKS)


def each():
    """Every chart that the committed study has rows for."""
    return [
        pytest.param(probe, chart.name, id=f"{probe}-{chart.slug}")
        for probe in PROBES
        for chart in catalog.charts(probe).CHARTS
        if f"{probe}-{chart.name}"
        not in (
            *("locality-masks", "masks-context", "blocks-lengths", "context-share"),
            "decay-predictability",  # of four tasks or more
        )
    ]


every_chart = pytest.mark.parametrize(("probe", "name"), each())


def some_of_each(every):
    """One chart of so many of each probe; in `make statistics` all."""
    own = itertools.groupby(each(), key=lambda one: one.values[0])
    return [one for _, charts in own for one in cases(charts, every=every)]


def test_two_models_are_there_and_far_apart():
    for probe in PROBES:
        rows = two_models.rows(probe)
        assert len(observed.values(rows, "model")) == 2
        assert set(drawn(probe)) == {name for p, name in (p.values for p in each()) if p == probe}


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_has_a_main_chart_and_says_how_to_read_it(probe):
    declared = catalog.charts(probe)
    names = [chart.name for chart in declared.CHARTS]
    assert names[0] == ""
    assert len(set(names)) == len(names)
    assert declared.READ


ABSENT = {
    "attribution-groups": {"paper"},  # of models that the paper has
    "blocks-blocks": {"perplexity", "correct", "repeated"},  # of measures the first that there is
    "masks-calibration": {"auroc"},  # of models that are sometimes right and sometimes wrong
    "shift-main": {"answers_differ"},  # where there is a right answer, that is told
}
"""Columns that charts have for other rows than these."""


@every_chart
def test_all_that_a_chart_declares_is_there(probe, name):
    """A misspelt column would be a panel, a line or a count that nobody misses."""
    chart = next(one for one in catalog.charts(probe).CHARTS if one.name == name)
    data = drawn(probe)[name].data
    shown = {axis.column for panel in data.panels for axis in (panel.axis, chart.x, chart.up)}
    asked = {axis.column for axis in (*chart.measured, chart.x)}
    asked |= {column for column, _ in chart.beside}
    shown |= {column for column, _ in data.chart.beside}
    assert asked - shown == ABSENT.get(f"{probe}-{chart.slug}", set())
    rows = data.rows[chart_data.ALL]
    assert {*chart.more, *(column for column, _ in chart.counts)} <= set(rows)
    known = {int(place) for place in rows["layer"].dropna()} if "layer" in rows else set()
    assert known == set(range(len(chart.layers)))
    for axis in chart.measured:
        if axis.ends and axis.column in shown:
            assert "low" in rows


@simulation
@pytest.mark.parametrize(("probe", "share"), spread(PROBES, (0.01, 0.2, 0.55, ITEM), every=4))
def test_an_unfinished_run_has_its_charts(probe, share):
    """Of its first prompts, of a part of the first model's, of a few of the second's, too.

    Of a single item there are no intervals, and some tables have no columns of them.
    """
    rows = two_models.rows(probe)
    if share == ITEM:
        check_drawn(probe, two_models.each(rows, first_item))
        return
    cut = two_models.each(rows, lambda own: own.iloc[: max(1, int(share * len(own)))])
    check_drawn(probe, two_models.each(cut, lambda own: own.reset_index(drop=True)))


def first_item(rows):
    names = [name for name in ("set", "prompt", "item") if name in rows]
    one = (rows[names] == rows[names].iloc[0]).all(axis=1)
    return rows[one].reset_index(drop=True)


def check_drawn(probe, rows):
    tables = catalog.load("report", probe).tables(rows)
    for picture in pictured(catalog.charts(probe), tables, rows, masks=MASKS).values():
        assert outside(picture) == []
        assert picture.panels


@every_chart
def test_every_point_and_every_interval_is_inside_its_panel(probe, name):
    picture = drawn(probe)[name]
    assert outside(picture) == []
    assert any(panel.rows for panel in picture.panels)


def test_the_check_sees_what_is_outside():
    """The first model's limits once froze the axis that all panels shared."""
    rows = two_models.rows("masks")
    alone = pictured(catalog.charts("masks"), *_of(rows, rows["model"].iloc[0]))[""]
    both = pictured(catalog.charts("masks"), *made("masks"))[""]  # its own: it is changed
    for panel, own in zip(both.panels, [*alone.panels] * 2, strict=True):
        for layer in panel.spec["layer"]:
            if "y" in layer.get("encoding", {}):
                layer["encoding"]["y"]["scale"] = own.encoding("y")["scale"]
    assert {title for _, title, *_ in outside(both)} == {"another"}


def _of(rows, model):
    own = rows[rows["model"] == model]
    return catalog.load("report", "masks").tables(own), own


@every_chart
def test_a_model_has_the_same_colour_in_all_charts_and_a_category_none_of_them(probe, name):
    picture = drawn(probe)[name]
    if picture.data.chart.kind == "heat":
        return
    expected = dict(zip(ALL_MODELS, MODELS, strict=False))
    for panel in picture.panels:
        colours = panel.colours()
        if picture.data.chart.colour == "model":
            assert colours == {model: expected[model] for model in colours}
        else:
            assert set(colours.values()) <= set(CATEGORIES)
            assert len(set(colours.values())) == len(colours)


def test_palettes_share_no_colour():
    assert not set(MODELS) & set(CATEGORIES)
    assert len({*MODELS, *CATEGORIES}) == len(MODELS) + len(CATEGORIES)
    assert set(DARK) <= {*MODELS, *CATEGORIES}
    dark = [DARK.get(colour, colour) for colour in (*MODELS, *CATEGORIES)]
    assert len(set(dark)) == len(dark)


@every_chart
def test_n_masks_and_what_intervals_are_over_stand_in_it(probe, name):
    picture = drawn(probe)[name]
    rows = picture.data.own()
    assert re.search(r"n = \d+( to \d+)? \w+", picture.caption)
    assert f"masks: {MASKS}" in picture.caption
    known = "low" in rows and rows["low"].notna().any()
    marked = picture.data.chart.kind != "heat"
    assert ("95 % over" in picture.caption) == (known and marked)
    if known and marked:
        spans = [panel.marks("area") + panel.marks("rule") for panel in picture.panels]
        assert all(spans)
        assert "observations" not in picture.caption, "it says over what"


@every_chart
def test_axes_start_where_the_data_are_with_a_little_room(probe, name):
    """Of all panels with the same axis."""
    picture = drawn(probe)[name]
    if picture.data.chart.kind == "heat":
        return
    for axis in "xy":
        known = {}
        for panel in picture.panels:
            encoding = panel.encoding(axis)
            if encoding["type"] == "quantitative":
                known.setdefault(json.dumps(encoding["scale"]), []).extend(_shown(panel, axis))
        for told, values in known.items():
            scale = json.loads(told)
            low, high = (_bent(end, scale) for end in scale["domain"])
            places = [_bent(v, scale) for v in values if scale.get("type") != "log" or v > 0]
            assert low < min(places) <= max(places) < high, "marks at the edge are whole"
            if max(places) > min(places):
                assert max(min(places) - low, high - max(places)) < 0.05 * (high - low)


def _shown(panel, axis):
    """All values that a panel draws along an axis."""
    fields = [
        encoding.get(channel, {}).get("field", "").removesuffix("_at")
        for layer in panel.spec["layer"]
        if (encoding := layer.get("encoding", {}))
        for channel in (axis, f"{axis}2")
    ]
    rows = panel.spec["data"]["values"]
    return [row[field] for row in rows for field in {*fields} if field in row]


def _bent(value, scale):
    if scale.get("type") == "log":
        return math.log(value)
    if scale.get("type") == "symlog":
        return math.copysign(math.log1p(abs(value) / scale["constant"]), value)
    return value


@every_chart
def test_the_page_has_the_same_axes_and_marks(probe, name):
    picture, chart = drawn(probe)[name], None
    chart = next(one for one in catalog.charts(probe).CHARTS if one.name == name)
    page = html.page_charts.page_chart(chart, {chart_data.ALL: made(probe)}, ALL_MODELS, MASKS)
    assert page.caption == picture.caption
    assert [each.label for each in page.legend] == picture.legend
    for place, panel in enumerate(picture.panels):
        told = page.data["panels"][place]
        spec = page.data["specs"][told["spec"]]
        for axis in ("x", "y"):
            ours, theirs = panel.encoding(axis), _encoding(spec, axis)
            assert ours["scale"].get("type") == theirs["scale"].get("type")
            ends = theirs["scale"]["domain"]
            if ends and isinstance(ends[0], dict):
                names = [end["expr"] for end in ends]
                ends = [page.data["ends"][""][place][ENDS.index(name)] for name in names]
            assert list(ours["scale"]["domain"]) == ends
        kinds = [layer["mark"]["type"] for layer in panel.spec["layer"]]
        theirs = [layer["mark"]["type"] for layer in spec["layer"]]
        near = ["point"] if chart.kind == "line" else []
        head = ["text"] if panel.title else []
        assert sorted(kinds + near) == sorted(theirs + head)


def _encoding(spec, channel):
    found = [layer.get("encoding", {}).get(channel, {}) for layer in spec["layer"]]
    return next(one for one in found if "scale" in one)


@every_chart
def test_specifications_are_valid_vega_lite(probe, name):
    picture = drawn(probe)[name]
    validator().validate(picture.spec)
    style = chart_style.chart_style(picture.data, ALL_MODELS, PAGE)
    validator().validate(
        panel_spec(picture.data, picture.data.panels[0], style, PanelSize(None, 200))
    )


def test_what_is_no_vega_lite_is_refused():
    probe, name = each()[0].values
    spec = drawn(probe)[name].spec
    assert not validator().is_valid(spec | {"vconcat": [{"mark": "pointy"}]})


@every_chart
def test_all_text_on_paper_has_eight_points(probe, name):
    picture = drawn(probe)[name]
    style = chart_style.chart_style(picture.data, ALL_MODELS, PAPER)
    for inches in pictures.PAPERS.values():
        spec = chart_picture.picture(picture.data, style, MASKS, pictures.paper(inches))
        assert set(_sizes(spec)) == {8}


def _sizes(spec):
    if isinstance(spec, dict):
        for name, value in spec.items():
            if re.fullmatch(r"(\w*F|f)ontSize", name):
                yield value
            else:
                yield from _sizes(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _sizes(value)


# ---------------------------------------------------------------------- as files

LONG_MASKS = "tiny-mdlm: 0, 10, 50, 200 appended (0: nothing after the answer's own); another: none"
"""As long as it comes."""


@cache
def file(probe, name, inches=0.0):
    """A chart as it is drawn for files."""
    models = ("tiny-mdlm", "another")
    return pictures.draw(drawn(probe)[name].data, models, LONG_MASKS, inches)


def check_texts(svg):
    """No text is cut or lies over another; returns them."""
    wide, high = view(svg)
    boxes = texts(svg)
    assert len(boxes) > 8
    for n, box in enumerate(boxes):
        assert box.left >= -0.5, box
        assert box.top >= -0.5, box
        assert box.right <= wide + 0.5, box
        assert box.bottom <= high + 0.5, box
        assert [other.text for other in boxes[:n] if box.overlaps(other)] == [], box.text
    return boxes


@simulation
@pytest.mark.parametrize(("probe", "name"), some_of_each(every=4))
def test_no_text_is_cut_or_lies_over_another(probe, name):
    boxes = check_texts(file(probe, name).svg)
    said = " ".join(box.text for box in boxes)
    assert drawn(probe)[name].data.counted() in said.replace("\n", " ")


def on_paper():
    """Some charts of every probe, half of them in each width; in `make statistics` all in both."""
    known = [param.values for param in some_of_each(every=8)]
    return [
        (probe, name, paper)
        for own, paper in spread(PROBES, pictures.PAPERS, every=2)
        for probe, name in known
        if probe == own
    ]


@simulation
@pytest.mark.parametrize(("probe", "name", "paper"), on_paper())
def test_paper_has_its_width_eight_points_and_whole_text(probe, name, paper):
    inches = pictures.PAPERS[paper]
    assert paper == f"{inches}in"
    picture = file(probe, name, inches)
    check_texts(picture.svg)
    written = picture.sized_svg()
    assert size(written)[0] == f"{inches}in"
    wide, high = view(written)
    assert wide == pytest.approx(72 * inches)  # a unit is a point
    assert float(size(written)[1].removesuffix("in")) == pytest.approx(high / 72, abs=1e-3)
    assert {box.size for box in texts(written)} == {8}
    (box,) = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", picture.pdf())
    assert [float(end) for end in box] == pytest.approx([72 * inches, high], abs=0.5)


@pytest.mark.parametrize("inches", pictures.PAPERS.values())
def test_pixels_on_paper_are_300_in_an_inch(inches):
    with Image.open(io.BytesIO(file("needle", "", inches).png())) as picture:
        assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.5)
        assert picture.width == pytest.approx(300 * inches, abs=2)


@pytest.mark.parametrize("probe", PROBES)
def test_text_is_drawn(probe):
    """Converters draw no text in a font that they lack, and say nothing of it."""
    svg = file(probe, "").svg
    assert b"LiberationSans" in file(probe, "").pdf()
    with Image.open(io.BytesIO(file(probe, "").png())) as picture:
        grey = np.asarray(picture.convert("L"))
        scale = picture.width / view(svg)[0]
    for box in texts(svg):
        edges = (np.array([box.left, box.top, box.right, box.bottom]) * scale).round().astype(int)
        part = grey[max(edges[1], 0) : edges[3], max(edges[0], 0) : edges[2]]
        assert part.max() - part.min() > 60, box.text


@every_chart
def test_every_point_has_ink(probe, name):
    data = drawn(probe)[name].data
    if data.chart.kind != "heat":
        rows = data.own().dropna(subset=["x", "y"])
        assert points(file(probe, name).svg) >= len(rows)
