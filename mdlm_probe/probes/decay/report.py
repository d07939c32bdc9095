"""How marginals flatten with distance: curves, half-distances, homogenisation, and their limit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import PROMPT_COLUMNS, grouped
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.probes.decay import zipf_fit
from mdlm_probe.probes.decay.distances import before_edge, in_middle

SERIES = ["model", "context", "masks", "task"]
MEASURES = ("top1_prob", "entropy", "frequent_mass", "prompt_mass", "end_mass")
SUFFIXES = ("", "_low", "_high")
PRINTED = ("half", "homogenisation", "limit", "prompts", "edge", "zipf")
THRESHOLDS = (0.1, 0.01, 0.001)
"""Divergences, in nats, under which neighbours count as alike."""
MOST = {"js": np.log(2), "entropy": np.inf}
"""Where a measure ends; others end at 1, and all begin at 0."""
SHOWN = 5
"""Tokens of the limit that the short table names."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "curve": every measure against distance; "half": where the largest probability halves;
    "homogenisation": from where neighbours are alike, and "neighbours", the curve behind it;
    "matrix": divergences of all pairs of the grid; "limit" and "tokens": what the far end is;
    "prompts": how far apart different prompts are at equal distance; "edge": what the end of the
    canvas does; "zipf": the law of next tokens.

    Raises:
        KeyError, ValueError: for rows that a decay run didn't write.
    """
    frame[["place", "distance", *MEASURES, "js", "tv"]].apply(pd.to_numeric)
    near = neighbours(frame)
    found = {
        "curve": curve(frame),
        "half": half(frame),
        "homogenisation": homogenisation(near),
        "neighbours": near,
        "matrix": matrix(frame),
        "limit": limit(frame),
        "tokens": tokens(frame),
        "prompts": prompts(frame),
        "edge": edge(frame),
        "zipf": zipf(frame),
    }
    # causal models have a curve only
    return {name: table for name, table in found.items() if len(table)}


def notes(frame: pd.DataFrame) -> list[str]:
    """Says of a model whose canvas has an end why it isn't known what that does."""
    canvases = frame[(frame["unit"] == "far") & (frame["context"] == "left") & (frame["masks"] > 3)]
    measured = frame[(frame["unit"] == "edge") & (frame["distance"] == frame["masks"])]
    found = []
    for model, own in canvases.groupby("model", observed=True, sort=False):
        lacking = len(own) - int((measured["model"] == model).sum())
        if lacking > 0:
            found.append(
                f"what the end of {model}'s canvas does isn't known of {lacking} of {len(own)}"
                " prompts: a canvas a third longer doesn't fit its context, or the run is older"
            )
    return found


def _parts(
    frame: pd.DataFrame, unit: str, names: list[str] = SERIES
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of a unit in groups, in order of appearance, each with its coordinates by name."""
    rows = frame[frame["unit"] == unit]
    yield from grouped(rows, names)


def _wide(part: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Prompts as rows, distances as columns; sides of a span that are equally far are averaged."""
    return part.pivot_table(index=PROMPT_COLUMNS, columns="distance", values=measure, observed=True)


def _band(values: np.ndarray, measure: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means of columns with the t interval over rows, cut at what the measure can be."""
    means, low, high = stats.means(values)
    return means, np.maximum(low, 0.0), np.minimum(high, MOST.get(measure, 1.0))


def _line(values: np.ndarray, measure: str) -> dict[str, float]:
    """The columns of a mean over prompts and its interval."""
    ends = _band(values[:, None], measure)
    return {f"{measure}{suffix}": float(e[0]) for suffix, e in zip(SUFFIXES, ends, strict=True)}


def curve(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over prompts at every distance, with the t interval over them, and the theory.

    `bound` and `greedy` are means of the prompts' theory; `common` is the token that is most
    probable in most prompts, `common_share` how many. `top1_prob_se`, where continuations were
    sampled, is the share of the standard error that sampling alone makes.
    """
    found = []
    for named, part in _parts(frame, "place"):
        by = part.groupby("distance", observed=True)
        table = pd.DataFrame({"distance": sorted(part["distance"].unique())})
        table["n"] = by[PROMPT_COLUMNS[-1]].nunique().to_numpy()
        for measure in MEASURES:
            wide = _wide(part, measure)
            if len(wide):  # a tokenizer without an end of text has no mass there
                for suffix, values in zip(SUFFIXES, _band(wide.to_numpy(), measure), strict=True):
                    table[f"{measure}{suffix}"] = values
        for name in ("bound", "greedy"):
            table[name] = by[name].mean().to_numpy()
        if part["top1_se"].notna().any():
            errors = by["top1_se"].agg(lambda se: np.sqrt((se**2).sum()) / len(se))
            table["top1_prob_se"] = errors.to_numpy()
        most = by["top"].agg(lambda top: top.value_counts().index[0])
        table["common"] = most.to_numpy()
        shares = by["top"].agg(lambda top: top.value_counts(normalize=True).iloc[0])
        table["common_share"] = shares.to_numpy()
        for place, (name, value) in enumerate(named.items()):
            table.insert(place, name, value)
        found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


# ---------------------------------------------------------------------- half-distance


def half(frame: pd.DataFrame) -> pd.DataFrame:
    """Where the mean largest probability is halfway from its first value to its far end.

    `first` is at distance 1, `far` the mean over the middle half of the canvas; the last quarter
    before the canvas's end, which predicts otherwise, isn't looked at. `half` is where
    the mean curve first falls to their middle, between distances on a straight line, with a
    bootstrap interval over prompts. `settled` is the distance from which on the curve stays under
    that middle: much larger where texts have fixed frames, whose curve swings. `halved` is where it
    first falls to half of `first`, with an interval likewise; empty where it never does. An
    interval is open at its end where samples of the prompts don't fall. Source: ours.
    """
    found = []
    for named, part in _parts(frame, "place"):
        wide = _wide(part, "top1_prob").dropna()
        if not len(wide) or wide.shape[1] < 2:
            continue
        canvas = named["masks"], named["context"]
        wide = wide.loc[:, before_edge(wide.columns.to_numpy(), *canvas)]
        steps, values = wide.columns.to_numpy(dtype=float), wide.to_numpy()
        means, middle = values.mean(axis=0), in_middle(steps, *canvas)
        if not middle.any():
            continue
        far = float(means[middle].mean())
        line = named | {"n": len(wide), "first": means[0], "far": far}
        line |= _where("half", values, partial(halfway, steps=steps, middle=middle))
        under = np.logical_and.accumulate((means <= (means[0] + far) / 2)[::-1])[::-1]
        line["settled"] = steps[under][0] if under.any() and far < means[0] else float("nan")
        found.append(line | _where("halved", values, partial(halved, steps=steps)))
    return pd.DataFrame(found)


NEVER = 1e12
"""Stands for a distance that isn't reached, so that it sorts behind all others."""


def _where(
    name: str, values: np.ndarray, place: Callable[[np.ndarray], np.ndarray]
) -> dict[str, float]:
    """A distance with its bootstrap interval; an end that isn't reached is open (infinite)."""
    found = stats.resampled(values, lambda means: np.nan_to_num(place(means), nan=NEVER))
    reached = found.mean if found.mean < NEVER else float("nan")
    low, high = (end if not end > NEVER / 1e3 else float("inf") for end in (found.low, found.high))
    return {name: reached, f"{name}_low": low, f"{name}_high": high}


def halfway(means: np.ndarray, steps: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Where curves are halfway down to the mean of the distances in the middle of the canvas.

    From [..., distances] to [...]; NaN where they don't go down.
    """
    first, far = means[..., 0], means[..., middle].mean(axis=-1)
    return np.where(far < first, _falls(means, (first + far) / 2, steps), np.nan)


def halved(means: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where curves are at half of their first value: [..., distances] to [...], or NaN."""
    return _falls(means, means[..., 0] / 2, steps)


def _falls(means: np.ndarray, to: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where curves first fall to a value, NaN where they don't."""
    to = np.asarray(to)
    below = means <= to[..., None]
    after = np.maximum(below.argmax(axis=-1), 1)
    y = np.take_along_axis(means, np.stack([after - 1, after], axis=-1), axis=-1)
    drop = y[..., 0] - y[..., 1]
    share = np.clip((y[..., 0] - to) / np.where(drop > 0, drop, 1.0), 0.0, 1.0)
    at = steps[after - 1] + share * (steps[after] - steps[after - 1])
    return np.where(below.any(axis=-1), np.where(below[..., 0], steps[0], at), np.nan)


# ---------------------------------------------------------------------- homogenisation


def neighbours(frame: pd.DataFrame) -> pd.DataFrame:
    """Divergence between the distributions at distances d and d + lag, against d.

    Means over prompts with the t interval over them.
    """
    found = []
    for named, part in _parts(_apart(frame), "pair", [*SERIES, "lag", "distance"]):
        line = named | {"n": part[PROMPT_COLUMNS[-1]].nunique()}
        for measure in ("js", "tv"):
            each = part.groupby(PROMPT_COLUMNS, observed=True)[measure].mean().to_numpy()
            line |= _line(each, measure)
        found.append(line)
    return pd.DataFrame(found)


def _apart(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of masks whose distances from the text are `lag` apart."""
    pairs = frame[frame["unit"] == "pair"]
    far, near = _distance(pairs, "other"), _distance(pairs, "place")
    # with text on both sides, masks that are `lag` apart may be as far from the text
    apart = (pairs["other"] - pairs["place"] == pairs["lag"]) & ((far - near).abs() == pairs["lag"])
    return pairs[apart]


def _distance(frame: pd.DataFrame, place: str) -> pd.Series:
    """Of the masks in a column, tokens to the nearest visible one."""
    at, mirrored = frame[place], frame["masks"] + 1 - frame[place]
    return at.where((frame["context"] == "left") | (at < mirrored), mirrored)


def homogenisation(near: pd.DataFrame) -> pd.DataFrame:
    """The distance from which on neighbours are alike, by the mean divergence and its interval.

    `below_X`: the least distance of the grid from which on the mean stays under X nats; empty where
    it never does. `_low` and `_high` are the same of the interval's ends. `last` is the divergence
    at the farthest distance asked. Masks in the last quarter before the canvas's end don't count.
    """
    found = []
    if len(near):
        near = near[before_edge(near["distance"], near["masks"], near["context"])]
    if not len(near):
        return pd.DataFrame()
    names = [*SERIES, "lag"]
    for key, part in near.groupby(names, observed=True, sort=False):
        part = part.sort_values("distance")
        line = dict(zip(names, key, strict=True)) | {"n": part["n"].min()}
        for threshold in THRESHOLDS:
            for suffix in SUFFIXES:
                alike = part[f"js{suffix}"].to_numpy() < threshold
                stays = np.logical_and.accumulate(alike[::-1])[::-1]
                at = part["distance"].to_numpy()[stays]
                line[f"below_{threshold:g}{suffix}"] = at[0] if len(at) else float("nan")
        found.append(line | {"last": part["js"].iloc[-1]})
    return pd.DataFrame(found)


def matrix(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean divergences (js in nats) and total variations of every pair of masks compared."""
    pairs = frame[frame["unit"] == "pair"].astype({"place": int, "other": int})
    names = [*SERIES, "place", "other"]
    return pairs.groupby(names, observed=True, sort=False)[["js", "tv"]].mean().reset_index()


# ---------------------------------------------------------------------- limit


def limit(frame: pd.DataFrame) -> pd.DataFrame:
    """What the far end is like: means over prompts of their mean distributions there.

    `js` and `tv` are from the unigrams of the task's texts, with t intervals over prompts,
    which don't hold that few texts were counted: `js_halves`, between two halves of the texts, says
    how much that may be. With a large vocabulary it is most of `js`; give --frequent a list with
    counts then.
    `tokens` names the most probable ones; "tokens" has them all.
    """
    found = []
    named_tokens = tokens(frame)
    for named, part in _parts(frame, "far"):
        line = named | {"n": len(part)}
        for measure in ("js", "tv"):
            line |= _line(part[measure].to_numpy(), measure)
        line["js_halves"] = part["js_halves"].astype(float).mean()
        means = part[list(MEASURES)].astype(float).mean()
        line |= {str(measure): mean for measure, mean in means.items()}
        own = (named_tokens[list(named)] == pd.Series(named)).all(axis=1)
        top = named_tokens[own].head(SHOWN)
        words = (f"{t!r} {s:.1%}" for t, s in zip(top["token"], top["share"], strict=True))
        found.append(line | {"tokens": ", ".join(words)})
    return pd.DataFrame(found)


def tokens(frame: pd.DataFrame) -> pd.DataFrame:
    """The far end's most probable tokens: mean shares over prompts, beside the unigrams.

    A prompt counts 0 for a token that isn't among those it wrote down, so that `share` is a little
    too small; `prompts` is how many had it there.
    """
    found = []
    totals = {tuple(named.values()): len(part) for named, part in _parts(frame, "far")}
    for named, part in _parts(frame, "token"):
        by = part.groupby("top_id", observed=True, sort=False)
        table = by.agg(
            token=("top", "first"),
            share=("share", "sum"),
            unigram=("unigram", "first"),
            prompts=("share", "size"),
        ).reset_index(drop=True)
        table["share"] /= totals[tuple(named.values())]
        table = table.sort_values("share", ascending=False, ignore_index=True)
        for place, (name, value) in enumerate(named.items()):
            table.insert(place, name, value)
        found.append(table)
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


# ---------------------------------------------------------------------- other canvases


def prompts(frame: pd.DataFrame) -> pd.DataFrame:
    """How far apart the distributions after different prompts are, at equal distance from them.

    The conjecture of arXiv 2510.03289 in its strong form: far from the text they are almost the
    same, whatever it says. Means over prompts with t intervals; each is compared with the next of
    its task, so that neighbouring pairs share a prompt.
    """
    return _compared(frame, "prompts", ["distance"])


def edge(frame: pd.DataFrame) -> pd.DataFrame:
    """What the end of the canvas does: the same masks in this canvas and in a longer one.

    `from_end` counts masks to the end, the last one is 1; `longer` is the other canvas's masks.
    Divergences that aren't 0 are the end's doing. Means over prompts with t intervals.
    """
    table = _compared(frame, "edge", ["distance", "other"])
    if not len(table):
        return table
    table.insert(len(SERIES), "from_end", table["masks"] + 1 - table["distance"])
    return table.astype({"other": int}).rename(columns={"other": "longer"})


def _compared(frame: pd.DataFrame, unit: str, by: list[str]) -> pd.DataFrame:
    found = []
    for named, part in _parts(frame, unit, [*SERIES, *by]):
        line = named | {"n": len(part)}
        for measure in ("js", "tv"):
            line |= _line(part[measure].to_numpy(dtype=float), measure)
        found.append(line)
    return pd.DataFrame(found)


def zipf(frame: pd.DataFrame) -> pd.DataFrame:
    """Zipf's exponent of the model's own next tokens, beside the one that the bound assumes.

    `fitted` is the exponent of the one law that is nearest to those after all prompts, with the
    interval of what it is fitted by (`zipf_fit`), a mean over prompts; `misfit` is how far they are
    from it on average (KL, nats), `assumed` the bound's, of arXiv 2510.03289 if no other was asked.
    """
    found = []
    for named, part in _parts(frame, "zipf"):
        ranks, support = stats.mean(part["log_rank"].to_numpy(dtype=float)), part["support"].max()
        most = ranks.within(0.0, np.inf)
        steps = {"": ranks.mean, "_low": most.high, "_high": most.low}  # it falls as ranks rise
        line = named | {"n": len(part)}
        for end, value in steps.items():
            known = not np.isnan(value)
            fitted = zipf_fit.exponent(value, int(support)) if known else float("nan")
            line[f"fitted{end}"] = fitted
        means = zipf_fit.RankedTokens(ranks.mean, part["entropy"].mean(), int(support))
        line["misfit"] = zipf_fit.misfit(means, line["fitted"])
        found.append(line | {"assumed": part["exponent"].mean()})
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- comparing


def flattened(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's measures at each distance."""
    return frame[frame["unit"] == "place"]


def alike(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's divergence between distances d and d + lag."""
    return _apart(frame)


def ended(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's far end."""
    return frame[frame["unit"] == "far"]


FREE = ("memory", "exponent", "ranks", "floor")
PAIRED = (
    Pairing(
        {
            "top1_prob": Measure("largest probability (points)", scale=100),
            "entropy": Measure("entropy (nats)"),
            "frequent_mass": Measure("mass of frequent tokens (points)", scale=100),
            "prompt_mass": Measure("mass of the prompt's tokens (points)", scale=100),
            "end_mass": Measure("mass of end of text (points)", scale=100),
        },
        item=PROMPT_ITEM,
        by=("context", "distance"),
        rows=flattened,
        free=FREE,
    ),
    Pairing(
        {"js": Measure("divergence of neighbours (nats)")},
        item=PROMPT_ITEM,
        by=("context", "lag", "distance"),
        name="neighbours",
        rows=alike,
        free=FREE,
    ),
    Pairing(
        {"js": Measure("divergence from the unigrams (nats)")},
        item=PROMPT_ITEM,
        by=("context",),
        name="limit",
        rows=ended,
        free=FREE,
    ),
)
