"""The picture of a comparison: differences with their intervals, a panel a measure."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.reports._frames import COLOURS
from mdlm_probe.reports._pairing import named, swept

SURE = 0.05
"""Corrected p-values under it are drawn filled."""
HEIGHT = 0.2
"""Inches a line takes."""


def forest(tables: dict[str, pd.DataFrame], title: str, left: str, right: str) -> Figure:
    """Panels below each other: a difference and its interval in every line, 0 as a line.

    Filled: differs at 5 % after Holm's correction. Black: all points of the sweep together.

    Args:
        tables: lines of a comparison by the name of what is compared.
        title: the probe's name.
        left, right: what the first and the second side are called.
    """
    panels = [
        (name, table, part)
        for name, table in tables.items()
        for _, part in table.groupby("measure", sort=False)
    ]
    rows = [len(part) for _, _, part in panels]
    height = 1.2 + sum(HEIGHT * n + 0.75 for n in rows)
    figure = Figure(figsize=(8.4, height), layout="constrained")
    ratios = [HEIGHT * n + 0.25 for n in rows]
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=ratios)[:, 0]
    for axis, (name, table, part) in zip(axes, panels, strict=True):
        _panel(axis, part, swept(table))
        axis.set_title(f"{name}: {part['measure'].iloc[0]}" if name else part["measure"].iloc[0])
        axis.title.set_size(9.5)
    figure.suptitle(
        f"{title}: {right} minus {left}\nbars: 95 %; filled: p < {SURE:g} after Holm's correction",
        size=11,
    )
    return figure


def _panel(axis: Axes, part: pd.DataFrame, sweep: list[str]) -> None:
    names = [named(line, sweep) for _, line in part.iterrows()]
    places = -np.arange(len(part))
    for place, name, (_, line) in zip(places, names, part.iterrows(), strict=True):
        colour = "black" if name == "all" else COLOURS[0]
        filling = colour if line["p_holm"] < SURE else "white"
        axis.plot([line["difference_low"], line["difference_high"]], [place] * 2, color=colour)
        look = {"color": colour, "mfc": filling, "ms": 5 if name == "all" else 4}
        axis.plot(line["difference"], place, "D" if name == "all" else "o", **look)
    axis.axvline(0, color="grey", lw=1, ls=(0, (4, 3)))
    axis.set_yticks(places, names, size=8)
    axis.set_ylim(places[-1] - 0.7, 0.7)
    axis.tick_params(axis="x", labelsize=8)
    axis.grid(alpha=0.25, axis="x")
    ends = part[["difference", "difference_low", "difference_high"]].abs().to_numpy(dtype=float)
    reach = 1.08 * float(np.nanmax(ends)) or 1.0  # nothing differs: any width will do
    axis.set_xlim(-reach, reach)
