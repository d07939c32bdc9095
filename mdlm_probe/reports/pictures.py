"""Pictures: charts as SVG, PDF and PNG files, drawn from the page's own specifications."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import vl_convert

from mdlm_probe.analysis.chart_data import ChartData
from mdlm_probe.analysis.chart_picture import WHOLE, PictureSize, columns, picture, plot_width
from mdlm_probe.analysis.chart_style import PAPER, SCREEN, Theme, chart_style
from mdlm_probe.core.errors import ProbeError

Style = Literal["screen", "paper"]
STYLES: tuple[Style, ...] = ("screen", "paper")
INCH = 72.0
"""Units of a specification in an inch of a file."""
PAPERS = {"3.3in": 3.3, "6.8in": 6.8}
"""Widths of one column and of a page's text, in inches, by what files are called."""
PIXELS = {"screen": 144, "paper": 300}
"""Of a PNG, in an inch of 72 units."""
ENDS = ("png", "svg", "pdf")
TRIES = 4
SPARE = 2.0
"""Units by which a picture may be narrower than asked before it is drawn again."""


@dataclass(frozen=True)
class Picture:
    """A chart as it is drawn.

    Attributes:
        svg: text, whose width and height are in units.
        inches: its width on paper; 0: on a screen, in pixels.
    """

    svg: str
    inches: float = 0.0

    def png(self) -> bytes:
        """As pixels: 144 or, on paper, 300 in an inch."""
        pixels = PIXELS["paper" if self.inches else "screen"]
        return bytes(vl_convert.svg_to_png(self.svg, ppi=pixels))

    def pdf(self) -> bytes:
        """As PDF, whose unit is a 72nd of an inch."""
        return steady_pdf(vl_convert.svg_to_pdf(self.svg))

    def sized_svg(self) -> str:
        """As SVG: with its size in inches on paper."""
        if not self.inches:
            return self.svg
        return _SIZE.sub(
            lambda m: f'width="{self.inches}in" height="{float(m[2]) / INCH:.4f}in"', self.svg, 1
        )


_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')


def draw(
    data: ChartData,
    models: Sequence[str],
    masks: str = "",
    inches: float = 0.0,
    theme: Theme = SCREEN,
) -> Picture:
    """Draws a chart.

    Args:
        data: the chart.
        models: all of the run folder or the page: each has the same colour everywhere.
        masks: how many masks there were, in words.
        inches: width on paper; 0: for a screen.
        theme: of what isn't on paper.
    """
    style = chart_style(data, models, PAPER if inches else theme)
    size = paper(inches) if inches else WHOLE
    across = columns(data, style, size)
    plot = plot_width(data, style, size, across)
    for _ in range(TRIES if inches else 1):
        svg = steady_svg(vl_convert.vegalite_to_svg(picture(data, style, masks, size, plot)))
        spare = size.width - _size(svg)[0]
        if not inches or 0 <= spare + 0.5 <= SPARE:
            break
        plot += (spare - SPARE / 2) / across
    return Picture(_as_wide(svg, size.width) if inches else svg, inches)


def paper(inches: float) -> PictureSize:
    """The room of a picture on paper."""
    wide = inches * INCH
    return PictureSize(width=wide, least=70, most=wide, apart=8)


def _size(svg: str) -> tuple[float, float]:
    found = _SIZE.search(svg)
    assert found
    return float(found[1]), float(found[2])


def _as_wide(svg: str, width: float) -> str:
    """A picture exactly as wide as asked, its text as large: with an edge at the right."""
    high = _size(svg)[1]
    sized = _SIZE.sub(f'width="{width:g}" height="{high:g}"', svg, 2)  # the ground, too
    return re.sub(r'viewBox="[^"]*"', f'viewBox="0 0 {width:g} {high:g}"', sized, count=1)


# ---------------------------------------------------------------------- files


def save(
    folder: Path,
    probe: str,
    charts: dict[str, ChartData],
    models: Sequence[str],
    masks: str = "",
    style: Style = "screen",
) -> list[Path]:
    """Writes PROBE-CHART.png, .svg and .pdf for each chart; returns the paths.

    The main chart's name is "": it becomes PROBE.png. On paper each has two widths, which end the
    names.

    Raises:
        ProbeError: the folder can't be written.
    """
    return [
        path
        for stem, (name, inches) in stems(probe, list(charts), style).items()
        for path in write(folder, stem, draw(charts[name], models, masks, inches))
    ]


def write(folder: Path, stem: str, drawn: Picture, ends: Sequence[str] = ENDS) -> list[Path]:
    """Writes a picture as files of these kinds; returns the paths.

    Raises:
        ProbeError: the folder can't be written.
    """
    make = {"png": drawn.png, "svg": lambda: drawn.sized_svg().encode(), "pdf": drawn.pdf}
    paths = [folder / f"{stem}.{end}" for end in ends]
    for end, path in zip(ends, paths, strict=True):
        try:
            path.write_bytes(make[end]())
        except OSError as error:
            raise ProbeError(f"cannot write {path}: {error}") from None
    return paths


def stems(probe: str, charts: Sequence[str], style: Style) -> dict[str, tuple[str, float]]:
    """The chart's name and its width in inches, by the files' names without their ends."""
    found = {f"{probe}{name and f'-{name}'}": name for name in charts}
    if style == "screen":
        return {stem: (name, 0.0) for stem, name in found.items()}
    return {
        f"{stem}-{width}": (name, inches)
        for stem, name in found.items()
        for width, inches in PAPERS.items()
    }


# ---------------------------------------------------------------------- equal bytes


def steady_svg(svg: str) -> str:
    """A drawing whose names begin at 1: Vega counts on from one drawing to the next."""
    known: dict[str, str] = {}

    def named(match: re.Match[str]) -> str:
        kind, number = match[1], match[2]
        return known.setdefault(kind + number, f"{kind}{len(known) + 1}")

    return re.sub(r"\b(clip|gradient_)(\d+)\b", named, svg)


def steady_pdf(pdf: bytes) -> bytes:
    """A PDF whose dictionaries of resources are in order: theirs is another each time."""

    def ordered(match: re.Match[bytes]) -> bytes:
        return b"".join(sorted(match[0].splitlines(keepends=True)))

    return re.sub(rb"(?:^ *+/[a-z]+\d+ \d+ 0 R\n){2,}", ordered, pdf, flags=re.MULTILINE)
