"""The pictures of a blocks run: cost and quality, block sizes, orders of filling in, lengths."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

from mdlm_probe.analysis.frames import palette
from mdlm_probe.probes.blocks.equivalent import LEFT, SERIES, EquivalentCells

MARKS = ("o", "s", "^", "D", "v", "P", "X")
LABELS = {
    "perplexity": "perplexity",
    "correct": "exact match (%)",
    "repeated": "repeated 4-grams (%)",
}
BINS = 32
"""Places and steps that a heat map tells apart, at most."""
CROWDED = 4
"""Curves in a panel from which on bands would hide them."""
STEEP = 3.0
"""Ratio of the largest to the smallest perplexity from which on the axis is logarithmic."""


def measured(table: pd.DataFrame) -> str:
    """The measure of quality that a run has: perplexity, or what there is without a scorer."""
    return next(
        (name for name in ("perplexity", "correct") if table[name].notna().any()), "repeated"
    )


def colours(table: pd.DataFrame) -> dict[str, str]:
    """A colour for each order, left to right first."""
    return palette(sorted(table["order"].unique(), key=lambda order: (order != LEFT, order)))


def _scaled(values: pd.Series, measure: str) -> pd.Series:
    return values if measure == "perplexity" else 100 * values


def _sheet(rows: int, columns: int, width: float = 3.4, height: float = 2.9) -> tuple[Figure, Any]:
    figure = Figure(figsize=(1.0 + width * columns, 1.3 + height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharex="col", sharey="col")


def _finish(figure: Figure, axes: np.ndarray, title: str, columns: int = 4) -> None:
    lines: dict[str, Any] = {}
    for axis in axes.flat:
        axis.grid(alpha=0.25)
        lines = dict(zip(*axis.get_legend_handles_labels()[::-1], strict=True)) | lines
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=columns)
    figure.suptitle(title, size=11)


def _steep(axis: Axes, values: pd.Series, measure: str) -> None:
    """A logarithmic axis where perplexities are far apart."""
    if measure == "perplexity" and values.max() > STEEP * values.min():
        axis.set_yscale("log")
        _plain(axis.yaxis)


def _plain(axis: Any) -> None:
    """Plain numbers on a logarithmic axis."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_formatter(NullFormatter())


def _counts(axis: Axes, counts: list[int]) -> None:
    """A logarithmic axis with a tick at each count."""
    axis.set_xscale("log", base=2)
    axis.set_xticks(counts, [f"{n:g}" for n in counts])
    axis.minorticks_off()


def _rows(table: pd.DataFrame) -> list[tuple[str, int]]:
    return list(dict.fromkeys(table[["model", "length"]].itertuples(index=False, name=None)))


def _named(model: str, length: int) -> str:
    return f"{model}, canvas of {length}"


# ---------------------------------------------------------------------- cost


def costs(table: pd.DataFrame, front: pd.DataFrame | None) -> Figure:
    """Quality and repetition against passes by token, a colour an order, marks by block size."""
    measure = measured(table)
    names = list(dict.fromkeys((measure, "repeated")))
    rows = _rows(table)
    figure, axes = _sheet(len(rows), len(names), 4.2)
    for (model, length), line in zip(rows, axes, strict=True):
        part = table[(table["model"] == model) & (table["length"] == length)]
        for name, axis in zip(names, line, strict=True):
            # left to right has the smallest marks, which come last
            for order, colour in reversed(colours(table).items()):
                own = part[part["order"] == order]
                sizes = 20 + 12 * np.log2(own["block"])
                x, y = own["passes_a_token"], _scaled(own[name], name)
                look = {"color": colour, "alpha": 0.65, "edgecolor": "white", "lw": 0.6}
                axis.scatter(x, y, s=sizes, label=order if len(own) else None, **look)
            if front is not None:
                best = front[(front["model"] == model) & (front["length"] == length)]
                _front(axis, best, name)
            axis.set(title=_named(model, length), ylabel=LABELS[name])
    for name, axis in zip(names, axes[-1], strict=True):
        axis.set_xlabel("passes by token of the answer")
        axis.set_xscale("log")
        _plain(axis.xaxis)
        _steep(axis, table[name].dropna(), name)
    title = "What an answer costs, and what it is; larger marks: larger blocks"
    _finish(figure, axes, f"{title}\nrepetitive texts have low perplexities, too")
    return figure


def _front(axis: Axes, best: pd.DataFrame, measure: str) -> None:
    """The Pareto front of perplexity as a line, its block sizes as numbers."""
    x, y = best["passes_a_token"], _scaled(best[measure], measure)
    label = "no other is cheaper and better (its block)"
    axis.plot(x, y, "-" if measure == "perplexity" else ":", color="0.3", lw=1, label=label)
    for at, up, block in zip(x, y, best["block"], strict=True):
        axis.annotate(f"{block}", (at, up), (5, 5), textcoords="offset points", size=8)


# ---------------------------------------------------------------------- blocks


def sizes(table: pd.DataFrame) -> Figure | None:
    """Quality against block size, a panel a number of masks in a step, a colour an order."""
    if table["block"].nunique() < 2:
        return None
    measure, rows, stands = measured(table), _rows(table), EquivalentCells(table)
    by = table.set_index(SERIES)
    rates = sorted((table["length"] / table["steps"]).unique())
    figure, axes = _sheet(len(rows), len(rates))
    for (model, length), line in zip(rows, axes, strict=True):
        part = table[(table["model"] == model) & (table["length"] == length)]
        for rate, axis in zip(rates, line, strict=True):
            for mark, (order, colour) in zip(MARKS * 9, colours(table).items(), strict=False):
                asked = [
                    (model, length, size, round(length / rate), order)
                    for size in sorted(part["block"].unique())
                ]
                stand = {at[2]: stands.of(*at) for at in asked}
                shown = {size: by.loc[at] for size, at in stand.items() if at}
                if shown and (order != "threshold" or rate == min(rates)):
                    _curve(axis, pd.DataFrame(shown).T, measure, colour, f"-{mark}", order)
            axis.set_visible(bool(axis.lines))
            axis.set_title(f"{_named(model, length)}\nmasks a step: {rate:g}", size=9)
            axis.tick_params(labelleft=True)
    for axis in axes[-1]:
        axis.set_xlabel("masks of a block")
        _counts(axis, sorted(table["block"].unique()))
    for axis in axes[:, 0]:
        axis.set_ylabel(LABELS[measure])
    _limit(axes, _scaled(table[measure], measure).dropna(), measure)
    title = "Block size; left to right knows none, and small blocks leave little to choose"
    _finish(figure, axes, f"{title}\nbands: 95 % over prompts")
    return figure


def _limit(axes: np.ndarray, values: pd.Series, measure: str) -> None:
    """The same axis for all panels: as far as the curves go, not as far as their bands."""
    low, high = values.min(), values.max()
    pad = 0.15 * (high - low) or 1.0
    for axis in axes.flat:
        _steep(axis, values, measure)
        steep = axis.get_yscale() == "log"
        axis.set_ylim(
            low / 1.3 if steep else max(0.0, low - pad), 1.3 * high if steep else high + pad
        )


def _curve(
    axis: Axes,
    part: pd.DataFrame,
    measure: str,
    colour: str,
    look: str,
    label: str,
    band: bool = True,
) -> None:
    x = part.index.astype(float)
    axis.plot(x, _scaled(part[measure], measure), look, ms=4, color=colour, label=label)
    if band and f"{measure}_low" in part:
        ends = (_scaled(part[f"{measure}_{end}"].astype(float), measure) for end in ("low", "high"))
        axis.fill_between(x, *ends, color=colour, alpha=0.1, lw=0)


# ---------------------------------------------------------------------- orders


def places(frame: pd.DataFrame) -> Figure:
    """The share of a place's tokens that each step wrote: a panel an order, a row a block size.

    Of each model's longest canvas and largest number of steps; a middle and the largest block.
    """
    stands, names = EquivalentCells(frame), list(colours(frame))
    kept: list[tuple[str, int, int, int]] = []
    for model, part in frame.groupby("model", observed=True, sort=False):
        part = part[part["length"] == part["length"].max()]
        length, steps = int(part["length"].max()), int(part["steps"].max())
        # in blocks of one step, and from left to right, there is nothing to compare
        free = part[(part["order"] != LEFT) & (part["steps"] == steps)]
        choice = sorted(free["block"].unique()) or [length]
        both = dict.fromkeys((choice[(len(choice) - 1) // 2], choice[-1]))
        kept += [(model, length, int(size), steps) for size in both]
    size = (1.4 + 2.4 * len(names), 1.2 + 2.3 * len(kept))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(kept), len(names), squeeze=False)
    by = dict(iter(frame.groupby(SERIES, observed=True, sort=False)))
    for at, line in zip(kept, axes, strict=True):
        for order, axis in zip(names, line, strict=True):
            asked = stands.of(*at, order)
            if not asked:
                axis.set_visible(False)
                continue
            image = _map(axis, by[asked], at[1])
            size = "one block" if at[2] == at[1] else f"blocks of {at[2]}"
            axis.set_title(f"{at[0]}, {size}\n{order}", size=9)
    for axis in axes[-1]:
        axis.set_xlabel("place in the canvas")
    for axis in axes[:, 0]:
        axis.set_ylabel("step")
    bar = figure.colorbar(image, ax=axes, shrink=0.6, extend="max")
    bar.set_label("tokens of the place\nwritten in the step (%)")
    figure.suptitle("Which places are filled in when", size=11)
    return figure


def shares(unmasked: pd.Series, length: int, bins: int = BINS) -> np.ndarray:
    """Of the tokens of each bin of places (columns), the shares that bins of steps wrote (rows).

    Args:
        unmasked: the steps of each canvas's masks; 0 where none wrote one, which counts nowhere.
        length: masks of a canvas; steps are binned over as many.
        bins: of places and of steps, at most.
    """
    bins = min(bins, length)
    steps = np.array([[int(step) for step in str(text).split()] for text in unmasked])
    at = np.broadcast_to(np.arange(length) * bins // length, steps.shape)
    when = (np.maximum(steps, 1) - 1) * bins // length
    found = np.zeros((bins, bins))
    np.add.at(found, (when[steps > 0], at[steps > 0]), 1)
    return found / np.maximum(found.sum(axis=0), 1)


def _map(axis: Axes, part: pd.DataFrame, length: int) -> Any:
    found = 100 * shares(part["unmasked"], length)
    reach = (0.5, length + 0.5, 0.5, length + 0.5)
    look = {"cmap": "magma_r", "vmin": 0, "vmax": 50, "interpolation": "nearest"}
    return axis.imshow(found, origin="lower", extent=reach, aspect="auto", **look)


# ---------------------------------------------------------------------- lengths


def lengths(table: pd.DataFrame) -> Figure:
    """Perplexity, exact match and repetition against canvas length, a colour an order.

    Dashed: the whole canvas is one block.
    """
    names = [name for name in LABELS if name in table]
    models = list(table["model"].unique())
    looks = {size: "--" if size == "whole" else "-" for size in sorted(table["blocks"].unique())}
    few = len(table[["order", "blocks"]].drop_duplicates()) <= CROWDED
    figure, axes = _sheet(len(models), len(names))
    for model, line in zip(models, axes, strict=True):
        for name, axis in zip(names, line, strict=True):
            for mark, (order, colour) in zip(MARKS * 9, colours(table).items(), strict=False):
                for size, look in looks.items():
                    own = (table["model"] == model) & (table["blocks"] == size)
                    part = table[own & (table["order"] == order)].set_index("length")
                    where = "one block" if size == "whole" else f"blocks of {size}"
                    if len(part):
                        label = f"{order}, {where}"
                        _curve(axis, part, name, colour, look + mark, label, few)
            axis.set(title=model, ylabel=LABELS[name])
    for name, axis in zip(names, axes[-1], strict=True):
        axis.set_xlabel("masks of the canvas")
        _counts(axis, sorted(table["length"].unique()))
        _steep(axis, table[name].dropna(), name)
    rate = table["a_step"].iloc[0]
    bands = "; bands: 95 % over prompts" if few else ""
    title = f"Canvas length; masks a step: {rate:g}{bands}"
    _finish(figure, axes, title, columns=3)
    return figure
