"""What reports of few-shot probes share: what an item is, what its unit is, places, axes, counts.

The suite's 16 sets are 8 relevant tasks among 2 distractor tasks each, and nearly all that varies
varies between relevant tasks: two sets of one are no two units. So intervals and tests are over
relevant tasks.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis
from mdlm_probe.core.errors import ProbeError

RELEVANT = "task"
"""The column of the unit that intervals and tests are over: a set's relevant task."""
ITEM = (RELEVANT, "set", "item")
"""Columns that name an item."""
PLACES = ("left", "middle", "right")
"""Of the question, or of what is looked at, in the order of tables and charts."""
ACCURACY = Axis("accuracy", "accuracy (%)", 100, ends="best")
P_RIGHT = Axis("p_right", "probability of the right answer (%)", 100, ends="p_right")
COUNTS = (("n", "items"), ("tasks", "relevant tasks"))
"""Columns whose numbers stand in every chart, and what they count."""


def with_task(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with their set's relevant task: as measured; in older rows by the name of the set.

    A set is called RELEVANT-DISTRACTOR.

    Raises:
        ProbeError: older rows of sets whose names can be cut in two ways.
    """
    named = frame[RELEVANT] if RELEVANT in frame else pd.Series(np.nan, frame.index, dtype=object)
    if RELEVANT in frame and named.notna().all():
        return frame
    sets = frame["set"].astype(str)
    suites = frame["suite"].astype(str) if "suite" in frame else sets
    # distractors of the shipped suite, which lm-eval tasks have, too, are one word each
    unclear = named.isna() & ~suites.str.startswith("lm-eval:") & (sets.str.count("-") > 1)
    if unclear.any():
        raise ProbeError(
            f"the rows of the set '{sets[unclear].iloc[0]}' don't say which task is relevant in it",
            expected="the column 'task', which this version writes",
            hint="the same command with --fresh measures anew",
        )
    by_name = sets.str.replace(r"-[^-]*$", "", regex=True)
    return frame.assign(**{RELEVANT: named.where(named.notna(), by_name)})


def notes(frame: pd.DataFrame) -> list[str]:
    """Says of a model's rows why there is no interval over relevant tasks, if there is none."""
    tasks = with_task(frame).groupby("model", sort=False)[RELEVANT].unique()
    return [
        f"all items of {model} have one relevant task, '{names[0]}': an interval or a test over"
        " relevant tasks takes two or more; those over items hold for these examples only"
        for model, names in tasks.items()
        if len(names) == 1
    ]


def over_tasks(gaps: pd.Series) -> stats.Estimate:
    """The mean of items' values, over relevant tasks: what other tasks would give.

    `stats.clustered`, the t interval and test of the tasks' means where all are of one size.
    """
    return stats.clustered(gaps.to_numpy(), gaps.index.get_level_values(RELEVANT).to_numpy())


def over_items(gaps: pd.Series, *, hits: bool) -> stats.Estimate:
    """The mean of items' differences, over items: what other items of these sets would give.

    Of hits with the exact sign test.
    """
    values = gaps.to_numpy()
    return stats.paired_hits(values, np.zeros(len(values))) if hits else stats.mean(values)


def difference(gaps: pd.Series, *, hits: bool) -> stats.Estimate:
    """The mean of items' differences over relevant tasks, or over the items of a single task."""
    found = over_tasks(gaps)
    return found if found.n > 1 else over_items(gaps, hits=hits)
