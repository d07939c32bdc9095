"""Heat maps of needle depth and context length, and what depth and length cost a model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mdlm_probe.analysis import calibration_report, stats
from mdlm_probe.analysis.charts import Axis, Chart, HeatColours, Rows
from mdlm_probe.analysis.frames import Tables, by_value
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected
from mdlm_probe.probes.needle import calibration
from mdlm_probe.probes.needle.probe import ABSENT

ITEM = ["needles", "lexicon", "seed", "item"]

PRINTED = ("overview", "depth", "length")
UNREAD = ("right", "predicted")
UNITS = {
    **{table: {"logp_gain": "nats"} for table in ("overview", "grid", "length")},
}
"""Units of columns that the rows don't have, or have in another one; by table."""
LEAST = 1.0
"""Nats that the colours of a gain reach to at least, so that noise stays pale."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview" of every model and length; "grid", the numbers of the heat maps with their intervals;
    what "depth" and "length" cost, over the same needles; "calibration" and "reliability".

    Raises:
        KeyError, ValueError: for rows that a needle run didn't write.
    """
    frame[["context_length", "depth", "correct", "logp_right"]].apply(pd.to_numeric)
    return {
        "overview": overview(frame),
        "grid": grid(frame),
        "depth": depth(frame),
        "length": length(frame),
        **calibration.tables(frame),
    }


def _parts(frame: pd.DataFrame) -> Iterator[tuple[str, int, pd.DataFrame]]:
    """The rows of each model and length, models in the order of the rows."""
    for model, rows in frame.groupby("model", observed=True, sort=False):
        for size, part in by_value(rows, "context_length"):
            yield str(model), int(size), part


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
    return found.columns(name) | ({f"{name}_p": found.p} if p else {})


def _within(line: dict[str, float], least: float) -> dict[str, float]:
    """A line about shares, whose interval can't leave least..1."""
    ends = [name for name in line if name.endswith(("_low", "_high"))]
    return line | {name: float(np.clip(line[name], least, 1.0)) for name in ends}


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """Exact match and log-probability of every model and length, with the fact and without.

    Over needles that were asked at all depths, with intervals over needles: of exact match
    `stats.share_over`, of the rest the t interval. `guessed` is the exact match without the fact,
    `logp_gain` the log-probability (nats) that the fact adds, tested against none;
    `logp_gain_holm` is corrected for a model's rows.
    """
    rows = []
    for model, size, part in _parts(frame):
        exact, gain = _wide(part, "correct"), _gain(part).mean(axis=1)
        if not len(exact):  # an unfinished run, no needle at every depth yet
            continue
        tokens = part.loc[part["depth"] != ABSENT, "tokens"].mean()
        row = {"model": model, "context_length": size, "tokens": tokens, "n": len(exact)}
        needles = np.repeat(np.arange(len(exact)), exact.shape[1])
        row |= _line("exact", stats.share_over(exact.to_numpy().ravel(), needles))
        row["logp_right"] = _wide(part, "logp_right").to_numpy().mean()
        if len(gain):
            row["guessed"] = _absent(part, "correct").mean()
            row |= _line("logp_gain", stats.mean(gain.to_numpy()), p=True)
        rows.append(row)
    return _corrected(pd.DataFrame(rows))


def grid(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model, length and depth: exact match (Wilson), log-probability and gain (t interval).

    Intervals are over needles. `logp_gain` is the log-probability (nats) minus that of the same
    text without the fact; depth -1 is that text.
    """
    rows = []
    for model, size, part in _parts(frame):
        gains = _gain(part)
        for at, cell in by_value(part, "depth"):
            rows.append(
                {"model": model, "context_length": size, "depth": int(at), "n": len(cell)}
                | _line("exact", stats.proportion(cell["correct"].to_numpy()))
                | _line("logp_right", stats.mean(cell["logp_right"].to_numpy()))
                | (_line("logp_gain", stats.mean(gains[at].to_numpy())) if at in gains else {})
            )
    return pd.DataFrame(rows)


def depth(frame: pd.DataFrame) -> pd.DataFrame:
    """What the fact's place costs, at every length, over the same needles.

    "end - start": deepest minus shallowest; positive where a model reads best what is near the
    question. "ends - middle": the mean of both ends minus the depth halfway; positive where a model
    gets lost in the middle. T intervals over needles, of exact match and of log-probability
    (nats); sign tests, stricter than the interval, and t tests. `_holm` are p-values corrected
    for a model's rows.
    """
    rows = []
    for model, size, part in _parts(frame):
        exact, logp = _wide(part, "correct"), _wide(part, "logp_right")
        contrasts = _contrasts([int(at) for at in exact.columns]) if len(exact) else {}
        for name, (plus, minus) in contrasts.items():
            gaps = (w[plus].mean(axis=1) - w[minus].mean(axis=1) for w in (exact, logp))
            rows.append(
                {"model": model, "context_length": size, "contrast": name, "n": len(exact)}
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
        ends = part["context_length"].min(), part["context_length"].max()
        short, long = (part[part["context_length"] == size] for size in ends)
        gaps = [_gap(_wide(short, m), _wide(long, m)) for m in ("correct", "logp_right")]
        if ends[0] == ends[1] or not len(gaps[0]):
            continue
        gain = _gap(_gain(short), _gain(long))
        rows.append(
            {"model": model, "shortest": ends[0], "longest": ends[1], "n": len(gaps[0])}
            | _compared(*gaps)
            | (_line("logp_gain", stats.mean(gain.to_numpy()), p=True) if len(gain) else {})
        )
    return _corrected(pd.DataFrame(rows))


def _gap(short: pd.DataFrame, long: pd.DataFrame) -> pd.Series:
    """The mean over depths of each needle's difference, where it has both."""
    return (short - long).dropna(axis=1, how="all").dropna().mean(axis=1)


def _compared(exact: pd.Series, logp: pd.Series) -> dict[str, float]:
    """The columns of differences, needles as rows, in exact match and in log-probability."""
    hits = stats.paired_hits(exact.to_numpy(), np.zeros(len(exact)))
    nats = stats.mean(logp.to_numpy())
    return _within(_line("exact", hits, p=True), -1.0) | _line("logp_right", nats, p=True)


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """Adds Holm's p-values, over a model's rows."""
    return corrected(table, [c.removesuffix("_p") for c in table.columns if c.endswith("_p")])


# ---------------------------------------------------------------------- charts


READ = (
    "The start of the text is on top; the question stands at its end. Rows named absent are the"
    " same texts without the fact: what a model guesses. The gain is what the fact adds to the"
    " answer's log-probability; where it is 0, the model doesn't read it. Empty: not asked."
    f" {calibration_report.READ}"
)
MASKS = "as many as the answer has tokens, none after them"


def _grid(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The grid, its depths as text in the order of the picture, from below."""
    table = tables["grid"]
    place = table["depth"].where(table["depth"] != ABSENT, 101)
    rows = table.assign(place=place).sort_values(
        "place", ascending=False, kind="stable", ignore_index=True
    )
    depth = rows["depth"].map(lambda d: "absent" if d == ABSENT else f"{d:g}")
    return rows.assign(depth=depth)


def _gains(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = _grid(tables, frame)
    return table.dropna(subset=["logp_gain"]) if "logp_gain" in table else pd.DataFrame()


def _map(name: str, title: str, rows: Rows, fill: Axis, colours: HeatColours) -> Chart:
    return Chart(
        name,
        title,
        rows,
        "heat",
        Axis("context_length", "context (tokens)"),
        Axis("depth", "depth of the fact (%)"),
        fill=fill,
        panels=("model",),
        counts=(("n", "needles a cell"),),
        over="needles",
        colours=colours,
    )


CHARTS = (
    _map(
        "",
        "A fact among filler, asked for at the end: exact match",
        _grid,
        Axis("exact", "exact match (%)", 100, ends="exact"),
        HeatColours("viridis", ends=(0, 100), numbers=".0f"),
    ),
    _map(
        "gain",
        "What the fact adds to the answer's log-probability",
        _gains,
        Axis("logp_gain", "gained by the fact (nats)", ends="logp_gain"),
        HeatColours("purpleorange", centred=LEAST, numbers="+.1f"),
    ),
    _map(
        "logp",
        "The answer's log-probability",
        _grid,
        Axis("logp_right", "log-probability of the answer (nats)", ends="logp_right"),
        HeatColours("viridis", numbers=".1f"),
    ),
    *calibration.CHARTS,
)


# ---------------------------------------------------------------------- comparing


def gained(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of texts that hold the fact, with the `logp_gain` over the text that lacks it."""
    absent = frame[frame["depth"] == ABSENT].set_index([*ITEM, "context_length"])["logp_right"]
    held = frame[frame["depth"] != ABSENT].join(
        absent.rename("without"), on=[*ITEM, "context_length"]
    )
    return held.assign(logp_gain=held["logp_right"] - held["without"])


PAIRED = (
    Pairing(
        {
            "correct": Measure("exact match (points)", hits=True, scale=100, better="more"),
            "logp_right": Measure("log-probability of the answer (nats)", better="more"),
            "logp_gain": Measure("gained by the fact (nats)", better="more"),
        },
        item=("item",),
        by=("context_length", "depth"),
        rows=gained,
    ),
)
