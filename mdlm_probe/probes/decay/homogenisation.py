"""How alike marginals at different masks are, and from which distance on neighbours are."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis.frames import PROMPT_COLUMNS
from mdlm_probe.probes.decay.distances import before_edge
from mdlm_probe.probes.decay.series import SERIES, SUFFIXES, columns, parts

THRESHOLDS = (0.1, 0.01, 0.001)
"""Divergences, in nats, under which neighbours count as alike."""


def neighbours(frame: pd.DataFrame) -> pd.DataFrame:
    """Divergence between the distributions at distances d and d + lag, against d.

    Means over prompts with the t interval over them.
    """
    found = []
    for named, part in parts(neighbouring(frame), [*SERIES, "lag", "distance"]):
        line = named | {"n": part[PROMPT_COLUMNS[-1]].nunique()}
        for measure in ("js", "tv"):
            each = part.groupby(PROMPT_COLUMNS, observed=True)[measure].mean().to_numpy()
            line |= columns(each, measure)
        found.append(line)
    return pd.DataFrame(found)


def neighbouring(frame: pd.DataFrame) -> pd.DataFrame:
    """Pairs of masks whose distances from the text are `lag` apart."""
    far, near = _distance(frame, "other_place"), _distance(frame, "place")
    # with text on both sides, masks that are `lag` apart may be as far from the text
    lag = frame["lag"]
    return frame[(frame["other_place"] - frame["place"] == lag) & ((far - near).abs() == lag)]


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
    pairs = frame.astype({"place": int, "other_place": int})
    names = [*SERIES, "place", "other_place"]
    return pairs.groupby(names, observed=True, sort=False)[["js", "tv"]].mean().reset_index()
