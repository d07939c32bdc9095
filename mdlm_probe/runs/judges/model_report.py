"""Models against each other: win rates of pairs, strengths, and what a judge makes of length."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart, at
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.runs.judges.verdict_stats import line_of, mean_score, of_prompts

PAIR = ["judge", "model", "against"]


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables of verdicts on models, by name: "models", "strength" and "length"; and "tasks",
    where there are several."""
    found = {"models": models(frame), "tasks": tasks(frame), "strength": strength(frame)}
    found["length"] = length(frame)
    return {name: table for name, table in found.items() if len(table)}


def scores_of(frame: pd.DataFrame) -> pd.DataFrame:
    """A line for each pair of models and prompt: the score of `model`, and how lengths differ.

    `longer` is tanh(d / s): d is by how many characters the answer of `model` is longer, a prompt's
    mean over seeds, and s the root mean square of all d of the judge. So answers that are a little
    longer count by their length, and much longer ones all alike. Source: the form of AlpacaEval 2's
    control (arXiv 2404.04475), without its term for how hard a prompt is.
    """
    parts = []
    for at_pair, part in frame.groupby(PAIR, sort=False):
        gap = part["characters"] - part["against_characters"]
        gaps = gap.groupby(part["prompt"], sort=False).mean()
        found = pd.DataFrame({"win": of_prompts(part)})
        found["gap"] = gaps
        for name, value in zip(PAIR, at_pair, strict=True):
            found[name] = str(value)
        parts.append(found.reset_index())
    whole = pd.concat(parts, ignore_index=True)
    size = (whole["gap"] ** 2).groupby(whole["judge"]).transform("mean") ** 0.5
    return whole.assign(longer=np.tanh((whole["gap"] / size).fillna(0.0)))


def models(frame: pd.DataFrame) -> pd.DataFrame:
    """How often a model's answer is better than another's, by judge and pair of models.

    - winrate to follows: as in `report.winrate`, of `model` against `against`; `p_holm` is
      corrected for all pairs of a judge.
    - equal_length: the win rate that answers of equal length would have, with its interval: by a
      logistic regression of the prompts' scores on a constant and `longer` (see `scores_of`), of
      this pair alone, at `longer` = 0. Empty where every prompt was won, or lost, or where length
      foretells every result.
    """
    rows = []
    scored = scores_of(frame)
    for coordinates, part in frame.groupby(PAIR, sort=False):
        named: dict[str, Any] = dict(zip(PAIR, coordinates, strict=True))
        own = scored[(scored[PAIR] == list(coordinates)).all(axis=1)]
        rows.append(named | line_of(part, named["judge"]) | _equal_length(own))
    for judge in {row["judge"] for row in rows}:
        family = [row for row in rows if row["judge"] == judge]
        for row, p in zip(family, stats.holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return pd.DataFrame(rows)


def tasks(frame: pd.DataFrame) -> pd.DataFrame:
    """The win rates of pairs of models by task, such as Arena-Hard's; none where there is one.

    Their tests `p` are of one task each, and not corrected: they are for where to look.
    """
    if frame["task"].nunique() < 2:
        return pd.DataFrame()
    rows = []
    for coordinates, part in frame.groupby([*PAIR, "task"], sort=False):
        named: dict[str, Any] = dict(zip([*PAIR, "task"], coordinates, strict=True))
        rows.append(named | mean_score(of_prompts(part).to_numpy()))
    return pd.DataFrame(rows)


def _equal_length(scored: pd.DataFrame) -> dict[str, float]:
    """The win rate at equal lengths of one pair of models."""
    pairs = np.tile([0, 1], (len(scored), 1))
    found = stats.bradley_terry(
        pairs, scored["win"].to_numpy(), list(scored["prompt"]), scored["longer"].to_numpy()
    )
    if not found.models or not math.isfinite(found.models[0].mean):
        return dict.fromkeys(("equal_length", "equal_length_low", "equal_length_high"), math.nan)
    first = found.models[0].times(2)  # strengths are around their mean: the other has as much less
    values = (1 / (1 + math.exp(-value)) for value in (first.mean, first.low, first.high))
    names = ("equal_length", "equal_length_low", "equal_length_high")
    return dict(zip(names, values, strict=True))


def _by_judge(
    frame: pd.DataFrame,
) -> Iterator[tuple[Any, pd.DataFrame, list[str], np.ndarray[Any, Any]]]:
    """Of each judge its scored prompts, the models' names, and each line's pair as numbers."""
    scored = scores_of(frame)
    for judge, part in scored.groupby("judge", sort=False):
        names = list(dict.fromkeys([*part["model"], *part["against"]]))
        places = {name: place for place, name in enumerate(names)}
        pairs = np.column_stack([part["model"].map(places), part["against"].map(places)])
        yield judge, part, names, pairs


def strength(frame: pd.DataFrame) -> pd.DataFrame:
    """Bradley-Terry strengths of the models that a judge compared, the strongest first.

    - strength: in logits around the models' mean, with a 95 % interval over prompts
      (`stats.bradley_terry`); of two models the difference is the logit of the win rate. inf: none
      of those that it was compared with ever won against it, not even by way of others; -inf: it
      never won.
    - equal_length_strength: the same at equal lengths, `longer` of `scores_of` being in the
      regression of all pairs; empty where length, or a model, foretells every result.
    - n: prompts.
    """
    rows = []
    for judge, part, names, pairs in _by_judge(frame):
        win, units = part["win"].to_numpy(), list(part["prompt"])
        plain = stats.bradley_terry(pairs, win, units)
        equal = stats.bradley_terry(pairs, win, units, part["longer"].to_numpy())
        own = [
            {"judge": judge, "model": name}
            | one.columns("strength")
            | other.columns("equal_length_strength")
            | {"n": part["prompt"].nunique()}
            for name, one, other in zip(names, plain.models, equal.models, strict=False)
        ]
        # equally strong ones, but for rounding, stay in their order
        rows += sorted(own, key=lambda row: -round(row["strength"], 9))
    return pd.DataFrame(rows)


def length(frame: pd.DataFrame) -> pd.DataFrame:
    """What length does to a judge's verdicts.

    - longer_wins: the share of prompts with a winner, and answers of different lengths, that the
      longer answer won, with an interval over prompts (`stats.share_over`); of `decided`.
    - length_effect: what one more of `longer` adds to the logit of winning, the models' strengths
      being held equal, with its interval and t test `length_p` over prompts; inf: the longer answer
      won whenever anything did.
    """
    rows = []
    for judge, part, _, pairs in _by_judge(frame):
        decided = part[(part["win"] != 0.5) & (part["gap"] != 0)]
        hits = ((decided["win"] > 0.5) == (decided["gap"] > 0)).to_numpy()
        share = stats.share_over(hits, decided["prompt"].to_numpy())
        found = stats.bradley_terry(
            pairs, part["win"].to_numpy(), list(part["prompt"]), part["longer"].to_numpy()
        ).covariate
        effect = found or stats.Estimate(math.nan, math.nan, math.nan, 0)
        rows.append(
            {"judge": judge}
            | share.columns("longer_wins")
            | {"decided": len(decided)}
            | effect.columns("length_effect")
            | {"length_p": effect.p, "n": part["prompt"].nunique()}
        )
    return pd.DataFrame(rows)


def notes(frame: pd.DataFrame) -> list[str]:
    """Judges that go by length, and models that won or lost everything."""
    found = []
    for row in length(frame).to_dict("records"):
        if row["longer_wins_low"] > 0.5 and not row["length_effect_low"] <= 0:
            found.append(
                f"{row['judge']}: the longer answer wins {row['longer_wins']:.0%} of what is"
                " decided, for its length or for what it says; compare win rates at equal length"
            )
        if row["length_effect"] == math.inf:
            found.append(
                f"{row['judge']} gave every win to the longer answer, so that its win rates say"
                " nothing beside length"
            )
    for row in strength(frame).to_dict("records"):
        if math.isinf(row["strength"]):
            above = row["strength"] > 0
            told = "never lost to a weaker model" if above else "never won against a stronger one"
            found.append(f"{row['judge']}: {row['model']} {told}: its strength is infinite")
    return found


# ---------------------------------------------------------------------- charts


def _pairs(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables.get("models", pd.DataFrame(columns=[*PAIR, "winrate"]))
    plain = table.assign(over_length="as judged")
    equal = table.assign(
        over_length="at equal length",
        **{f"winrate{end}": table.get(f"equal_length{end}") for end in ("", "_low", "_high")},
    )
    return pd.concat([plain, equal], ignore_index=True)


def _strengths(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables.get("strength", pd.DataFrame(columns=["judge", "model", "strength"]))
    return table[np.isfinite(table["strength"].astype(float))]


CHARTS = (
    Chart(
        "models",
        "Win rate of a model against another, ties as half",
        _pairs,
        "interval",
        Axis("winrate", "win rate (%)", 100, ends="winrate"),
        Axis("against", "against"),
        colour="over_length",
        panels=("judge", "model"),
        names=(("over_length", ""),),
        counts=(("n", "prompts"),),
        more=("wins", "ties", "losses", "follows"),
        over="prompts",
        layers=(at("as good as each other", winrate=0.5),),
        note="At equal length: by a logistic regression on the difference of lengths.",
    ),
    Chart(
        "strength",
        "Bradley-Terry strength of models, ties as half",
        _strengths,
        "interval",
        Axis("strength", "strength (logits)", ends="strength"),
        Axis("model", "model"),
        panels=("judge",),
        counts=(("n", "prompts"),),
        over="prompts",
        layers=(at("the models' mean", strength=0.0),),
        note="0.69 logits more: the stronger wins two of three. Infinite strengths aren't drawn.",
    ),
)
