"""Judging on the page: win rates of shifted answers against unshifted ones."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables

READ = (
    "Ties count half: at 50 % a changed answer is as good as the unchanged one. Bars are 95 % over"
    " prompts; flips say how often a verdict changes with the order of the texts."
)
TASK = "task"
SAYS = (
    "moving 1 % of the tokens substantially lowers the win rate of LLaDA-8B-Instruct on Arena-Hard"
    " (arXiv 2601.22947); figures by rate are not public."
)


def _winrate(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables["winrate"]
    return table.assign(settings=table.get("settings", ""), even=0.5)


CHARTS = (
    Chart(
        "winrate",
        "Win rate of changed answers",
        _winrate,
        "line",
        Axis("frac", "tokens to be changed (%)", 100),
        Axis("winrate", "win rate (%)", 100, ends="winrate"),
        colour="intervention",
        panels=("model", "judge", "settings"),
        names=(("n", "prompts"), ("settings", "")),
        more=("n", "wins", "ties", "losses"),
        beside=(("even", "as good as unshifted (%)"),),
    ),
)
