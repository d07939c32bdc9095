"""How far the judges of the same pairs agree, people among them."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.runs.judges.columns import PEOPLE

ITEM = ["model", "against", "settings", "intervention", "frac", "prompt", "seed"]
ALL = "all people"


def agreement(frame: pd.DataFrame) -> pd.DataFrame:
    """How far judges agree on who won, where a person is among them; else no rows.

    - judge, other: two judges; or "all people", where there are three or more, and their number.
    - agree: the share of `pairs` that both judged, and gave to the same answer or both called a
      tie; a judge who was asked in both orders is heard by the mean of the two.
    - kappa: the same beyond chance, with an interval over prompts: Cohen's of two judges, Fleiss'
      of all people, on what all of them judged.
    """
    judges = list(dict.fromkeys(frame["judge"]))
    people = [name for name in judges if str(name).startswith(PEOPLE)]
    if not people or len(judges) < 2:
        return pd.DataFrame()
    known = frame.assign(against=frame["against"].fillna("")) if "against" in frame else frame
    names = [name for name in ITEM if name in known]
    told = known[known["verdict"].notna() & (known["identical"] == 0)]
    groups = told.groupby(["judge", *names], sort=False)["win"]
    means = groups.mean()[groups.count() == groups.size()]
    won = pd.DataFrame({judge: _of(means, judge) for judge in judges})
    rows = []
    for one, other in combinations(judges, 2):
        both = won[[one, other]].dropna()
        first, second = (both[name].to_numpy(dtype=int) for name in (one, other))
        found = stats.cohen_kappa(first, second, _prompts(both))
        rows.append(_row(one, other, first == second, found))
    if len(people) > 2:
        every = won[people].dropna()
        ratings = every.to_numpy(dtype=int)
        alike = (ratings == ratings[:, :1]).all(axis=1)
        found = stats.fleiss_kappa(ratings, _prompts(every))
        rows.append(_row(ALL, str(len(people)), alike, found))
    return pd.DataFrame(rows)


def _of(means: pd.Series, judge: str) -> pd.Series:
    """Of each pair that a judge judged: 0, the first answer lost; 1, a tie; 2, it won."""
    if judge not in means.index.get_level_values("judge"):
        return pd.Series(dtype=float)
    own: pd.Series = means.xs(judge, level="judge")
    found: pd.Series = 1.0 + (own > 0.5) - (own < 0.5)
    return found


def _prompts(items: pd.DataFrame) -> list[object]:
    return list(items.index.get_level_values("prompt"))


def _row(one: str, other: str, alike: np.ndarray, kappa: stats.Estimate) -> dict[str, object]:
    share = float(alike.mean()) if len(alike) else float("nan")
    named = {"judge": one, "other": other, "pairs": len(alike), "agree": share}
    return named | kappa.columns("kappa") | {"n": kappa.n}
