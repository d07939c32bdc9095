"""The pictures of a joint run: steps of n masks, orders, pairs of masks, sets of words."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis.frames import palette

MARKS = ("o", "s", "^", "D", "v", "P", "X")
COLUMNS = 3
"""Panels side by side."""


def _sheet(panels: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """A figure and so many panels of the same axes."""
    across = min(panels, COLUMNS)
    down = -(-panels // across)
    figure = Figure(figsize=(1.0 + width * across, 1.2 + height * down), layout="constrained")
    axes = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[panels:]:
        axis.set_visible(False)
    for column in range(across):  # a hidden panel leaves the one above without its labels
        shown = [axis for axis in axes[:, column] if axis.get_visible()]
        shown[-1].tick_params(labelbottom=True)
    return figure, list(axes.flat[:panels])


def _band(axis: Axes, x: pd.Series, part: pd.DataFrame, name: str, colour: str) -> None:
    axis.fill_between(x, part[f"{name}_low"], part[f"{name}_high"], color=colour, alpha=0.15, lw=0)


def _finish(figure: Figure, axes: list[Axes], title: str) -> None:
    lines = {}
    for axis in axes:
        axis.grid(alpha=0.25)
        lines |= dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4)
    figure.suptitle(title, size=11)


def _counts(axis: Axes, counts: list[int]) -> None:
    """A logarithmic axis with a tick at each count."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [f"{n:g}" for n in counts])
    axis.minorticks_off()


def loss(table: pd.DataFrame, bounds: pd.DataFrame) -> Figure:
    """Drop of the sequential log-likelihood against n, a panel a task, a colour a model."""
    tasks, colours = list(table["task"].unique()), palette(list(table["model"].unique()))
    figure, axes = _sheet(len(tasks), 3.1, 2.5)
    for task, axis in zip(tasks, axes, strict=True):
        for mark, (model, colour) in zip(MARKS * 9, colours.items(), strict=False):
            part = table[(table["task"] == task) & (table["model"] == model)]
            own = bounds[(bounds["task"] == task) & (bounds["model"] == model)]
            axis.plot(part["at_once"], part["drop"], f"-{mark}", ms=4, color=colour, label=model)
            _band(axis, part["at_once"], part, "drop", colour)
            if len(own):
                axis.axvline(own["bound"].iloc[0], color=colour, ls=":", lw=1)
        for eps in bounds["eps"].unique():
            axis.axhline(eps, color="0.4", ls="--", lw=1, label=f"eps = {eps:g} nats")
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set_title(task, size=10)
        axis.set_yscale("symlog", linthresh=bounds["eps"].min())  # both eps and large n are seen
        _counts(axis, sorted(table["at_once"].unique()))
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel("masks committed in a step")
    for axis in axes[::COLUMNS]:
        axis.set_ylabel("lost (nats a token)")
    title = "What steps of n masks lose: sequential log-likelihood of the text they write"
    _finish(figure, axes, f"{title}\nbands: 95 % over texts; dotted: largest n under eps")
    return figure


def gains(table: pd.DataFrame, spread: pd.DataFrame) -> Figure:
    """Log-likelihood in each order minus left to right, and the span over orders, as intervals."""
    tasks, models = list(table["task"].unique()), list(table["model"].unique())
    compared = table.dropna(subset=["gain"])
    names = [*compared["order"].unique(), "span"]
    figure, axes = _sheet(len(tasks), 3.1, 0.9 + 0.35 * len(names))
    for task, axis in zip(tasks, axes, strict=True):
        for number, (model, colour) in enumerate(palette(models).items()):
            shift = 0.5 * (number - (len(models) - 1) / 2) / max(len(models), 1)
            for name in names:
                kind, rows = ("span", spread) if name == "span" else ("gain", compared)
                line = rows[(rows["task"] == task) & (rows["model"] == model)]
                line = line if name == "span" else line[line["order"] == name]
                if len(line):
                    y = names.index(name) + shift
                    _interval(axis, line.iloc[0], kind, y, colour, model)
        axis.axvline(0, color="0.6", lw=0.8)
        labels = ["span over orders" if name == "span" else name for name in names]
        axis.set_yticks(range(len(names)), labels)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_title(task, size=10)
    for axis in axes[-COLUMNS:]:
        axis.set_xlabel("nats a token")
    title = "Log-likelihood of one text in other orders, minus left to right"
    _finish(figure, axes, f"{title}\n0: one joint explains all; bars: 95 % over texts")
    return figure


def _interval(
    axis: Axes, line: pd.Series, name: str, y: float, colour: str, label: str, mark: str = "o"
) -> None:
    ends = [line[f"{name}_low"], line[f"{name}_high"]]
    axis.plot([line[name]], [y], mark, ms=5, color=colour, label=label)
    if not np.isnan(ends).any():
        axis.plot(ends, [y, y], "-", lw=2, color=colour)


def couplings(table: pd.DataFrame, circulation: pd.DataFrame) -> Figure:
    """MI, TV, unlikely pairs and circulation against distance, all tasks together."""
    models = list(table["model"].unique())
    figure = Figure(figsize=(9.2, 6.0), layout="constrained")
    axes = list(figure.subplots(2, 2, sharex=True).flat)
    labels = {
        "mi": "mutual information (nats)",
        "tv": "total variation",
        "unlikely": "probability of an unlikely pair",
    }
    for mark, (model, colour) in zip(MARKS * 9, palette(models).items(), strict=False):
        own = table[table["model"] == model]
        own = own[own["task"] == own["task"].iloc[-1]]  # the last task is all of them
        x = own["distance"]
        for name, axis in zip(labels, axes, strict=False):
            axis.plot(x, own[name], f"-{mark}", ms=4, color=colour, label=model)
            _band(axis, x, own, name, colour)
            most = own[name] + own[f"{name}_bound"]
            most = most if name == "mi" else most.clip(upper=1.0)
            axis.plot(x, most, ":", lw=1, color=colour, label=f"{model}: at most")
        sequential = own["unlikely_sequential"]
        axes[2].plot(x, sequential, "--", lw=1, color=colour, label=f"{model}: sequential draw")
        turned = circulation[(circulation["model"] == model) & (circulation["distance"] != "all")]
        x = turned["distance"].astype(int)
        axes[3].plot(x, turned["size"], f"-{mark}", ms=4, color=colour, label=model)
        _band(axes[3], x, turned, "size", colour)
    for axis, label in zip(axes, [*labels.values(), "|circulation| (nats)"], strict=True):
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        _counts(axis, sorted(table["distance"].unique()))
    for axis in axes[2:]:
        axis.set_xlabel("tokens from one mask to the other")
    _finish(figure, axes, "Two masks filled at once, against one after the other; bands: 95 %")
    return figure


def mixtures(table: pd.DataFrame) -> Figure:
    """The share of fillings that mix two pairs, a row a set, a panel a model."""
    models = list(table["model"].unique())
    sets = list(dict.fromkeys([*table["set"][table["set"] != "all"], "all"]))
    figure, axes = _sheet(len(models), 3.4, 0.6 + 0.24 * len(sets))
    looks = {"parallel": ("#D55E00", "o"), "sequential": ("#0072B2", "s")}
    for model, axis in zip(models, axes, strict=True):
        for name, line in table[table["model"] == model].set_index("set").iterrows():
            for way, (colour, mark) in looks.items():
                y = sets.index(name)
                percent = 100 * line.filter(like="incoherent")
                if not np.isnan(percent[f"incoherent_{way}"]):
                    _interval(axis, percent, f"incoherent_{way}", y, colour, way, mark)
        axis.set_yticks(range(len(sets)), sets)
        axis.set_ylim(len(sets) - 0.5, -0.5)
        axis.set_xlim(-3, 103)
        axis.set_title(model, size=10)
        axis.set_xlabel("fillings that mix two pairs (%)")
    _finish(figure, axes, "Words that only go together; bar: 95 % over sets")
    return figure
