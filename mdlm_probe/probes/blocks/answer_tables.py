"""When the right answer is there, how unsure steps are, and accuracy against parallelism."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import grouped
from mdlm_probe.probes.blocks.columns import SPANS
from mdlm_probe.probes.blocks.equivalent import LEFT, SERIES, EquivalentCells

AR_NESS = tuple(f"{name}_ar_{k}" for k in SPANS for name in ("local", "global"))
HALF = 0.5
"""The share of the steps by which an answer may be there: as arXiv 2508.19982 counts it."""
ALPHA, TOLERATED = 3.0, 5.0
"""Of `aup`: how fast lost accuracy loses weight, and the points that may be lost at all."""


# ---------------------------------------------------------------------- when


def answers(frame: pd.DataFrame) -> pd.DataFrame:
    """When the right answer is there, of every model and combination, over prompts that have one.

    `predicted_half`: the prompts whose right answer is predicted for good by half of the steps, a
    share of all with Wilson's interval. `lost`: those predicted right in some step and answered
    wrongly, likewise. `predicted_share` and `written_share`: the share of the steps after which the
    right answer is predicted, and committed, for good: means over the `right_answers`, with the t
    interval. These are of other prompts in each line: compare lines by `predicted_half`.
    """
    if "steps_made" not in frame or frame["steps_made"].isna().all():
        return pd.DataFrame()
    known, found = with_shares(frame[frame["correct"].notna()]), []
    for named, part in grouped(known, SERIES) if len(known) else ():
        hit = part["correct"].astype(float).to_numpy()
        line = named | {"n": len(part)} | stats.proportion(hit).columns("correct")
        half = part["predicted_share"].to_numpy() <= HALF
        line |= stats.proportion(half).columns("predicted_half")
        lost = part["first_predicted"].notna().to_numpy() & (hit == 0)
        line |= stats.proportion(lost).columns("lost") | {"right_answers": int(hit.sum())}
        for name in ("predicted_share", "written_share"):
            line |= stats.mean(part[name].dropna().to_numpy()).within(0.0, 1.0).columns(name)
        found.append(line)
    return pd.DataFrame(found)


def with_shares(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the shares of steps after which the right answer was there; NaN: never."""
    made = frame["steps_made"].astype(float)
    names = {"predicted_step": "predicted_share", "written_step": "written_share"}
    shares = {
        share: frame[step].astype(float) / made if step in frame else np.nan
        for step, share in names.items()
    }
    return frame.assign(**shares)


# ---------------------------------------------------------------------- accuracy and parallelism


def aup(
    parallelism: Float[np.ndarray, "*any points"],
    accuracy: Float[np.ndarray, "*any points"],
    best: float,
) -> Float[np.ndarray, "*any"]:
    """Accuracy under parallelism, the area of arXiv 2601.07568 (d3LLM), AUP.

    Points in the order of parallelism; p1 a1 up to the first, and from there by trapezoids with
    each accuracy a weighted by exp(-3 (1 - a / best)), 1 at most. Points more than 5 points of
    accuracy below the first are left out.

    Args:
        parallelism: tokens per pass of each point.
        accuracy: of each, in percent.
        best: the accuracy that counts in full: of all methods compared.
    """
    order = np.argsort(parallelism, axis=-1, kind="stable")
    across = np.take_along_axis(parallelism, order, -1)
    up = np.take_along_axis(accuracy, order, -1)
    kept = up >= up[..., :1] - TOLERATED
    weighed = up * np.minimum(np.exp(-ALPHA * (1 - up / best)), 1.0) if best else 0 * up
    total = across[..., 0] * up[..., 0]
    last_across, last = across[..., 0], weighed[..., 0]
    for point in range(1, up.shape[-1]):
        here = kept[..., point]
        area = (across[..., point] - last_across) * (weighed[..., point] + last) / 2
        total = total + np.where(here, area, 0.0)
        last_across = np.where(here, across[..., point], last_across)
        last = np.where(here, weighed[..., point], last)
    return np.asarray(total)


def parallelism(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracy against parallelism as one number, of every model, length, block and order.

    A point for each number of steps; tokens of the answer (up to the end of text) per pass, and the
    exact match of the prompts that have a right answer. `aup` with the percentile bootstrap's
    interval over prompts; `most_correct`, the highest accuracy of all lines of a length, counts in
    full. Where fewer passes make no more tokens of an answer, there is nothing to gain.
    """
    known, found = frame[frame["correct"].notna()], []
    if not len(known):
        return pd.DataFrame()
    for _, rows in known.groupby("length", observed=True, sort=True):
        by = dict(iter(rows.groupby(SERIES, observed=True, sort=False)))
        best = 100 * max(float(part["correct"].astype(float).mean()) for part in by.values())
        for named, points in _curves(rows):
            wide = _side_by_side([by[at] for at in points])
            settings = len(points)
            if not len(wide):
                continue

            def area(m: np.ndarray, settings: int = settings, best: float = best) -> np.ndarray:
                tokens, passes, right = (m[..., n::3] for n in range(3))
                return aup(tokens[..., :settings] / passes, 100 * right, best)

            line = named | {"n": len(wide), "settings": settings, "most_correct": best / 100}
            means = wide.mean(axis=0)
            rates, right = means[0::3] / means[1::3], means[2::3]
            ends = {"slowest": int(np.argmin(rates)), "fastest": int(np.argmax(rates))}
            for name, at in ends.items():
                line |= {f"{name}_tokens": rates[at], f"{name}_correct": right[at]}
            found.append(line | stats.resampled(wide, area, (0.0, np.inf)).columns("aup"))
    return pd.DataFrame(found)


def _curves(rows: pd.DataFrame) -> Iterator[tuple[dict[str, Any], list[tuple[Any, ...]]]]:
    """Each model, length, block and order with the combinations that are its points, if several."""
    stands = EquivalentCells(rows)
    names = ["model", "length", "block", "order"]
    steps = sorted(rows["steps"].unique())
    for values in rows[names].drop_duplicates().itertuples(index=False, name=None):
        model, length, block, order = values
        at = [stands.of(model, length, block, count, order) for count in steps]
        points = list(dict.fromkeys(one for one in at if one))
        if len(points) > 1:
            yield dict(zip(names, values, strict=True)), points


def _side_by_side(parts: list[pd.DataFrame]) -> Float[np.ndarray, "prompts columns"]:
    """Tokens, passes and right of each part, by prompt: those prompts that all have."""
    names = ["answer_tokens", "passes", "correct"]
    wide = [part.set_index(["task", "prompt"])[names].astype(float) for part in parts]
    return pd.concat(wide, axis=1, join="inner").to_numpy()


# ---------------------------------------------------------------------- curves of the charts

GRID = tuple(range(0, 101, 5))
"""Percent of the steps at which curves are drawn."""


def curve_cells(frame: pd.DataFrame) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of a middle and the largest block, of each order, with `model`, `where`, `order`.

    Of each model's longest canvas and largest number of steps; from left to right, too.
    """
    stands = EquivalentCells(frame)
    by = dict(iter(frame.groupby(SERIES, observed=True, sort=False)))
    orders = sorted(set(frame["order"]), key=lambda order: (order != LEFT, order))
    for model, part in frame.groupby("model", observed=True, sort=False):
        part = part[part["length"] == part["length"].max()]
        length, steps = int(part["length"].max()), int(part["steps"].max())
        # in blocks of one step, and from left to right, there is nothing to compare
        free = part[(part["order"] != LEFT) & (part["steps"] == steps)]
        choice = sorted(free["block"].unique()) or [length]
        for size in dict.fromkeys((choice[(len(choice) - 1) // 2], choice[-1])):
            where = "one block" if size == length else f"blocks of {size}"
            for order in orders:
                if own := stands.of(str(model), length, int(size), steps, order):
                    yield {"model": model, "where": where, "order": order}, by[own]


def arrivals(frame: pd.DataFrame) -> pd.DataFrame:
    """The share of prompts whose right answer is there for good, by the share of steps made."""
    if "steps_made" not in frame or frame["steps_made"].isna().all():
        return pd.DataFrame()
    known, found = with_shares(frame[frame["correct"].notna()]), []
    for named, part in curve_cells(known) if len(known) else ():
        for name, what in (("predicted_share", "predicted"), ("written_share", "committed")):
            at = part[name].to_numpy(dtype=float)
            for percent in GRID:
                hits = stats.proportion(at <= percent / 100 + 1e-9)
                line = named | {"what": what, "made": percent, "n": len(part)}
                found.append(line | hits.columns("there"))
    return pd.DataFrame(found)


def entropies(frame: pd.DataFrame) -> pd.DataFrame:
    """The mean entropy of the masks left, by the share of steps made, over prompts."""
    if "state_entropy" not in frame or frame["state_entropy"].isna().all():
        return pd.DataFrame()
    found = []
    for named, part in curve_cells(frame):
        known = [[float(v) for v in text.split()] for text in part["state_entropy"].dropna()]
        known = [values for values in known if values]
        for percent in GRID if known else ():
            # after so many steps the next one's pass; after the last one none is left
            at = [own[min(percent * len(own) // 100, len(own) - 1)] for own in known]
            values = stats.amount(np.array(at))
            line = named | {"made": percent, "n": len(known)}
            found.append(line | values.columns("entropy_left"))
    return pd.DataFrame(found)
