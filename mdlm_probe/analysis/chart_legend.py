"""A legend as a drawing of its own: lines with their marks, and words, in rows that fit."""

from __future__ import annotations

from mdlm_probe.analysis.chart_encodings import Json
from mdlm_probe.analysis.chart_style import ChartStyle, LegendEntry, Theme
from mdlm_probe.analysis.text_width import rows_of, width

SWATCH, MARK = 2.2, 0.9
"""Widths of a line, and of a mark alone, in sizes of the text."""
WORDS, APART = 0.5, 1.3
"""Widths between mark and words, and between entries, in sizes of the text."""
LINE = 1.35
"""Height of a line of text, in its size."""


def legend_spec(style: ChartStyle, room: float) -> Json:
    """A view that holds the legend, at most as wide as its room if its words are."""
    theme, entries = style.theme, style.legend
    swatch = (SWATCH if any(entry.dash for entry in entries) else MARK) * theme.text
    beside = (WORDS + APART) * theme.text
    widths = [swatch + beside + width(entry.label, theme.text) for entry in entries]
    values, rows = [], rows_of(widths, room)
    for line, places in enumerate(rows):
        x = 0.0
        for place in places:
            values.append(_entry(entries[place], x, line, swatch, theme))
            x += widths[place]
    wide = max(sum(widths[place] for place in row) for row in rows)
    return {
        "data": {"values": values},
        "width": round(wide, 1),
        "height": round(LINE * theme.text * len(rows), 1),
        "view": {"stroke": None},
        "layer": _layers(theme, wide, len(rows)),
    }


def _layers(theme: Theme, wide: float, rows: int) -> list[Json]:
    """Lines, marks and words at the places of their entries."""
    lines = {"mark": {"type": "rule", "strokeWidth": theme.line, "aria": False}}
    points = {"type": "point", "opacity": 1, "size": theme.mark, "aria": False}
    words = {"type": "text", "align": "left", "baseline": "middle", "fontSize": theme.text}

    def across(field: str) -> Json:
        scale = {"domain": [0, wide], "range": [0, wide], "nice": False, "zero": False}
        return {"field": field, "type": "quantitative", "scale": scale, "axis": None}

    def told(field: str, kind: str = "nominal") -> Json:
        return {"field": field, "type": kind, "scale": None}

    height = LINE * theme.text * rows
    scale = {"domain": [0, rows], "range": [0, height], "nice": False, "zero": False}
    y: Json = {"field": "row", "type": "quantitative", "scale": scale, "axis": None}
    inked: Json = {"y": y, "color": told("colour")}
    return [
        lines
        | {
            "transform": [{"filter": "isValid(datum.dash)"}],
            "encoding": inked
            | {"x": across("x"), "x2": {"field": "x2"}, "strokeDash": told("dash")},
        },
        {
            "mark": {**points, "strokeWidth": 0.8 * theme.line},
            "transform": [{"filter": "isValid(datum.shape)"}],
            "encoding": inked
            | {"x": across("middle"), "shape": told("shape"), "fill": told("colour")}
            | {"fillOpacity": told("filled", "quantitative")},
        },
        {
            "mark": {**words, "color": theme.ink, "limit": 0},
            "encoding": {
                "x": across("words"),
                "y": y,
                "text": {"field": "label", "type": "nominal"},
            },
        },
    ]


def _entry(entry: LegendEntry, x: float, line: int, swatch: float, theme: Theme) -> Json:
    found: Json = {"label": entry.label, "x": round(x, 2), "x2": round(x + swatch, 2)}
    found |= {"middle": round(x + swatch / 2, 2)}
    found |= {"words": round(x + swatch + WORDS * theme.text, 2)}
    found |= {"row": line + 0.5, "colour": entry.colour or theme.ink}
    if entry.dash:
        found["dash"] = list(entry.dash)
    if entry.shape:
        found |= {"shape": entry.shape, "filled": 0 if entry.hollow else 1}
    return found
