"""Charts of masks: accuracy and certainty against what is appended to the prompt."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from mdlm_probe.analysis import calibration_report
from mdlm_probe.analysis.charts import Axis, Chart, best_ends
from mdlm_probe.analysis.frames import Tables, grouped, records
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.probes._few_shot import graded_answers
from mdlm_probe.probes._few_shot.report_parts import ACCURACY, COUNTS, P_RIGHT
from mdlm_probe.probes.masks import degradation, paper_measures, report

READ = (
    "What appended masks cost a model is the line of masks; what any tail of that length costs are"
    " the other lines, plain text first. Compare models at equal numbers of masks only. Bands are"
    " 95 % over relevant tasks, the independent unit: the sets of one task are alike. Where there"
    " is one task, they are over its items."
    f" {calibration_report.READ}"
)
TASK = "set"
MASKS = "{masks} appended (0: nothing after the answer's own)"
DROP = "drop of accuracy from the best to the largest number of masks (points)"
FEW = "(max - min) / max of accuracy over numbers of masks, random steps, mean of 2, 4, 6 (%)"
SAYS = (
    "dots in place of masks (--filler dot) cost at most 3 points (base models) and 10 (instruct"
    " models) (arXiv 2511.21338, section 5)."
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


def task_tables(frame: pd.DataFrame) -> Tables:
    """The tables that the charts of a set need."""
    return {"curve": report.curve(report.series(frame))}


def ours(tables: Tables) -> Iterator[OwnValue]:
    """The drops that are published, in each model's first context."""
    drop = tables["drop"]
    if not len(drop):
        return
    own = drop[(drop["filler"] == "mask") & (drop["side"] == "right")]
    for named, rows in grouped(own, ["model"]):
        model, one = named["model"], rows[rows["steps"] == 1]
        if len(one):
            line = one.iloc[0]
            ends = "tasks" if pd.notna(line["tasks_low"]) else "items"
            yield OwnValue(
                DROP, str(model), line["points"], line[f"{ends}_low"], line[f"{ends}_high"]
            )
    for few in records(tables.get("degradation", pd.DataFrame())):
        value, low, high = (100 * few[f"degradation{end}"] for end in ("", "_low", "_high"))
        yield OwnValue(FEW, few["model"], value, low, high)


def ours_changed(before: pd.DataFrame, after: pd.DataFrame) -> Iterator[OwnValue]:
    """What differs of them between the same items of one model, in its first context."""
    rows = [report.series(frame) for frame in (before, after)]
    for what, items, change in (
        (DROP, paper_measures.one_step, degradation.change_of_drop),
        (FEW, paper_measures.few_steps, degradation.change_over_steps),
    ):
        first, second = (items(side) for side in rows)
        if len(first) and len(second):
            found = change(first, second).times(100)
            model = str(after["model"].iloc[0])
            yield OwnValue(what, model, found.mean, found.low, found.high)


NAMES = {
    "mask": "masks",
    "text": "plain text",
    "eos": "end of text",
    "dot": "dots",
    "dot-token": "one dot's token",
    "none": "nothing",
}
SIDES = {"right": "after", "left": "before", "both": "half each", "none": "nothing"}


def _named(table: pd.DataFrame) -> pd.DataFrame:
    """What is appended in words, masks first, and a column `way`: where, and in which steps."""
    words = {filler: NAMES.get(filler, filler) for filler in report.FILLERS}
    return table.assign(
        filler=pd.Categorical(table["filler"].map(words), list(words.values()), ordered=True),
        side=table["side"].map(SIDES) if table["side"].nunique() > 1 else "",
        way=[
            f"{steps} steps, {order}" if steps > 1 else "one step"
            for steps, order in zip(table["steps"], table["order"], strict=True)
        ],
    )


def _longest(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The curve in each model's longest context."""
    return _named(best_ends(_of_longest(tables["curve"])))


def _of_longest(table: pd.DataFrame) -> pd.DataFrame:
    size = table["shots"] + table["distractors"]
    longest = table[size == size.groupby(table["model"]).transform("max")]
    most = longest.groupby("model")["shots"].transform("max")
    return longest[longest["shots"] == most]


def _certain(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return _longest(tables, frame).drop(columns="over")


def _contexts(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The measures by the length of the context, of masks alone where the model was asked with any.

    `length` is what varies: distractors, or shots where only these do.
    """
    table = tables["curve"]
    if len(table[report.CONTEXT[1:]].drop_duplicates()) < 2:
        return pd.DataFrame()
    several = table["distractors"].nunique() > 1
    across, other = ("distractors", "shots") if several else ("shots", "distractors")
    masked = table[table["filler"].isin(["mask", "none"])]
    only = masked[masked["filler"] == "mask"]["model"].unique()
    named = _named(
        best_ends(table)[~table["model"].isin(only) | table["filler"].isin(["mask", "none"])]
    )
    amounts = sorted(named["amount"].unique(), key=report.rank)
    nothing = named["amount"] == "0"
    label = named["amount"] + " " + named["filler"].astype(str)
    for name in ("side", "way"):
        if named[name].nunique() > 1:
            label = label + ", " + named[name]
    label = label.where(~nothing, "nothing")
    if named[other].nunique() > 1:
        label = label + ", " + named[other].astype(str) + " " + other
    order = named.assign(label=label, rank=named["amount"].map(amounts.index))
    labels = list(dict.fromkeys(order.sort_values("rank", kind="stable")["label"]))
    found = named.assign(
        appends=pd.Categorical(label, labels, ordered=True), length=named[across], across=across
    )
    return found.drop_duplicates(["model", "appends", "length"])  # nothing is nothing of each


def _calibrated(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The calibration in each model's longest context."""
    table = graded_answers.charted(tables.get("calibration", pd.DataFrame()))
    return _named(_of_longest(table)) if len(table) else table


def _reliable(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    """The reliability in each model's longest context, of few amounts."""
    table = graded_answers.charted(tables.get("reliability", pd.DataFrame()))
    if not len(table):
        return table
    amounts = sorted(table["amount"].unique(), key=report.rank)
    few = [amounts[0], amounts[len(amounts) // 2], amounts[-1]]
    shown = _named(_of_longest(table[table["amount"].isin(few)]))
    labels = {name: "nothing" if name == "0" else f"{name} appended" for name in amounts}
    named = shown["amount"].map(labels)
    kinds = [label for label in labels.values() if label in set(named)]
    return shown.assign(amount=pd.Categorical(named, kinds, ordered=True))


EXAMPLES = (("shots", "relevant examples"), ("distractors", "distractors"))
APPENDED = Axis("appended", "tokens appended", scale="symlog", knee=10)
CHARTS = (
    Chart(
        "",
        "What is appended to the prompt",
        _longest,
        "line",
        APPENDED,
        (ACCURACY, P_RIGHT),
        colour="filler",
        dash="way",
        panels=("model", "side"),
        names=(("way", ""), ("side", "")),
        counts=(*COUNTS, *EXAMPLES),
    ),
    Chart(
        "certainty",
        "How certain the answer is, by what is appended to the prompt",
        _certain,
        "line",
        APPENDED,
        (
            Axis("entropy", "entropy at the answer (nats)"),
            Axis("top1_prob", "largest probability (%)", 100),
        ),
        colour="filler",
        dash="way",
        panels=("model", "side"),
        names=(("way", ""), ("side", "")),
        counts=(*COUNTS, *EXAMPLES),
    ),
    Chart(
        "context",
        "What is appended, by the length of the context",
        _contexts,
        "line",
        Axis("length", "distractors (relevant examples, where only these vary)"),
        (ACCURACY, P_RIGHT),
        colour="appends",
        panels=("model", "across"),
        names=(("across", "by"), ("appends", "appended")),
        counts=COUNTS,
    ),
    calibration_report.calibration_chart(
        _calibrated,
        APPENDED,
        colour="filler",
        dash="way",
        panels=("model", "side"),
        names=(("way", ""), ("side", "")),
        counts=graded_answers.COUNTS,
    ),
    calibration_report.reliability_chart(
        _reliable,
        colour="amount",
        dash="way",
        panels=("model", "side"),
        names=(("way", ""), ("side", ""), ("amount", "")),
    ),
)
