"""The pictures of a masks run: what is appended, and how long the context is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis.frames import COLOURS

CONTEXT = ["model", "shots", "distractors"]
SERIES = [*CONTEXT, "filler", "side", "steps", "order"]
FILLERS = ("mask", "text", "dot", "eos", "pad", "space", "random", "none")
LABELS = {
    "accuracy": "accuracy (%)",
    "p_right": "probability of the\nright answer (%)",
    "entropy": "entropy (nats)",
    "top1_prob": "largest probability (%)",
}
CROWDED = 6
"""Curves in a panel from which on bands would hide them."""

TOP = 103
"""Percent at which an axis ends at most: a little room for the marks at 100."""

BANDS = {"accuracy": "sets", "p_right": "p_right"}
TICKS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
NAMES = {"mask": "masks", "text": "plain text", "dot": "dots", "none": "appended"}
SIDES = {"right": "after", "left": "before", "both": "half each", "none": "nothing"}
LINES = ("-", "--", ":", "-.")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "o")


def rank(masks: str) -> float:
    """A number by which amounts sort: counts, then shares, then "max"."""
    if masks == "max":
        return 1e12
    return 1e9 + float(masks[:-1]) if masks.endswith("%") else float(masks)


def grouped(rows: pd.DataFrame, names: list[str]) -> list[tuple[dict[str, Any], pd.DataFrame]]:
    """The groups of a frame, each with its coordinates by name, in order of appearance."""
    found = rows.groupby(names, observed=True, sort=False)
    return [(dict(zip(names, key, strict=True)), part) for key, part in found]


def sheet(table: pd.DataFrame, measures: list[str], where: str) -> Figure:
    """A row of panels for each model and side, a panel a measure; a colour a filler.

    Line styles tell unmasking steps apart.
    """
    table = table.sort_values("filler", key=lambda c: c.map(FILLERS.index), kind="stable")
    rows = list(dict.fromkeys(map(tuple, table[["model", "side"]].sort_values("model").to_numpy())))
    kinds = list(dict.fromkeys(map(tuple, table[["steps", "order"]].to_numpy())))
    drawn = Figure(figsize=(9.2, 1.4 + 2.7 * len(rows)), layout="constrained")
    axes = drawn.subplots(len(rows), len(measures), sharex=True, sharey="col", squeeze=False)
    for (model, side), row in zip(rows, axes, strict=True):
        part = table[(table["model"] == model) & (table["side"] == side)]
        for axis, measure in zip(row, measures, strict=True):
            lines = grouped(part, ["filler", "steps", "order"])
            for named, line in lines:
                look = LINES[kinds.index((named["steps"], named["order"])) % len(LINES)]
                _line(axis, line, measure, look, _label(named), bands=len(lines) <= CROWDED)
            title = model if len({side for _, side in rows}) == 1 else f"{model}, {SIDES[side]}"
            axis.set(title=title, ylabel=LABELS[measure])
            if measure != "entropy":
                _cap(axis)
    for axis in axes[-1]:
        axis.set_xlabel("appended tokens")
        axis.set_xscale("symlog", linthresh=10, linscale=0.7)
        far = max(10.0, 1.05 * table["appended"].max())
        ticks = [t for t in TICKS if t <= far]
        axis.set_xticks(ticks, [str(t) for t in ticks])
        axis.minorticks_off()
    _finish(drawn, axes, f"What is appended to the prompt: {where}")
    return drawn


def contexts(table: pd.DataFrame) -> Figure:
    """Accuracy and probability by the number of distractors, or of shots where only those vary.

    A row of panels a model, a colour an amount; masks alone, where the model was asked with masks.
    """
    axis_name = "distractors" if table["distractors"].nunique() > 1 else "shots"
    other = "shots" if axis_name == "distractors" else "distractors"
    models = list(table["model"].unique())
    amounts = sorted(table["masks"].unique(), key=rank)
    drawn = Figure(figsize=(9.2, 1.4 + 2.7 * len(models)), layout="constrained")
    axes = drawn.subplots(len(models), 2, sharex=True, sharey="col", squeeze=False)
    for model, row in zip(models, axes, strict=True):
        part = table[table["model"] == model]
        masked = part[part["filler"].isin(["mask", "none"])]
        part = part if (masked["filler"] == "none").all() else masked
        lines = grouped(part, ["masks", other, *SERIES[3:]])
        looks = list(dict.fromkeys(tuple(named.values())[1:] for named, _ in lines))
        for axis, measure in zip(row, ("accuracy", "p_right"), strict=True):
            for named, line in lines:
                line = line.sort_values(axis_name)
                colour = COLOURS[amounts.index(named["masks"]) % len(COLOURS)]
                look = LINES[looks.index(tuple(named.values())[1:]) % len(LINES)]
                x, y = line[axis_name], 100 * line[measure]
                label = _context_label(named, part, other)
                axis.plot(x, y, look, color=colour, marker="o", ms=3.5, label=label)
                if len(lines) <= CROWDED:
                    _band(axis, x, line, measure, colour)
            axis.set(title=model, ylabel=LABELS[measure])
            _cap(axis)
    for axis in axes[-1]:
        axis.set_xlabel(f"{'distractor' if axis_name == 'distractors' else 'relevant'} examples")
    _finish(drawn, axes, "What is appended, by the length of the context")
    return drawn


def _context_label(named: dict[str, Any], part: pd.DataFrame, other: str) -> str:
    what = NAMES.get(named["filler"], named["filler"])
    side = f", {SIDES[named['side']]}" if part["side"].nunique() > 1 else ""
    count = f", {named[other]} {other}" if part[other].nunique() > 1 else ""
    return f"{named['masks']} {what}{side}{_steps(named)}{count}"


def _finish(drawn: Figure, axes: np.ndarray, title: str) -> None:
    for axis in axes.flat:
        axis.grid(alpha=0.25)
    # masked models have more curves, and stand last or alone
    lines = {li.get_label(): li for axis in axes[::-1].flat for li in axis.lines}
    columns = 4 if max(map(len, lines)) < 16 else 3
    drawn.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=columns)
    bands = "; bands: 95 % over sets" if any(axis.collections for axis in axes.flat) else ""
    drawn.suptitle(title + bands, size=11)


def _cap(axis: Axes) -> None:
    """Ends an axis of percent a little above 100."""
    axis.set_ylim(top=min(axis.get_ylim()[1], TOP))


def _label(named: dict[str, Any]) -> str:
    return NAMES.get(named["filler"], named["filler"]) + _steps(named)


def _steps(named: dict[str, Any]) -> str:
    return f", {named['steps']} steps ({named['order']})" if named["steps"] > 1 else ""


def _line(
    axis: Axes, part: pd.DataFrame, measure: str, look: str, label: str, *, bands: bool
) -> None:
    part = part.sort_values("appended")
    scale = 1 if measure == "entropy" else 100
    which = FILLERS.index(part["filler"].iloc[0])
    colour, mark = COLOURS[which], MARKS[which]
    face = colour if mark == "o" else "none"  # hollow marks show a curve that lies underneath
    x, y = part["appended"], scale * part[measure]
    axis.plot(x, y, look, color=colour, marker=mark, mfc=face, ms=5, label=label)
    if bands and measure in BANDS:
        _band(axis, x, part, measure, colour)


def _band(axis: Axes, x: pd.Series, part: pd.DataFrame, measure: str, colour: str) -> None:
    low, high = (100 * part[f"{BANDS[measure]}_{end}"] for end in ("low", "high"))
    axis.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
