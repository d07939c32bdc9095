"""Gradient attribution by position of the examples, and to masks and other groups of tokens."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from mdlm_probe.analysis import frames, stats
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.probes._few_shot import report_parts
from mdlm_probe.probes._few_shot.report_parts import ITEM, RELEVANT, over_tasks, with_task

SETTING = ["model", "question", "appended_masks", "method"]
GROUPS = ("answer", "masks", "last-50", "all")
TESTED = ("primacy", "recency")
PRINTED = ("shape", "groups", "gaps")
PAPER = {
    "llada-8b": (0.234, 0.005, 0.005),
    "llada-8b-instruct": (0.220, 0.057, 0.017),
    "dream-7b": (0.282, 0.012, 0.005),
    "dream-7b-instruct": (0.144, 0.030, 0.018),
    "llada-moe": (0.237, 0.094, 0.029),
    "llada-moe-instruct": (0.188, 0.150, 0.028),
}
"""Table 1 of arXiv 2511.21338: 50 appended masks, the last 50 other tokens, all other tokens."""


def tables(frame: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The report's tables by name: "positions", "shape", "groups"; "gaps" of integrated gradients.

    Raises:
        KeyError, ValueError: for rows that an attribution run didn't write.
    """
    examples, of_groups = frame["examples"], frame["groups"]
    for rows, own in ((examples, ["examples_before"]), (of_groups, [])):
        rows[["appended_masks", "item", "score", "normalised", *own]].apply(pd.to_numeric)
    found = {"positions": positions(examples), "shape": shape(examples)}
    found |= {"groups": groups(of_groups)}
    return found | ({"gaps": gaps(of_groups)} if of_groups["gap"].notna().any() else {})


def notes(frame: dict[str, pd.DataFrame]) -> list[str]:
    """What a reader should know of the rows."""
    return report_parts.notes(frame["groups"])


def positions(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores by an example's position, of relevant ones, of distractors, and of any.

    `normalised` and `score` are means; the intervals are of `normalised`. The unit is a test point,
    averaged over the orders; see `_estimate`.
    """
    examples = _examples(frame)
    both = pd.concat([examples, examples.assign(label="any")])
    rows = [
        coordinates
        | {"label": label, "examples_before": int(place)}
        | _estimate(part, "normalised", "score")
        for coordinates, setting in _settings(both)
        for label, labelled in frames.by_value(setting, "label")
        for place, part in frames.by_value(labelled, "examples_before")
    ]
    return pd.DataFrame(rows).drop(columns="tasks_p", errors="ignore")


def shape(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy and recency of the normalised scores of examples, relevant or not.

    Means of the first, the middle and the last fifth of positions; primacy is first minus middle,
    recency last minus middle, over the same test points. A U-shape has both above 0. `tasks_p`
    is the test that one is 0, over relevant tasks, not corrected for there being two in every
    setting.
    Source: ours.
    """
    rows = []
    for coordinates, part in _settings(_examples(frame)):
        fifth = (5 * part["examples_before"]) // (part["examples_before"].max() + 1)
        units = part.groupby([*ITEM, fifth], observed=True)["normalised"].mean().unstack()
        if not {0, 2, 4} <= set(units):
            continue
        first, middle, last = (units[n] for n in (0, 2, 4))
        parts = {"first fifth": first, "middle fifth": middle, "last fifth": last}
        parts |= {"primacy": first - middle, "recency": last - middle}
        for name, values in parts.items():
            value = values.rename("value").dropna().reset_index()
            found = _estimate(value, "value", least=-1.0 if name in TESTED else 0.0)
            if name not in TESTED:
                found["tasks_p"] = np.nan
            rows.append(coordinates | {"part": name} | found)
    return pd.DataFrame(rows)


def groups(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean scores of the tokens of a group, as shares of the prompt's largest token.

    - normalised: of the largest of all tokens, the answer's own mask among them (ours).
    - by_others: of the largest but the answer's own mask, as the paper has it; its interval is the
      wider one, over relevant tasks where there are several. Empty of rows that were measured
      without it.
    - paper: the value of arXiv 2511.21338, table 1, to stand beside `by_others` where the setting
      is the same: gradient norm, 50 appended masks, question at the right.
    """
    rows = []
    for coordinates, setting in _settings(with_task(frame)):
        same = [coordinates[name] for name in SETTING[1:]] == ["right", 50, "grad-norm"]
        published = PAPER.get(coordinates["model"], ()) if same else ()
        known = dict(zip(GROUPS[1:], published, strict=False))
        for label in GROUPS:
            part = setting[setting["group"] == label]
            if len(part):
                found = _estimate(part, "normalised") | _by_others(part)
                found["paper"] = known.get(label, np.nan)
                rows.append(coordinates | {"group": label} | found)
    return pd.DataFrame(rows).drop(columns="tasks_p", errors="ignore")


def _by_others(part: pd.DataFrame) -> dict[str, float]:
    """A group's mean share of the largest other token, with one interval."""
    nan = float("nan")
    if "by_others" not in part or part["by_others"].isna().all():
        return {"by_others": nan, "by_others_low": nan, "by_others_high": nan}
    found = _estimate(part, "by_others")
    unit = "items" if np.isnan(found["tasks_low"]) else "tasks"
    ends = {f"by_others_{end}": found[f"{unit}_{end}"] for end in ("low", "high")}
    return {"by_others": found["by_others"]} | ends


def gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """How far integrated gradients are from summing to what they should, and how large logits are.

    Where the mean gap isn't small beside the mean logit, scores need more `--ig-steps`.
    """
    prompts = frame[frame["group"] == "all"].dropna(subset="gap")
    return pd.DataFrame(
        coordinates
        | {"n": len(part), "mean |gap|": part["gap"].abs().mean()}
        | {"largest |gap|": part["gap"].abs().max(), "mean |logit|": part["logit"].abs().mean()}
        for coordinates, part in _settings(prompts)
    )


def _examples(frame: pd.DataFrame) -> pd.DataFrame:
    return with_task(frame[frame["label"] != "question"])


def _settings(frame: pd.DataFrame) -> Iterator[tuple[dict, pd.DataFrame]]:
    yield from frames.grouped(frame, SETTING)


def _estimate(frame: pd.DataFrame, value: str, *also: str, least: float = 0.0) -> dict[str, float]:
    """Mean of test points' means, with two 95 % intervals over items, and over relevant tasks.

    A t interval, cut at `least` and 1. The items of a set share examples and orders, and the sets
    of a task are alike, so the interval over items is the narrower one.
    """
    names = [value, *also]
    units = frame.groupby([*ITEM], observed=True)[names].mean().dropna()
    items, tasks = stats.mean(units[value].to_numpy()), over_tasks(units[value])
    found = {name: float(units[name].mean()) for name in names} | {"n": items.n}
    found |= items.within(least, 1.0).ends("items") | tasks.within(least, 1.0).ends("tasks")
    return found | {"tasks": tasks.n, "tasks_p": tasks.p}


# ---------------------------------------------------------------------- comparing


def shapes(frame: pd.DataFrame) -> pd.DataFrame:
    """Primacy and recency of each test point; see `shape`."""
    rows = _examples(frame)
    last = rows.groupby(SETTING, observed=True)["examples_before"].transform("max")
    rows = rows.assign(fifth=(5 * rows["examples_before"]) // (last + 1))
    keys = [*SETTING[1:], *ITEM]
    wide = rows.groupby([*keys, "fifth"], observed=True, sort=False)["normalised"].mean().unstack()
    wide = wide.reindex(columns=[0, 2, 4])
    return pd.DataFrame({"primacy": wide[0] - wide[2], "recency": wide[4] - wide[2]}).reset_index()


def grouped(frame: pd.DataFrame) -> pd.DataFrame:
    """Scores of the groups of tokens."""
    rows = with_task(frame)
    return rows if "by_others" in rows else rows.assign(by_others=np.nan)


PAIRED = (
    Pairing(
        {
            "normalised": Measure("score of a token / largest of its prompt"),
            "by_others": Measure("score of a token / largest other of its prompt"),
        },
        item=ITEM,
        by=(*SETTING[1:], "group"),
        cluster=RELEVANT,
        name="groups",
        kind="groups",
        rows=grouped,
        free=("example_order", "detail"),
    ),
    Pairing(
        {"primacy": Measure("primacy"), "recency": Measure("recency")},
        item=ITEM,
        by=tuple(SETTING[1:]),
        cluster=RELEVANT,
        name="shape",
        kind="examples",
        rows=shapes,
    ),
    Pairing(
        {"normalised": Measure("score of an example / largest of its prompt")},
        item=ITEM,
        by=(*SETTING[1:], "examples_before"),
        cluster=RELEVANT,
        name="positions",
        kind="examples",
        rows=_examples,
        free=("example_order", "detail"),
    ),
)
