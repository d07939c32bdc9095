"""Win rates of shifted answers against unshifted ones, and how a judge's verdicts hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import Tables, palette
from mdlm_probe.analysis.pairing import Measure, Pairing

LINE = ["judge", "model", "settings", "intervention"]
POINT = [*LINE, "frac"]
NUMBERS = ["frac", "identical", "score", "strength"]
WITHOUT = ("refused", "unparsable", "failed")
MARKS = "osD^vP"


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "winrate", and "trend" where there are several fractions.

    Raises:
        KeyError, ValueError: for rows that judging didn't write.
    """
    frame = frame.assign(**{name: pd.to_numeric(frame[name]) for name in NUMBERS})
    named = frame["settings"].astype(object)
    frame = frame.assign(
        settings=named.where(named.notna(), ""), prompt=frame["prompt"].astype(str)
    )
    found = {"winrate": winrate(frame)}
    if len(table := trend(frame)):
        found["trend"] = table
    return {name: _shown(table) for name, table in found.items()}


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table without its settings where there is but one way of decoding."""
    return table if table["settings"].astype(bool).any() else table.drop(columns="settings")


def of_prompts(frame: pd.DataFrame) -> pd.Series:
    """The score of each prompt: the mean over orders, then over seeds.

    No verdict in one of the orders: no score, since what is left would hold the order's bias.
    """
    by_pair = frame.groupby(["prompt", "seed"], sort=False)["score"]
    pairs = by_pair.mean()[by_pair.count() == by_pair.size()]
    return pairs.groupby(level="prompt", sort=False).mean()


def winrate(frame: pd.DataFrame) -> pd.DataFrame:
    """The share of shifted answers that win, ties as half, by judge, model, intervention, fraction.

    - winrate: the mean of the prompts' scores, with a 95 % interval over prompts, Student's with a
      win and a loss added by half (`stats.paired_hits`); `p` is the exact sign test of prompts'
      scores against a half, which counts signs only and is stricter than the interval; `p_holm` is
      corrected for all of a judge's tests of a model. A fraction of 0 tests nothing. `wins`, `ties`
      and `losses` count prompts (of `n`).
    - identical: pairs of equal texts, ties by definition.
    - refused, unparsable, failed: calls without a verdict.
    - flips: share of pairs, asked in both orders, that fare differently when the order changes,
      with Wilson's interval; `first`: share of verdicts, ties left out, for the text shown first.

    Source: two orders and five verdicts as in arXiv 2406.11939; units and tests ours.
    """
    rows = []
    for coordinates, part in frame.groupby(POINT, sort=False, dropna=False):
        scores = of_prompts(part).to_numpy()
        row = dict(zip(POINT, coordinates, strict=True)) | _mean(scores)
        row["p"] = row["p"] if row["frac"] > 0 else float("nan")
        row |= {"identical": int(part["identical"].sum())}
        row |= {kind: int((part["verdict"] == kind).sum()) for kind in WITHOUT}
        rows.append(row | _bias(part))
    for judge, model in {(row["judge"], row["model"]) for row in rows}:
        family = [row for row in rows if (row["judge"], row["model"]) == (judge, model)]
        for row, p in zip(family, stats.holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return pd.DataFrame(rows).sort_values(POINT, key=_order(frame), ignore_index=True)


def _order(frame: pd.DataFrame) -> Any:
    """Sorts names as they first appear, and fractions by size."""
    places = {name: {v: i for i, v in enumerate(frame[name].unique())} for name in LINE}
    return lambda column: column.map(places[column.name]) if column.name in places else column


def _mean(scores: np.ndarray) -> dict[str, Any]:
    if not len(scores):
        nan = float("nan")
        names = ("winrate", "winrate_low", "winrate_high", "p")
        return dict.fromkeys(names, nan) | dict.fromkeys(("n", "wins", "ties", "losses"), 0)
    found = stats.paired_hits(scores, 1 - scores)  # wins minus losses: twice as far from a half
    return {
        "winrate": (1 + found.mean) / 2,
        "winrate_low": (1 + found.low) / 2,
        "winrate_high": (1 + found.high) / 2,
        "p": found.p,
        "n": found.n,
        "wins": int((scores > 0.5).sum()),
        "ties": int((scores == 0.5).sum()),
        "losses": int((scores < 0.5).sum()),
    }


def _bias(part: pd.DataFrame) -> dict[str, float]:
    """What the order of the texts does to verdicts."""
    asked = part[part["order"] != "none"]
    # pairs are told apart by their place among a prompt's rows of one order
    asked = asked.assign(pair=asked.groupby(["prompt", "seed", "order"]).cumcount())
    asked = asked.dropna(subset="score")
    both = asked.pivot_table(index=["prompt", "seed", "pair"], columns="order", values="score")
    nan = float("nan")
    found = {"flips": nan, "flips_low": nan, "flips_high": nan, "first": nan}
    if {"first", "second"} <= set(both.columns) and len(both := both.dropna()):
        share = stats.proportion((both["first"] != both["second"]).to_numpy())
        found |= {"flips": share.mean, "flips_low": share.low, "flips_high": share.high}
    decided = asked[asked["score"] != 0.5]
    if len(decided):
        found["first"] = float(decided["verdict"].str.startswith("A>").mean())
    return found


def trend(frame: pd.DataFrame) -> pd.DataFrame:
    """How a win rate changes with the fraction: the least-squares slope, by 1 % of tokens.

    Every prompt that has a score at all fractions has a slope; the table has their mean with a
    bootstrap interval over prompts and `p`, its test by the same bootstrap. `sign_p` is the exact
    test of their signs, which tells nothing of their size. None is corrected. Source: ours.
    """
    rows = []
    for coordinates, part in frame.groupby(LINE, sort=False):
        by_frac = {100 * f: of_prompts(p) for f, p in part.groupby("frac")}
        scores = pd.DataFrame(by_frac).dropna()
        if len(by_frac) < 2 or not len(scores):
            continue
        x = np.array(scores.columns, dtype=float) - np.mean(scores.columns)
        slopes = scores.to_numpy() @ x / (x @ x)
        slopes[np.abs(slopes) < 1e-12] = 0.0  # what only rounding keeps from being flat
        found = stats.bootstrap(slopes[:, None], lambda means: means[..., 0])
        rows.append(
            dict(zip(LINE, coordinates, strict=True))
            | {"fractions": len(x), "slope": found.mean}
            | {"slope_low": found.low, "slope_high": found.high}
            | {"p": found.p, "sign_p": stats.paired_hits(slopes, np.zeros(len(slopes))).p}
            | {"n": found.n}
        )
    return pd.DataFrame(rows)


def figures(frame: pd.DataFrame, found: Tables | None = None) -> dict[str, Figure]:
    """ "": win rate against the fraction, a row for each judge and a panel for each model."""
    table = (found or tables(frame))["winrate"]
    table = table.assign(settings=table.get("settings", ""))
    judges = list(dict.fromkeys(map(tuple, table[["judge", "settings"]].to_numpy())))
    models, names = list(table["model"].unique()), list(table["intervention"].unique())
    size = (1.6 + 3.8 * max(len(models), 1.3), 1.6 + 2.9 * len(judges))
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(len(judges), len(models), sharex=True, sharey=True, squeeze=False)
    for (judge, settings), row in zip(judges, axes, strict=True):
        for model, axis in zip(models, row, strict=True):
            chosen = (table["judge"] == judge) & (table["model"] == model)
            if not len(part := table[chosen & (table["settings"] == settings)]):
                axis.set_axis_off()
                continue
            _panel(axis, part, names)
            ways = f"\n{settings}" if settings else ""
            axis.set_title(f"{model}, judge {judge}{ways}", size=10)
            axis.tick_params(labelbottom=True, labelleft=True)
            axis.set(xlabel="fraction of tokens (%)", ylabel="win rate (%)")
    lines = {
        line.get_label(): line
        for axis in axes.flat
        for line in (*axis.containers, *axis.lines)
        if not str(line.get_label()).startswith("_")
    }
    lines["as good as unshifted"] = lines.pop("as good as unshifted")  # last in the legend
    drawn.legend(
        lines.values(), lines.keys(), loc="outside lower center", ncols=1 + 2 * len(models)
    )
    title = "Shifted answers against unshifted ones, ties as half\nbars: 95 % over prompts"
    drawn.suptitle(title, size=11)
    return {"": drawn}


def _panel(axis: Axes, table: pd.DataFrame, names: list[str]) -> None:
    colours = palette(names)
    span = 100 * (table["frac"].max() - table["frac"].min()) or 1.0
    shown = [name for name in names if name in set(table["intervention"])]
    for number, name in enumerate(shown):
        curve = table[table["intervention"] == name]
        # side by side, so that bars at the same fraction don't hide each other
        x = 100 * curve["frac"] + 0.012 * span * (number - (len(shown) - 1) / 2)
        y = 100 * curve["winrate"]
        ends = (
            (100 * (curve["winrate"] - curve["winrate_low"])).clip(lower=0),
            (100 * (curve["winrate_high"] - curve["winrate"])).clip(lower=0),
        )
        axis.errorbar(
            *(x, y),
            yerr=np.nan_to_num(np.array(ends)),
            fmt=f"-{MARKS[names.index(name) % len(MARKS)]}",
            ms=4,
            lw=1.3,
            elinewidth=1,
            capsize=2,
            color=colours[name],
            label=name,
        )
    axis.axhline(50, color="grey", lw=1, ls=(0, (4, 3)), label="as good as unshifted")
    axis.set_ylim(-3, 103)
    axis.grid(alpha=0.25)


# ---------------------------------------------------------------------- comparing


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's score, at each intervention and fraction but 0, where all tie."""
    keys = ["judge", "task", "settings", "intervention", "frac"]
    frame = frame[pd.to_numeric(frame["frac"]) > 0]
    named = frame["settings"].astype(object)
    frame = frame.assign(settings=named.where(named.notna(), ""))
    parts = [
        of_prompts(part).rename("score").reset_index().assign(**dict(zip(keys, key, strict=True)))
        for key, part in frame.groupby(keys, sort=False)
    ]
    if not parts:
        return frame.assign(score=pd.to_numeric(frame["score"]))
    return pd.concat(parts, ignore_index=True)


PAIRED = (
    Pairing(
        {"score": Measure("win rate (points)", scale=100)},
        item=("task", "prompt"),
        by=("settings", "intervention", "frac"),
        rows=scored,
    ),
)
