"""The picture of a comparison: differences with their intervals, a panel a measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mdlm_probe.analysis.frames import COLOURS
from mdlm_probe.analysis.pairing import named, swept

SURE = 0.05
"""Corrected p-values under it are drawn filled."""
HEIGHT, EDGE = 0.2, 0.12
"""Inches that a line takes, and a panel's edges above and below its lines."""
TOP, BETWEEN, BOTTOM = 0.9, 0.55, 0.3
"""Inches for the title, between panels (ticks and the next one's title) and under the last."""
WIDTH, RIGHT, LETTER = 5.2, 0.25, 0.068
"""Inches of a panel, right of it, and of a letter of its labels."""


def forest(tables: dict[str, pd.DataFrame], title: str, left: str, right: str) -> Figure:
    """Panels below each other: a difference and its interval in every line, 0 as a line.

    Filled: differs at 5 % after Holm's correction in its family. Black: all points of the sweep
    together. Places are computed here: matplotlib's layout takes seconds for many panels.

    Args:
        tables: lines of a comparison by the name of what is compared.
        title: the probe's name.
        left, right: what the first and the second side are called.
    """
    panels = [
        (name, part, [named(line, swept(table)) for _, line in part.iterrows()])
        for name, table in tables.items()
        for _, part in table.groupby("measure", sort=False)
    ]
    heights = [HEIGHT * len(part) + 2 * EDGE for _, part, _ in panels]
    height = TOP + sum(heights) + BETWEEN * (len(panels) - 1) + BOTTOM
    margin = 0.3 + LETTER * max(len(name) for _, _, names in panels for name in names)
    width = margin + WIDTH + RIGHT
    figure, end = Figure(figsize=(width, height)), height - TOP
    for (name, part, names), tall in zip(panels, heights, strict=True):
        end -= tall
        axis = figure.add_axes((margin / width, end / height, WIDTH / width, tall / height))
        end -= BETWEEN
        _panel(axis, part, names)
        label = part["measure"].iloc[0]
        axis.set_title(f"{name}: {label}" if name else label, size=9.5)
    figure.suptitle(
        f"{title}: {right} minus {left}\nbars: 95 %; filled: p < {SURE:g} after Holm's correction",
        y=1 - 0.1 / height,
        size=11,
        va="top",
    )
    return figure


def _panel(axis: Axes, part: pd.DataFrame, names: list[str]) -> None:
    places = -np.arange(len(part))
    every = np.array([name == "all" for name in names])
    sure = part["p_holm"].to_numpy(dtype=float) < SURE
    low, high, middle = (
        part[f"difference{end}"].to_numpy(dtype=float) for end in ("_low", "_high", "")
    )
    for chosen, colour, mark, size in ((every, "black", "D", 5), (~every, COLOURS[0], "o", 4)):
        if chosen.any():
            axis.hlines(places[chosen], low[chosen], high[chosen], color=colour)
        for filled, filling in ((sure, colour), (~sure, "white")):
            if (both := chosen & filled).any():
                axis.plot(middle[both], places[both], mark, color=colour, mfc=filling, ms=size)
    axis.axvline(0, color="grey", lw=1, ls=(0, (4, 3)), zorder=0)
    axis.set_yticks(places, names, size=8)
    axis.set_ylim(places[-1] - 0.5 - EDGE / HEIGHT, 0.5 + EDGE / HEIGHT)
    axis.xaxis.set_major_locator(MaxNLocator(5, symmetric=True))
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(alpha=0.25, axis="x")
    reach = 1.08 * float(np.nanmax(np.abs([low, high, middle]))) or 1.0  # nothing differs: any do
    axis.set_xlim(-reach, reach)
