"""Masks on the page: accuracy and certainty against the number of appended masks."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis.charts import Axis, Chart, over_sets
from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes.masks import report
from mdlm_probe.probes.masks.figures import FILLERS

READ = (
    "What appended masks cost a model is the line of masks; what any tail of that length costs are"
    " the lines of dots and text. Compare models at equal numbers of masks only. Bands are 95 %"
    " over sets; where there is one set, over its items."
)
TASK = "set"
MASKS = "{masks} appended (0: nothing after the answer's own)"
DROP = "drop of accuracy from the best to the largest number of masks (points)"
FEW = "(max - min) / max of accuracy over numbers of masks, random steps, mean of 2, 4, 6 (%)"
SAYS = (
    "dots in place of masks cost at most 3 points (base models) and 10 (instruct models)"
    " (arXiv 2511.21338, section 5)."
)
P1 = "arXiv 2511.21338, section 5"
PUBLISHED = (
    PublishedValue(DROP, "llada-8b", "23", P1),
    PublishedValue(DROP, "llada-8b-instruct", "27", P1),
    PublishedValue(DROP, "dream-7b", "6, at about 20 masks", P1),
    PublishedValue(DROP, "dream-7b-instruct", "8, at about 20 masks", P1),
    PublishedValue(
        FEW, "llada-8b", "15.5; 7.9 after fine-tuning (CE+TV)", "arXiv 2511.21338, section 6"
    ),
    PublishedValue(
        FEW,
        "llada-8b-instruct",
        "27.5; 17.0 after fine-tuning (CE+TV)",
        "arXiv 2511.21338, section 6",
    ),
)
STEPS = {2, 4, 6}


def tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"curve": report.curve(report.series(frame))}


def ours(tables: Tables) -> Iterator[OwnValue]:
    """The drops that are published, in each model's first context."""
    drop = tables["drop"]
    if not len(drop):
        return
    own = drop[(drop["filler"] == "mask") & (drop["side"] == "right")]
    for model, rows in own.groupby("model", observed=True, sort=False):
        one = rows[rows["steps"] == 1]
        if len(one):
            line = one.iloc[0]
            ends = "sets" if pd.notna(line["sets_low"]) else "items"
            yield OwnValue(DROP, model, line["points"], line[f"{ends}_low"], line[f"{ends}_high"])
        few = rows[(rows["order"] == "random") & rows["steps"].isin(STEPS)]
        if set(few["steps"]) == STEPS:
            yield OwnValue(FEW, model, 100 * few["degradation"].mean())


def _curve(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The curve, a line for everything that can be appended in so many ways."""
    table = over_sets(tables["curve"])
    ways = [name for name in ("side", "steps", "order") if table[name].nunique() > 1]
    line = table["filler"].astype(str)
    for name in ways:
        line = line + f", {name} " + table[name].astype(str)
    first = table["filler"].map(FILLERS.index)
    line = pd.Categorical(line, list(dict.fromkeys(line[first.sort_values(kind="stable").index])))
    shape = table["shots"].astype(str) + " relevant, " + table["distractors"].astype(str)
    return table.assign(appends=line, context=shape + " distractors")


NAMES = (("appends", ""), ("context", ""), ("n", "items"))
APPENDED = Axis("appended", "tokens appended")
CHARTS = tuple(
    Chart(
        name,
        title,
        _curve,
        "line",
        APPENDED,
        axis,
        dash="appends",
        panels=("context",),
        names=NAMES,
        more=("n", "sets"),
    )
    for name, title, axis in (
        (
            "accuracy",
            "Accuracy against what is appended",
            Axis("accuracy", "accuracy (%)", 100, ends="best"),
        ),
        (
            "p_right",
            "Probability of the right answer",
            Axis("p_right", "probability (%)", 100, ends="p_right"),
        ),
        ("entropy", "Entropy at the answer", Axis("entropy", "entropy (nats)")),
    )
)
