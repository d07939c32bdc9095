"""The pictures of a shift run: harm against the fraction, and how far a change runs on."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis.frames import COLOURS

LOOKS = {"shift": "-o", "post-hoc": "--s", "replace": ":^", "hold": "-.D"}
NAMES = {
    "shift": "moved while decoding (shift)",
    "post-hoc": "moved afterwards (post-hoc)",
    "replace": "another token (replace)",
    "hold": "a step later (hold)",
}
HARM = {
    "nats": "more nats by scorer token",
    "edit": "edit distance (% of tokens)",
    "correct": "exact match (points of 100)",
    "differ": "answers that differ (%)",
}
CASCADE = {
    "by_change": "other places that differ\nby changed token",
    "parted_8": "of the 8 positions after the\nfirst difference, differ (%)",
    "parted_32": "of the 32 positions after the\nfirst difference, differ (%)",
}


def harm(table: pd.DataFrame) -> Figure:
    """A row of panels a model: likelihood, edit distance, exact match or answers that differ."""
    last = "correct" if "correct" in table else "differ"
    measures = [name for name in ("nats", "edit", last) if name in table]
    return _sheet(table, {name: HARM[name] for name in measures}, "Against the unintervened answer")


def cascade(table: pd.DataFrame) -> Figure:
    """A row of panels a model: places that differ by change, and how fast answers part."""
    return _sheet(table, CASCADE, "How far a change runs on, after the first difference")


def _sheet(table: pd.DataFrame, measures: dict[str, str], title: str) -> Figure:
    models = list(table["model"].unique())
    figure = Figure(figsize=(0.6 + 3.6 * len(measures), 1.3 + 2.9 * len(models)))
    figure.set_layout_engine("constrained")
    axes = figure.subplots(len(models), len(measures), sharex=True, sharey="col", squeeze=False)
    for model, row in zip(models, axes, strict=True):
        part = table[table["model"] == model]
        for axis, (measure, label) in zip(row, measures.items(), strict=True):
            for kind, look in LOOKS.items():
                _line(axis, part[part["intervention"] == kind], measure, kind, look)
            axis.axhline(0, color="grey", lw=0.8, zorder=0)
            axis.set(ylabel=label, title=model)
            axis.grid(alpha=0.25)
    for axis in axes.flat:
        _fractions(axis, sorted(table["frac"].unique()))
    for axis in axes[-1]:
        axis.set_xlabel("tokens to be changed (%)")
    lines = {line.get_label(): line for axis in axes.flat for line in axis.lines}
    named = {name: lines[name] for name in NAMES.values() if name in lines}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=4)
    figure.suptitle(f"{title}; bands: 95 % over prompts", size=11)
    return figure


def _line(axis: Axes, part: pd.DataFrame, measure: str, kind: str, look: str) -> None:
    part = part.sort_values("frac")
    colour, x = COLOURS[list(LOOKS).index(kind)], 100 * part["frac"]
    if not part[measure].notna().any():
        return
    axis.plot(x, part[measure], look, color=colour, ms=4.5, mfc="none", label=NAMES[kind])
    ends = part[f"{measure}_low"], part[f"{measure}_high"]
    axis.fill_between(x, *ends, color=colour, alpha=0.12, lw=0)


def _fractions(axis: Axes, fracs: list[float]) -> None:
    """A logarithmic axis with a tick at each fraction; 0 stands left of it."""
    shares = [100 * share for share in fracs]
    least = min((share for share in shares if share), default=1.0)
    if 0 in shares:
        axis.set_xscale("symlog", linthresh=least, linscale=0.5)
    else:
        axis.set_xscale("log")
    ticks = [s for i, s in enumerate(shares) if not i or not s or _apart(shares[i - 1], s)]
    axis.set_xticks(ticks, [f"{share:g}" for share in ticks])
    axis.minorticks_off()


def _apart(left: float, right: float) -> bool:
    return left == 0 or np.log10(right / left) > 0.1
