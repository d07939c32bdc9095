"""Heat maps of needle depth and context length, and what depth and length cost a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes.needle.probe import ABSENT

ITEM = ["needles", "lexicon", "seed", "item"]

PRINTED = ("overview", "depth", "length")
UNITS = {
    **{table: {"logp": "nats", "gain": "nats"} for table in ("overview", "grid", "length")},
    "depth": {"logp": "nats"},
}
"""Units of columns that the rows don't have, or have in another one; by table."""
LEAST = 1.0
"""Nats that the colours of a gain reach to at least, so that noise stays pale."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview" of every model and length; "grid", the numbers of the heat maps with their intervals;
    what "depth" and "length" cost, over the same needles.

    Raises:
        KeyError, ValueError: for rows that a needle run didn't write.
    """
    frame[["length", "depth", "correct", "logp_right"]].apply(pd.to_numeric)
    return {
        "overview": overview(frame),
        "grid": grid(frame),
        "depth": depth(frame),
        "length": length(frame),
    }


def _parts(frame: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The rows of each model and length, models in the order of the rows."""
    for model, rows in frame.groupby("model", observed=True, sort=False):
        for size, part in rows.groupby("length", observed=True):
            yield model, int(size), part


def _wide(rows: pd.DataFrame, measure: str, by: str = "depth") -> pd.DataFrame:
    """Needles as rows, depths (or lengths) as columns; without the texts that lack the fact."""
    found = rows[rows["depth"] != ABSENT]
    return found.pivot_table(index=ITEM, columns=by, values=measure, observed=True).dropna()


def _absent(rows: pd.DataFrame, measure: str) -> pd.Series:
    """A measure without the fact, by needle."""
    return rows[rows["depth"] == ABSENT].set_index(ITEM)[measure]


def _gain(rows: pd.DataFrame) -> pd.DataFrame:
    """Log-probability with the fact minus without, needles as rows and depths as columns.

    Empty where no text without the fact was asked.
    """
    without = _absent(rows, "logp_right")
    if without.empty:
        return pd.DataFrame(index=pd.MultiIndex.from_arrays([[]] * len(ITEM), names=ITEM))
    return _wide(rows, "logp_right").sub(without, axis=0).dropna()


def _line(name: str, found: stats.Estimate, *, p: bool = False) -> dict[str, float]:
    line = {name: found.mean, f"{name}_low": found.low, f"{name}_high": found.high}
    return line | ({f"{name}_p": found.p} if p else {})


def _within(line: dict[str, float], least: float) -> dict[str, float]:
    """A line about shares, whose interval can't leave least..1."""
    ends = [name for name in line if name.endswith(("_low", "_high"))]
    return line | {name: float(np.clip(line[name], least, 1.0)) for name in ends}


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """Exact match and log-probability of every model and length, with the fact and without.

    Over needles that were asked at all depths, with intervals over needles: of exact match
    `stats.share_over`, of the rest Student's. `guessed` is the exact match without the fact, `gain`
    the log-probability (nats) that the fact adds, tested against none; `gain_holm` is corrected for
    a model's rows.
    """
    rows = []
    for model, size, part in _parts(frame):
        exact, gain = _wide(part, "correct"), _gain(part).mean(axis=1)
        if not len(exact):  # an unfinished run, no needle at every depth yet
            continue
        tokens = part.loc[part["depth"] != ABSENT, "tokens"].mean()
        row = {"model": model, "length": size, "tokens": tokens, "n": len(exact)}
        needles = np.repeat(np.arange(len(exact)), exact.shape[1])
        row |= _line("exact", stats.share_over(exact.to_numpy().ravel(), needles))
        row["logp"] = _wide(part, "logp_right").to_numpy().mean()
        if len(gain):
            row["guessed"] = _absent(part, "correct").mean()
            row |= _line("gain", stats.mean(gain.to_numpy()), p=True)
        rows.append(row)
    return _corrected(pd.DataFrame(rows))


def grid(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, length and depth: exact match (Wilson), log-probability and gain (Student).

    Intervals are over needles. `gain` is the log-probability (nats) minus that of the same text
    without the fact; depth -1 is that text.
    """
    rows = []
    for model, size, part in _parts(frame):
        gains = _gain(part)
        for at, cell in part.groupby("depth", observed=True):
            rows.append(
                {"model": model, "length": size, "depth": int(at), "n": len(cell)}
                | _line("exact", stats.proportion(cell["correct"].to_numpy()))
                | _line("logp", stats.mean(cell["logp_right"].to_numpy()))
                | (_line("gain", stats.mean(gains[at].to_numpy())) if at in gains else {})
            )
    return pd.DataFrame(rows)


def depth(frame: pd.DataFrame) -> pd.DataFrame:
    """What the fact's place costs, at every length, over the same needles.

    "end - start": deepest minus shallowest; positive where a model reads best what is near the
    question. "ends - middle": the mean of both ends minus the depth halfway; positive where a model
    gets lost in the middle. Student's intervals over needles, of exact match and of log-probability
    (nats); sign tests, stricter than the interval, and Student's. `_holm` are p-values corrected
    for a model's rows.
    """
    rows = []
    for model, size, part in _parts(frame):
        exact, logp = _wide(part, "correct"), _wide(part, "logp_right")
        contrasts = _contrasts(list(exact.columns)) if len(exact) else {}
        for name, (plus, minus) in contrasts.items():
            gaps = (w[plus].mean(axis=1) - w[minus].mean(axis=1) for w in (exact, logp))
            rows.append(
                {"model": model, "length": size, "contrast": name, "n": len(exact)}
                | _compared(*gaps)
            )
    return _corrected(pd.DataFrame(rows))


def _contrasts(depths: list[int]) -> dict[str, tuple[list[int], list[int]]]:
    if len(depths) < 2:
        return {}
    ends = [depths[0], depths[-1]]
    found = {"end - start": ([ends[1]], [ends[0]])}
    if len(depths) > 2:
        middle = min(depths[1:-1], key=lambda d: abs(d - sum(ends) / 2))
        found["ends - middle"] = (ends, [middle])
    return found


def length(frame: pd.DataFrame) -> pd.DataFrame:
    """What length costs: the shortest context minus the longest, over the same needles.

    Means over depths; intervals and tests as in `depth`. A gain is compared where there is a
    baseline, since the answer may be likelier in a long text to begin with.
    """
    rows = []
    for model, part in frame.groupby("model", observed=True, sort=False):
        ends = part["length"].min(), part["length"].max()
        short, long = (part[part["length"] == size] for size in ends)
        gaps = [_gap(_wide(short, m), _wide(long, m)) for m in ("correct", "logp_right")]
        if ends[0] == ends[1] or not len(gaps[0]):
            continue
        gain = _gap(_gain(short), _gain(long))
        rows.append(
            {"model": model, "shortest": ends[0], "longest": ends[1], "n": len(gaps[0])}
            | _compared(*gaps)
            | (_line("gain", stats.mean(gain.to_numpy()), p=True) if len(gain) else {})
        )
    return _corrected(pd.DataFrame(rows))


def _gap(short: pd.DataFrame, long: pd.DataFrame) -> pd.Series:
    """The mean over depths of each needle's difference, where it has both."""
    return (short - long).dropna(axis=1, how="all").dropna().mean(axis=1)


def _compared(exact: pd.Series, logp: pd.Series) -> dict[str, float]:
    """The columns of differences, needles as rows, in exact match and in log-probability."""
    hits = stats.paired_hits(exact.to_numpy(), np.zeros(len(exact)))
    nats = stats.mean(logp.to_numpy())
    return _within(_line("exact", hits, p=True), -1.0) | _line("logp", nats, p=True)


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Adds Holm's p-values, over a model's rows."""
    return corrected(table, [c.removesuffix("_p") for c in table.columns if c.endswith("_p")])


# ---------------------------------------------------------------------- figures


def figures(frame: pd.DataFrame, found: Tables | None = None) -> dict[str, Figure]:
    """Heat maps, a panel a model: x is the context's length, y the fact's depth, the start on top.

    Exact match in red to green, with the number in each cell; below, what the fact adds to the
    answer's log-probability (the log-probability itself where there is no baseline). Grey cells
    weren't asked.
    """
    table = (found or tables(frame))["grid"]
    top = {"exact": ("exact match (%)", "RdYlGn", Normalize(0, 100), "{:.0f}")}
    if "gain" in table:
        limit = max(LEAST, float(np.nanmax(np.abs(table["gain"]))))
        gain = ("gained by the fact (nats)", "BrBG", Normalize(-limit, limit), "{:+.1f}")
        maps = top | {"gain": gain}
    ends = Normalize(table["logp"].min(), max(table["logp"].max(), table["logp"].min() + LEAST))
    logp = {"logp": ("log-probability of the answer (nats)", "viridis", ends, "{:.1f}")}
    if "gain" not in table:
        return {"": _maps(table, top | logp)}
    return {"": _maps(table, maps), "logp": _maps(table, logp)}


def _maps(table: pd.DataFrame, maps: dict[str, tuple[str, str, Normalize, str]]) -> Figure:
    names = list(table["model"].unique())
    sizes, depths = (sorted(table[c].unique()) for c in ("length", "depth"))
    width = 1.7 + len(names) * (0.8 + 0.55 * len(sizes))
    height = 1.0 + len(maps) * (0.4 + 0.22 * len(depths))
    drawn = Figure(figsize=(max(4.5, width), height), layout="constrained")
    axes = drawn.subplots(len(maps), len(names), sharex=True, sharey="row", squeeze=False)
    for row, (measure, (label, colours, norm, form)) in zip(axes, maps.items(), strict=True):
        for axis, name in zip(row, names, strict=True):
            values = table[table["model"] == name].pivot_table(
                index="depth", columns="length", values=measure, observed=True
            )
            shown = [d for d in depths if d != ABSENT]
            shown += [ABSENT] if ABSENT in depths and measure != "gain" else []
            values = values.reindex(index=shown, columns=sizes)
            _panel(axis, values * (100 if measure == "exact" else 1), colours, norm, form)
        row[0].set_ylabel("depth of the fact (%)")
        drawn.colorbar(row[0].images[0], ax=list(row), label=label, fraction=0.05)
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name)
    for axis in axes[-1]:
        axis.set_xlabel("context (tokens)")
    n = sorted(table["n"].unique())
    drawn.suptitle(
        f"A fact among filler, asked for at the end\nneedles a cell: {_range(n)}", size=11
    )
    return drawn


def _panel(axis: Axes, values: pd.DataFrame, colours: str, norm: Normalize, form: str) -> None:
    """One heat map with its numbers; the row without the fact stands apart."""
    image = axis.imshow(values.to_numpy(), cmap=colours, norm=norm, aspect="auto")
    axis.set_facecolor("0.85")
    for (y, x), value in np.ndenumerate(values.to_numpy()):
        if not np.isnan(value):
            red, green, blue, _ = image.cmap(norm(value))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            text = form.format(value).replace("-0.0", "0.0").replace("+0.0", "0.0")
            axis.text(x, y, text, ha="center", va="center", size=7, color="w" if dark else "k")
    names = ["absent" if d == ABSENT else f"{d:g}" for d in values.index]
    axis.set_xticks(range(values.shape[1]), [f"{size:g}" for size in values.columns])
    axis.set_yticks(range(len(names)), names)
    axis.tick_params(length=0, labelsize=8)
    if ABSENT in values.index:
        axis.axhline(len(names) - 1.5, color="w", lw=4)


def _range(counts: list[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


# ---------------------------------------------------------------------- comparing


def gained(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of texts that hold the fact, with the `gain` over the text that lacks it."""
    absent = frame[frame["depth"] == ABSENT].set_index([*ITEM, "length"])["logp_right"]
    held = frame[frame["depth"] != ABSENT].join(absent.rename("without"), on=[*ITEM, "length"])
    return held.assign(gain=held["logp_right"] - held["without"])


PAIRED = (
    Pairing(
        {
            "correct": Measure("exact match (points)", hits=True, scale=100),
            "logp_right": Measure("log-probability of the answer (nats)"),
            "gain": Measure("gained by the fact (nats)"),
        },
        item=("item",),
        by=("length", "depth"),
        rows=gained,
    ),
)
