"""The main figure of masks: what as many masks as a fifth of the prompt cost."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pandas as pd

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.headlines import Headline, HeadlineValue, first, of_models, over

SHARE = 0.2
"""Masks as a share of the prompt's tokens, as in arXiv 2511.21338."""
CONTEXT = ["shots", "distractors"]


def _distraction(tables: Tables, frame: pd.DataFrame, measure: str) -> Iterator[HeadlineValue]:
    plain = frame[frame["filler"] == "none"]
    prompts = plain.groupby(["model", *CONTEXT], observed=True)["tokens"].mean()
    for model, curve in of_models(tables.get("curve")):
        masks = curve[(curve["filler"] == "mask") & (curve["steps"] == 1)]
        if not (masks["appended"] > 0).any():
            yield HeadlineValue(model, reason="no masks were appended to its prompts")
            continue
        at = first(masks)
        own = masks[(masks[[*CONTEXT, "side"]] == pd.Series(at)[[*CONTEXT, "side"]]).all(axis=1)]
        asked = own[own["appended"] > 0]
        tokens = prompts.get((model, *(at[name] for name in CONTEXT)))
        if not (own["appended"] == 0).any() or tokens is None:
            yield HeadlineValue(model, reason="it wasn't asked without masks (--masks 0)")
            continue
        shares = asked["appended"] / tokens
        row = asked.loc[(shares - SHARE).abs().idxmin()]
        changes = tables["changes"]
        same = [*CONTEXT, "filler", "side", "steps", "amount", "model"]
        lines = changes[(changes[same] == row[same]).all(axis=1)]
        if not len(lines):  # an unfinished run: no item has both
            continue
        line = first(lines)
        units = "items" if line["units"] == line["n"] else "relevant tasks"
        setting = (
            f"{row['appended']:.4g} masks ({100 * shares[row.name]:.0f} % of the prompt),"
            f" {at['side']}; {at['shots']} shots, {at['distractors']} distractors"
        )
        yield over(line, measure, -1, line["units"], units, setting)


COSTS = "without masks minus with that number of them nearest to 20 % of the prompt's tokens"
HEADLINES = (
    Headline(
        "distraction",
        f"accuracy {COSTS}",
        "appended masks {way} accuracy by {value}",
        "points",
        partial(_distraction, measure="accuracy_points"),
        ways=("lower", "raise"),
        better="less",
    ),
    Headline(
        "distraction p_right",
        f"probability of the right answer {COSTS}",
        "appended masks {way} the probability of the right answer by {value}",
        "points",
        partial(_distraction, measure="p_right_points"),
        ways=("lower", "raise"),
        better="less",
    ),
)
