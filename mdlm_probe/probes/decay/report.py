"""How marginals flatten with distance: curves, half-distances, homogenisation, and their limit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.frames import PROMPT_COLUMNS
from mdlm_probe.analysis.pairing import PROMPT_ITEM, Measure, Pairing
from mdlm_probe.probes.decay import zipf_fit
from mdlm_probe.probes.decay.half_distance import half
from mdlm_probe.probes.decay.homogenisation import (
    homogenisation,
    matrix,
    neighbouring,
    neighbours,
)
from mdlm_probe.probes.decay.predictability import over_tasks, predictability
from mdlm_probe.probes.decay.series import SERIES, SUFFIXES, band, columns, parts, wide

MEASURES = ("top1_prob", "entropy", "frequent_mass", "prompt_mass", "end_mass")
PRINTED = ("half", "over_tasks", "homogenisation", "limit", "prompts", "edge", "zipf")
SHOWN = 5
"""Tokens of the limit that the short table names."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "curve": every measure against distance; "half": where the largest probability halves;
    "homogenisation": from where neighbours are alike, and "neighbours", the curve behind it;
    "matrix": divergences of all pairs of the grid; "limit" and "tokens": what the far end is;
    "prompts": how far apart different prompts are at equal distance; "edge": what the end of the
    canvas does; "zipf": the law of next tokens; "predictability": half-distances beside entropies,
    and "over_tasks", their correlation.

    Raises:
        KeyError, ValueError: for rows that a decay run didn't write.
    """
    places, pairs = frame["places"], frame["pairs"]
    places[["place", "distance", *MEASURES]].apply(pd.to_numeric)
    pairs[["place", "distance", "js", "tv"]].apply(pd.to_numeric)
    near, top = neighbours(pairs), tokens(frame["tokens"], frame["far"])
    halves = half(places)
    beside = predictability(places, halves)
    found = {
        "curve": curve(places),
        "half": halves,
        "predictability": beside,
        "over_tasks": over_tasks(beside),
        "homogenisation": homogenisation(near),
        "neighbours": near,
        "matrix": matrix(pairs),
        "limit": limit(frame["far"], top),
        "tokens": top,
        "prompts": prompts(frame["prompts"]),
        "edge": edge(frame["edge"]),
        "zipf": zipf(frame["next-tokens"]),
    }
    # causal models have a curve only
    return {name: table for name, table in found.items() if len(table)}


def notes(frame: dict[str, pd.DataFrame]) -> list[str]:
    """Says of a model whose canvas has an end why it isn't known what that does."""
    far, near_end = frame["far"], frame["edge"]
    canvases = far[(far["context"] == "left") & (far["masks"] > 3)]
    measured = near_end[near_end["distance"] == near_end["masks"]]
    found = []
    for model, own in canvases.groupby("model", observed=True, sort=False):
        lacking = len(own) - int((measured["model"] == model).sum())
        if lacking > 0:
            found.append(
                f"what the end of {model}'s canvas does isn't known of {lacking} of {len(own)}"
                " prompts: a canvas a third longer doesn't fit its context, or the run is older"
            )
    return found


def curve(frame: pd.DataFrame) -> pd.DataFrame:
    """Means over prompts at every distance, with the t interval over them, and the theory.

    `bound` and `greedy` are means of the prompts' theory; `common` is the token that is most
    probable in most prompts, `common_share` how many. `top1_prob_se`, where continuations were
    sampled, is the share of the standard error that sampling alone makes.
    """
    found = []
    for named, part in parts(frame):
        by = part.groupby("distance", observed=True)
        table = pd.DataFrame({"distance": sorted(part["distance"].unique())})
        table["n"] = by[PROMPT_COLUMNS[-1]].nunique().to_numpy()
        for measure in MEASURES:
            values = wide(part, measure)
            if len(values):  # a tokenizer without an end of text has no mass there
                for suffix, ends in zip(SUFFIXES, band(values.to_numpy(), measure), strict=True):
                    table[f"{measure}{suffix}"] = ends
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


# ---------------------------------------------------------------------- limit


def limit(far: pd.DataFrame, top: pd.DataFrame) -> pd.DataFrame:
    """What the far end is like: means over prompts of their mean distributions there.

    `js` and `tv` are from the unigrams of the task's texts, with t intervals over prompts,
    which don't hold that few texts were counted: `js_halves`, between two halves of the texts, says
    how much that may be. With a large vocabulary it is most of `js`; give --frequent a list with
    counts then.
    `top_tokens` names the most probable ones of `top`, the table "tokens".
    """
    found = []
    for named, part in parts(far):
        line = named | {"n": len(part)}
        for measure in ("js", "tv"):
            line |= columns(part[measure].to_numpy(), measure)
        line["js_halves"] = part["js_halves"].astype(float).mean()
        means = part[list(MEASURES)].astype(float).mean()
        line |= {str(measure): mean for measure, mean in means.items()}
        own = top[(top[list(named)] == pd.Series(named)).all(axis=1)].head(SHOWN)
        words = (f"{t!r} {s:.1%}" for t, s in zip(own["token"], own["share"], strict=True))
        found.append(line | {"top_tokens": ", ".join(words)})
    return pd.DataFrame(found)


def tokens(frame: pd.DataFrame, far: pd.DataFrame) -> pd.DataFrame:
    """The far end's most probable tokens: mean shares over prompts, beside the unigrams.

    A prompt counts 0 for a token that isn't among those it wrote down, so that `share` is a little
    too small; `prompts_with` is how many had it there.
    """
    found = []
    totals = {tuple(named.values()): len(part) for named, part in parts(far)}
    for named, part in parts(frame):
        by = part.groupby("token_id", observed=True, sort=False)
        table = by.agg(
            token=("token_text", "first"),
            share=("share", "sum"),
            unigram=("unigram", "first"),
            prompts_with=("share", "size"),
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
    return _compared(frame, ["distance"])


def edge(frame: pd.DataFrame) -> pd.DataFrame:
    """What the end of the canvas does: the same masks in this canvas and in a longer one.

    `from_end` counts masks to the end, the last one is 1; `longer_masks` is the other canvas's.
    Divergences that aren't 0 are the end's doing. Means over prompts with t intervals.
    """
    table = _compared(frame, ["distance", "longer_masks"])
    if not len(table):
        return table
    table.insert(len(SERIES), "from_end", table["masks"] + 1 - table["distance"])
    return table.astype({"longer_masks": int})


def _compared(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    found = []
    for named, part in parts(frame, [*SERIES, *by]):
        line = named | {"n": len(part)}
        for measure in ("js", "tv"):
            line |= columns(part[measure].to_numpy(dtype=float), measure)
        found.append(line)
    return pd.DataFrame(found)


def zipf(frame: pd.DataFrame) -> pd.DataFrame:
    """Zipf's exponent of the model's own next tokens, beside the one that the bound assumes.

    `fitted` is the exponent of the one law that is nearest to those after all prompts, with the
    interval of what it is fitted by (`zipf_fit`), a mean over prompts; `misfit` is how far they are
    from it on average (KL, nats), `assumed` the bound's, of arXiv 2510.03289 if no other was asked.
    """
    found = []
    for named, part in parts(frame):
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
        kind="places",
        free=FREE,
    ),
    Pairing(
        {"js": Measure("divergence of neighbours (nats)")},
        item=PROMPT_ITEM,
        by=("context", "lag", "distance"),
        name="neighbours",
        kind="pairs",
        rows=neighbouring,
        free=FREE,
    ),
    Pairing(
        {"js": Measure("divergence from the unigrams (nats)")},
        item=PROMPT_ITEM,
        by=("context",),
        name="limit",
        kind="far",
        free=FREE,
    ),
)
