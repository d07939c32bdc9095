"""Charts as they are drawn in files: what a test can read off a specification."""

import math
from dataclasses import dataclass

from mdlm_probe.analysis import chart_data, chart_picture, chart_style
from mdlm_probe.analysis.chart_style import SCREEN


@dataclass(frozen=True)
class PanelSpec:
    """One panel of a picture."""

    spec: dict

    @property
    def title(self):
        heads = [layer for layer in self.spec["layer"] if layer["mark"]["type"] == "text"]
        heads = [layer for layer in heads if "text" in layer["mark"]]
        return " ".join(heads[0]["mark"]["text"]) if heads else ""

    @property
    def rows(self):
        """Its own rows, as drawn."""
        return [row for row in self.spec["data"]["values"] if "layer" not in row]

    def layer(self, place=0):
        """The rows of one of the chart's layers."""
        return [row for row in self.spec["data"]["values"] if row.get("layer") == place]

    def marks(self, kind):
        return [layer for layer in self.spec["layer"] if layer["mark"]["type"] == kind]

    def encoding(self, channel):
        """The first encoding of a channel by a field."""
        found = [layer.get("encoding", {}).get(channel, {}) for layer in self.spec["layer"]]
        return next(one for one in found if "field" in one or "scale" in one)

    def domain(self, channel):
        return self.encoding(channel)["scale"]["domain"]

    def axis_title(self, channel):
        title = self.encoding(channel)["title"]
        return " ".join(title) if isinstance(title, list) else title

    def colours(self):
        """The colour of each value."""
        scale = self.encoding("color")["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))

    def line(self, value="y", **where):
        """A field of the rows with these values, in order of x; NaN where it is missing."""
        rows = [row for row in self.rows if all(row.get(k) == v for k, v in where.items())]
        return [row.get(value, math.nan) for row in sorted(rows, key=lambda row: row["x"])]

    def values(self, name):
        """The different values of a field, in order of appearance."""
        return list(dict.fromkeys(row.get(name) for row in self.rows))


@dataclass(frozen=True)
class PictureSpec:
    """A chart's picture."""

    spec: dict
    data: chart_data.ChartData

    @property
    def panels(self):
        return [PanelSpec(panel) for panel in self.spec["vconcat"][0]["concat"]]

    @property
    def columns(self):
        return self.spec["vconcat"][0]["columns"]

    @property
    def legend(self):
        parts = self.spec["vconcat"][1:]
        return [row["label"] for row in parts[0]["data"]["values"]] if parts else []

    @property
    def title(self):
        return " ".join(self.spec["title"]["text"])

    @property
    def caption(self):
        return " ".join(self.spec["title"]["subtitle"])

    def titles(self):
        return [panel.title for panel in self.panels]

    def panel(self, title, measure=""):
        """The panel of this title, and of this axis up if several have it."""
        found = [p for p in self.panels if p.title == title]
        places = [place for place, p in enumerate(self.panels) if p in found]
        axes = [self.data.panels[place].axis.title for place in places]
        return next(p for p, axis in zip(found, axes, strict=True) if measure in axis)


def pictured(charts, tables, frame, models=(), masks="", theme=SCREEN):
    """The pictures of all charts that there is something to see of, by name.

    Args:
        charts: the module that declares them.
        tables, frame: of the report.
    """
    found = {}
    for chart in charts.CHARTS:
        data = chart_data.of_report(chart, tables, frame)
        if data is not None:
            style = chart_style.chart_style(data, models, theme)
            found[chart.name] = PictureSpec(chart_picture.picture(data, style, masks), data)
    return found


def outside(picture):
    """Values and ends of intervals that aren't inside the axes they are drawn on."""
    found = []
    for place, panel in enumerate(picture.panels):
        for layer in panel.spec["layer"]:
            encoding = layer.get("encoding", {})
            for channel in ("x", "y"):
                scale = encoding.get(channel, {}).get("scale", {})
                if encoding.get(channel, {}).get("type") != "quantitative":
                    continue
                fields = [encoding[channel]["field"], encoding.get(f"{channel}2", {}).get("field")]
                rows = panel.spec["data"]["values"]
                for field in filter(None, fields):
                    field = field.removesuffix("_at")  # 0 on a logarithmic axis: at its end
                    for row in rows:
                        value = row.get(field)
                        if isinstance(value, int | float) and not _inside(value, scale):
                            found.append(
                                (place, panel.title, channel, field, value, scale["domain"])
                            )
    return found


def _inside(value, scale):
    low, high = scale["domain"]
    if scale.get("type") == "log" and value <= 0:
        return low > 0
    return low <= value <= high and math.isfinite(low) and math.isfinite(high)
