"""The pictures of a decay run: curves against distance, and heat maps of divergence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import log
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from mdlm_probe.analysis.frames import palette

MASSES = {
    "frequent_mass": "frequent tokens (%)",
    "prompt_mass": "the prompt's tokens (%)",
    "end_mass": "end of text (%)",
}
LEAST = 1e-4
"""Divergence (nats) below which colours no longer tell apart."""
LOOKS = ("-", "--", ":", "-.")
WIDE = 2.9
"""Inches of a panel."""


def _panels(
    table: pd.DataFrame, rows: int, height: float, **shared: Any
) -> tuple[Figure, np.ndarray, list[str]]:
    """A figure with a column a task."""
    tasks = list(table["task"].unique())
    size = (max(4.5, 1.0 + WIDE * len(tasks)), 1.3 + height * rows)
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(rows, len(tasks), sharex=True, squeeze=False, **shared)
    for axis, task in zip(axes[0], tasks, strict=True):
        axis.set_title(task)
    return drawn, axes, tasks


def _lines(part: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Every model's line in a panel, with its style: one for each context and number of masks."""
    kinds = list(dict.fromkeys(map(tuple, part[["context", "masks"]].to_numpy())))
    for (model, *kind), line in part.groupby(
        ["model", "context", "masks"], observed=True, sort=False
    ):
        look = LOOKS[kinds.index(tuple(kind)) % len(LOOKS)]
        several = f", text on {'both sides' if kind[0] == 'both' else 'the left'}, {kind[1]} masks"
        yield f"{model}{several if len(kinds) > 1 else ''}", look, line


def _draw(
    axis: Axes, part: pd.DataFrame, measure: str, colours: dict[str, str], scale: float = 1.0
) -> None:
    for label, look, line in _lines(part):
        colour = colours[line["model"].iloc[0]]
        x = line["distance"]
        low, high = (scale * line[f"{measure}_{end}"] for end in ("low", "high"))
        axis.plot(x, scale * line[measure], look, color=colour, label=label)
        axis.fill_between(x, low, high, color=colour, alpha=0.18, lw=0)


def _finish(drawn: Figure, axes: np.ndarray, title: str, far: float) -> None:
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        axis.set_xscale("log", base=2)
        axis.set_xlim(1, max(2.0, far))
        axis.xaxis.set_major_formatter("{x:g}")
    for axis in axes[-1]:
        axis.set_xlabel("distance (tokens)")
    lines = {
        line.get_label(): line
        for axis in axes.flat
        for line in axis.lines
        if not str(line.get_label()).startswith("_")
    }
    drawn.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=min(3, len(lines)))
    drawn.suptitle(title, size=11)


def curves(table: pd.DataFrame, half: pd.DataFrame) -> Figure:
    """The largest probability against distance, with its half-distance and the theory."""
    drawn, axes, tasks = _panels(table, 1, 2.8, sharey=True)
    colours = palette(list(table["model"].unique()))
    for axis, task in zip(axes[0], tasks, strict=True):
        part = table[table["task"] == task]
        _draw(axis, part, "top1_prob", colours, 100)
        for _, row in half.iterrows():
            if row["task"] != task or pd.isna(row["half"]):
                continue
            height = 50 * (row["first"] + row["far"])
            colour = colours[row["model"]]
            axis.plot(row["half"], height, "o", color=colour, label="_half")
            if pd.notna(row["half_low"]):
                ends = row["half_low"], min(row["half_high"], table["distance"].max())
                axis.hlines(height, *ends, color=colour, lw=1)
        theory = part.groupby("distance", observed=True)[["bound", "greedy"]].max()
        label = {"bound": "our bound", "greedy": "greedy path's token, our theory"}
        for name, look in (("bound", "--"), ("greedy", ":")):
            if theory[name].isna().all():
                continue
            axis.plot(theory.index, 100 * theory[name], look, color="0.35", lw=1, label=label[name])
    axes[0][0].set_ylabel("largest probability (%)")
    axes[0][0].set_ylim(0, 100)
    n = sorted(table["n"].unique())
    count = str(n[0]) if len(n) == 1 else f"{n[0]} to {n[-1]}"
    title = (
        "Certainty against distance to the nearest visible token\n"
        f"bands: 95 % over prompts ({count} a task); dots: half-distance"
    )
    _finish(drawn, axes, title, table["distance"].max())
    return drawn


def masses(table: pd.DataFrame) -> Figure:
    """What the marginals consist of, a row a set of tokens."""
    named = {name: label for name, label in MASSES.items() if name in table}
    drawn, axes, tasks = _panels(table, len(named), 1.9, sharey="row")
    colours = palette(list(table["model"].unique()))
    for row, (measure, label) in zip(axes, named.items(), strict=True):
        for axis, task in zip(row, tasks, strict=True):
            _draw(axis, table[table["task"] == task], measure, colours, 100)
        row[0].set_ylabel(label)
        row[0].set_ylim(bottom=0)
    title = "Where the probability goes; bands: 95 % over prompts"
    _finish(drawn, axes, title, table["distance"].max())
    return drawn


def neighbours(near: pd.DataFrame, thresholds: Sequence[float]) -> Figure:
    """Divergence of neighbours against distance."""
    drawn, axes, tasks = _panels(near, 1, 2.8, sharey=True)
    colours = palette(list(near["model"].unique()))
    for axis, task in zip(axes[0], tasks, strict=True):
        _draw(axis, near[near["task"] == task], "js", colours)
        for threshold in thresholds:
            axis.axhline(threshold, color="0.6", lw=0.8, ls=":", label="_threshold")
        axis.set_yscale("log")
    axes[0][0].set_ylim(max(LEAST / 10, 0.5 * near["js"].min()), 1)
    axes[0][0].set_ylabel("Jensen-Shannon\ndivergence (nats)")
    lag = " or ".join(str(n) for n in sorted(near["lag"].unique()))
    title = f"How alike marginals at distances d and d + {lag} are\nbands: 95 % over prompts"
    _finish(drawn, axes, title, near["distance"].max())
    return drawn


def maps(matrix: pd.DataFrame, lags: set[int]) -> Figure:
    """Heat maps of the divergence between masks of the grid, a row a model, a column a task."""
    kinds = list(
        dict.fromkeys(map(tuple, matrix[["model", "context", "masks"]].itertuples(index=False)))
    )
    tasks = list(matrix["task"].unique())
    size = (1.9 + WIDE * len(tasks), 1.2 + 2.7 * len(kinds))
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(len(kinds), len(tasks), squeeze=False)
    for kind, row in zip(kinds, axes, strict=True):
        named = dict(zip(["model", "context", "masks"], kind, strict=True))
        for axis, task in zip(row, tasks, strict=True):
            own = (matrix[["model", "context", "masks"]] == pd.Series(named)).all(axis=1)
            part = matrix[own & (matrix["task"] == task)]
            image = _map(axis, part, lags)
            sides = ", text on both sides" if kind[1] == "both" else ""
            axis.set_title(f"{kind[0]}, {task}{sides}", size=9)
        row[0].set_ylabel("mask, from the left")
    for axis in axes[-1]:
        axis.set_xlabel("mask, from the left")
    drawn.colorbar(
        image, ax=list(axes.flat), label="Jensen-Shannon divergence (nats)", extend="min"
    )
    drawn.suptitle("How far the marginals at two masks are apart\nmeans over prompts", size=11)
    return drawn


def _map(axis: Axes, part: pd.DataFrame, lags: set[int]) -> Any:
    """One heat map; masks that are only somebody's neighbour are left out."""
    compared = part[~(part["other"] - part["place"]).isin(lags)]
    places = sorted({*part["place"], *compared["other"]})
    at = {place: n for n, place in enumerate(places)}
    values = np.full((len(places), len(places)), LEAST)
    for place, other, js in part[["place", "other", "js"]].itertuples(index=False):
        if other in at:
            values[at[place], at[other]] = values[at[other], at[place]] = max(js, LEAST)
    image = axis.imshow(values, cmap="magma", norm=LogNorm(LEAST, log(2)), origin="lower")
    step = max(1, len(places) // 12 + (len(places) % 12 > 0)) if len(places) > 16 else 1
    ticks = range(0, len(places), step)
    names = [str(places[n]) for n in ticks]
    axis.set_xticks(ticks, names, rotation=90)
    axis.set_yticks(ticks, names)
    axis.tick_params(labelsize=6.5, length=2)
    return image
