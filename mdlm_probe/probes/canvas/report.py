"""What a longer canvas does to an answer: to what is right, to its length, to where it ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart
from mdlm_probe.analysis.frames import Tables, grouped
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.analysis.stats import corrected

PRINTED = ("overview", "change")
UNREAD = ("answer", "right")
UNITS = {"change": {"longer": "masks", "shorter": "masks", "tokens_more": "tokens"}}
ITEM = ["task", "prompt"]
PLACES = 32
"""Places of a canvas that a curve shows, at most."""


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview" of every model and length; the "change" from one length to the next, and from the
    shortest to the longest, over the same prompts; mass on "ends" of text by place.

    Raises:
        KeyError, ValueError: for rows that a canvas run didn't write.
    """
    frame[["length", "answer_tokens", "passes"]].apply(pd.to_numeric)
    found = {"overview": overview(frame), "change": change(frame), "ends": ends(frame)}
    return {name: table for name, table in found.items() if len(table)}


def overview(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and length, over prompts.

    `in_first_sentence`, of the prompts that have a right answer (`with_answer`), and `ended` are
    shares with Wilson's interval. `answer_tokens` and `mean_end_mass` are means with a bootstrap
    interval. `first_ends_share`: of the tokens that the first step committed, those that were ends
    of text, and `end_first`, of the answer's tokens those committed after the end: means over
    prompts with t intervals; `first_end_at`: where the leftmost of the first step's ends stood, as
    a share of the canvas, mean over the prompts that had one.
    """
    found = []
    for named, part in grouped(frame, ["model", "length"]):
        line: dict[str, Any] = named | {"n": len(part)}
        line |= {"with_answer": 0} | _shares(part)
        line |= stats.proportion(part["ended"].to_numpy(dtype=float)).columns("ended")
        line |= stats.amount(part["answer_tokens"].to_numpy()).columns("answer_tokens")
        if "mean_end_mass" in part and part["mean_end_mass"].notna().any():
            mass = part["mean_end_mass"].dropna().to_numpy()
            line |= stats.amount(mass, 1.0).columns("mean_end_mass")
            first = (part["first_ends"] / part["first_commits"]).dropna().to_numpy(dtype=float)
            line |= stats.mean(first).within(0.0, 1.0).columns("first_ends_share")
            line["first_end_at"] = (part["first_end_place"] / part["length"]).astype(float).mean()
            later = part["end_first"].dropna().to_numpy(dtype=float)
            line |= stats.mean(later).within(0.0, 1.0).columns("end_first")
        found.append(line)
    return pd.DataFrame(found)


def _shares(part: pd.DataFrame) -> dict[str, float]:
    """The share of right answers, where there are any."""
    if "in_first_sentence" not in part:
        return {}
    hits = part["in_first_sentence"].dropna().to_numpy(dtype=float)
    found = {"with_answer": len(hits)}
    return found | (stats.proportion(hits).columns("in_first_sentence") if len(hits) else {})


def change(frame: pd.DataFrame) -> pd.DataFrame:
    """A longer canvas minus a shorter one, over the same prompts.

    Of each length and the next shorter one, and of the longest and the shortest. `right_more`:
    difference of the shares in the first sentence, over the prompts `with_answer`, with the
    interval and sign test of `stats.paired_hits`; `tokens_more`: of the answers' lengths, with the
    t interval and test. `_holm` are p-values corrected for a model's rows. What a canvas is too
    short for counts as a gain: compare lengths that hold an answer.
    """
    rows = []
    for model, part in frame.groupby("model", observed=True, sort=False):
        sizes = sorted(part["length"].unique())
        pairs = list(zip(sizes[1:], sizes[:-1], strict=True))
        pairs += [(sizes[-1], sizes[0])] if len(sizes) > 2 else []
        for longer, shorter in pairs:
            both = (part[part["length"] == size].set_index(ITEM) for size in (longer, shorter))
            after, before = both
            shared = after.index.intersection(before.index)
            after, before = after.loc[shared], before.loc[shared]
            line: dict[str, Any] = {"model": model, "longer": int(longer), "shorter": int(shorter)}
            line["n"] = len(shared)
            for name, column in (("right", "in_first_sentence"), ("tokens", "answer_tokens")):
                if column not in part or after[column].isna().all():
                    continue
                values = [side[column].dropna().to_numpy(dtype=float) for side in (after, before)]
                test = stats.paired_hits if name == "right" else stats.paired
                found = test(*values)
                line |= {"with_answer": len(values[0])} if name == "right" else {}
                line |= found.columns(f"{name}_more") | {f"{name}_more_p": found.p}
            rows.append(line)
    table = pd.DataFrame(rows)
    return corrected(table, [c.removesuffix("_p") for c in table.columns if c.endswith("_p")])


def ends(frame: pd.DataFrame) -> pd.DataFrame:
    """The mass on ends of text before anything is written, by place, over prompts.

    Of long canvases every so many places; the first and the last among them.
    """
    if "end_masses" not in frame:
        return pd.DataFrame()
    found = []
    for named, part in grouped(frame, ["model", "length"]):
        known = [[float(v) for v in text.split()] for text in part["end_masses"].dropna()]
        size = min(map(len, known), default=0)
        if not size:
            continue
        at = np.unique(np.linspace(0, size - 1, min(size, PLACES)).round().astype(int))
        mass = np.array([values[:size] for values in known])[:, at]
        for place, values in zip(at, mass.T, strict=True):
            estimate = stats.amount(values, 1.0).columns("end_mass_mean")
            found.append(named | {"place": int(place) + 1, "n": len(known)} | estimate)
    return pd.DataFrame(found)


# ---------------------------------------------------------------------- charts


READ = (
    "A flat line of right answers, once the canvas holds one, is a model that the canvas doesn't"
    " disturb. Where the line falls and answers get shorter, look at the ends: mass on them that"
    " grows along the canvas, and first steps that commit them, end the answer before it is begun."
)
TASK = "task"
MASKS = "{length} on the canvas"
SAYS = (
    "LLaDA-8B-Instruct on MATH: 17.1 % right on a canvas of 128, 2.9 % on 256, and answers get"
    " shorter as the canvas grows (arXiv 2510.03680)."
)
LENGTH = Axis("length", "masks of the canvas (causal: most tokens)", scale="log")
COUNTS = (("n", "prompts"),)


def _overview(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    return tables["overview"]


def _right(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables["overview"]
    if "in_first_sentence" not in table:
        return pd.DataFrame()
    return table.assign(n=table["with_answer"])


def _ends(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    if "ends" not in tables:
        return pd.DataFrame()
    table = tables["ends"]
    sizes = [f"{size} masks" for size in sorted(table["length"].unique())]
    named = table["length"].map(lambda size: f"{size} masks")
    return table.assign(size=pd.Categorical(named, sizes, ordered=True))


CHARTS = (
    Chart(
        "",
        "Right answers against the length of the canvas",
        _right,
        "line",
        LENGTH,
        Axis("in_first_sentence", "right (%)", 100, ends="in_first_sentence"),
        counts=COUNTS,
        over="prompts",
        note="right: in the answer's first sentence",
    ),
    Chart(
        "ends",
        "Mass on ends of text before anything is written",
        _ends,
        "line",
        Axis("place", "place in the canvas"),
        Axis("end_mass_mean", "mass on ends of text (%)", 100, ends="end_mass_mean"),
        colour="size",
        panels=("model",),
        names=(("size", "canvas of"),),
        counts=COUNTS,
        over="prompts",
    ),
    Chart(
        "length",
        "How long the answer is, and whether it ends",
        _overview,
        "line",
        LENGTH,
        (
            Axis("answer_tokens", "tokens before the end", ends="answer_tokens"),
            Axis("ended", "answers that end (%)", 100, ends="ended"),
        ),
        counts=COUNTS,
        over="prompts",
    ),
)


# ---------------------------------------------------------------------- comparing


PAIRED = (
    Pairing(
        {
            "in_first_sentence": Measure(
                "right in the first sentence (points)", hits=True, scale=100, better="more"
            ),
            "answer_tokens": Measure("tokens of the answer"),
            "mean_end_mass": Measure("mass on ends of text at step 1 (points)", scale=100),
        },
        item=("task", "prompt"),
        by=("length",),
    ),
)
