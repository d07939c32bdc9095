"""Win rates of shifted answers against unshifted ones, and of models against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart, at
from mdlm_probe.analysis.frames import Tables, by_value, grouped
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.runs.judges import model_report
from mdlm_probe.runs.judges.agreement import agreement
from mdlm_probe.runs.judges.verdict_stats import followed, in_both_orders, line_of, of_prompts

LINE = ["judge", "model", "settings", "intervention"]
POINT = [*LINE, "frac"]
NUMBERS = ["frac", "identical", "win", "strength"]
LENGTHS = ["characters", "against_characters"]


def notes(frame: pd.DataFrame) -> list[str]:
    """Judges that can't tell the texts apart, or go by something else than quality."""
    found = []
    for (judge, model), part in frame.groupby(["judge", "model"], sort=False):
        if judge == "nll":
            found.append(f"{model}: win rates by nll tell of likelihood, by which repetition wins")
        both = in_both_orders(part.assign(win=pd.to_numeric(part["win"])))
        if both is not None and len(both) and followed(both) == "order":
            flips = float((both["first"] != both["second"]).mean())
            found.append(
                f"{model}: {judge} can't tell the texts apart: {flips:.0%} of its verdicts change"
                " with their order, so that its win rates say nothing of them"
            )
    _, between = _split(frame)
    return found + (model_report.notes(between) if len(between) else [])


def _split(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Verdicts on shifted answers, and those on models, with numbers as such."""
    frame = frame.assign(**{name: pd.to_numeric(frame[name]) for name in NUMBERS})
    named = frame["settings"].astype(object)
    frame = frame.assign(
        settings=named.where(named.notna(), ""), prompt=frame["prompt"].astype(str)
    )
    if "against" not in frame:
        return frame, frame[:0]
    known = frame["against"].notna()
    between = frame[known]
    return frame[~known], between.assign(**{n: pd.to_numeric(between[n]) for n in LENGTHS})


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    Of shifted answers "winrate", and "trend" where there are several fractions; of models those of
    `model_report.tables`.

    Raises:
        KeyError, ValueError: for rows that judging didn't write.
    """
    shifted, between = _split(frame)
    found = {}
    if len(shifted):
        found["winrate"] = winrate(shifted)
        if len(table := trend(shifted)):
            found["trend"] = table
    found = {name: _shown(table) for name, table in found.items()}
    found |= model_report.tables(between) if len(between) else {}
    together = agreement(pd.concat([shifted, between]))
    return found | ({"agreement": together} if len(together) else {})


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table without its settings where there is but one way of decoding."""
    return table if table["settings"].astype(bool).any() else table.drop(columns="settings")


def winrate(frame: pd.DataFrame) -> pd.DataFrame:
    """The share of shifted answers that win, ties as half, by judge, model, intervention, fraction.

    - winrate: the mean of the prompts' scores, with a 95 % interval over prompts, a t
      interval with half a win and half a loss added (`stats.paired_hits`); `p` is the exact sign
      test of prompts' scores against a half, which counts signs only and is stricter than the
      interval; `p_holm` is corrected for all of a judge's tests of a model. A fraction of 0 tests
      nothing. `wins`, `ties` and `losses` count prompts (of `n`).
    - identical_pairs: pairs of equal texts, ties by definition.
    - refused, unparsable, failed: calls without a verdict.
    - flips: share of pairs, asked in both orders, that fare differently when the order changes,
      with Wilson's interval; `first_share`: share of verdicts, ties left out, for the text shown
      first.
    - follows: what the verdicts follow; see `verdict_stats.followed`. Where it is the order of the
      texts, or unclear, the judge can't tell them apart, and a win rate near a half says nothing.

    Source: two orders and five verdicts as in arXiv 2406.11939; units and tests ours.
    """
    rows = []
    for coordinates, part in frame.groupby(POINT, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(POINT, coordinates, strict=True))
        row |= line_of(part, row["judge"])
        row["p"] = row["p"] if row["frac"] > 0 else float("nan")
        rows.append(row)
    for judge, model in {(row["judge"], row["model"]) for row in rows}:
        family = [row for row in rows if (row["judge"], row["model"]) == (judge, model)]
        for row, p in zip(family, stats.holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return pd.DataFrame(rows).sort_values(POINT, key=_order(frame), ignore_index=True)


def _order(frame: pd.DataFrame) -> Any:
    """Sorts names as they first appear, and fractions by size."""
    places = {name: {v: i for i, v in enumerate(frame[name].unique())} for name in LINE}
    return lambda column: column.map(places[column.name]) if column.name in places else column


def trend(frame: pd.DataFrame) -> pd.DataFrame:
    """How a win rate changes with the fraction: the least-squares slope, by 1 % of tokens.

    Every prompt that has a score at all fractions has a slope; the table has their mean with a
    bootstrap interval over prompts and `p`, its test by the same bootstrap. `sign_p` is the exact
    test of their signs, which tells nothing of their size. None is corrected. Source: ours.
    """
    rows = []
    for coordinates, part in frame.groupby(LINE, sort=False):
        by_frac = {100 * f: of_prompts(p) for f, p in by_value(part, "frac")}
        scores = pd.DataFrame(by_frac).dropna()
        if len(by_frac) < 2 or not len(scores):
            continue
        x = np.array(scores.columns, dtype=float) - np.mean(scores.columns)
        slopes = scores.to_numpy() @ x / (x @ x)
        slopes[np.abs(slopes) < 1e-12] = 0.0  # what only rounding keeps from being flat
        found = stats.bootstrap(slopes[:, None], lambda means: means[..., 0])
        rows.append(
            dict(zip(LINE, coordinates, strict=True))
            | {"fractions": len(x)}
            | found.columns("slope")
            | {"p": found.p, "sign_p": stats.paired_hits(slopes, np.zeros(len(slopes))).p}
            | {"n": found.n}
        )
    return pd.DataFrame(rows)


# ---------------------------------------------------------------------- charts


READ = (
    "Ties count half: at 50 % a changed answer is as good as the unchanged one. Bands are 95 % over"
    " prompts. Flips say how often a verdict changes with the order of the texts: a judge whose"
    " verdicts follow that order can't tell them apart, and its win rate says nothing. nll goes by"
    " likelihood, by which repetitive texts win; language by the rules of the bundled models' own."
)
TASK = "task"
MASKS = "a canvas of {length}"
SAYS = (
    "moving 1 % of the tokens substantially lowers the win rate of LLaDA-8B-Instruct on Arena-Hard"
    " (arXiv 2601.22947); figures by rate are not public."
)


def _winrate(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
    table = tables.get("winrate", pd.DataFrame(columns=POINT))
    return table.assign(settings=table.get("settings", ""))


CHARTS = (
    Chart(
        "",
        "Win rate of changed answers against unchanged ones, ties as half",
        _winrate,
        "line",
        Axis("frac", "tokens to be changed (%)", 100, scale="symlog"),
        Axis("winrate", "win rate (%)", 100, ends="winrate"),
        colour="intervention",
        panels=("judge", "settings", "model"),
        names=(("settings", ""),),
        counts=(("n", "prompts"),),
        more=("wins", "ties", "losses", "follows"),
        over="prompts",
        layers=(at("as good as unchanged", winrate=0.5),),
    ),
    *model_report.CHARTS,
)


# ---------------------------------------------------------------------- comparing


def scored(frame: pd.DataFrame) -> pd.DataFrame:
    """Every prompt's score, at each intervention and fraction but 0, where all tie; of models
    against each other."""
    keys = ["judge", "task", "settings", "against", "intervention", "frac"]
    if "against" not in frame:
        frame = frame.assign(against=None)
    frame = frame[(pd.to_numeric(frame["frac"]) > 0) | frame["against"].notna()]
    texts = {name: frame[name].astype(object) for name in ("settings", "against")}
    frame = frame.assign(**{n: text.where(text.notna(), "") for n, text in texts.items()})
    parts = [
        of_prompts(part).rename("win").reset_index().assign(**named)
        for named, part in grouped(frame, keys)
    ]
    if not parts:
        return frame.assign(win=pd.to_numeric(frame["win"]))
    return pd.concat(parts, ignore_index=True)


PAIRED = (
    Pairing(
        {"win": Measure("win rate (points)", scale=100, better="more")},
        item=("task", "prompt"),
        by=("settings", "against", "intervention", "frac"),
        rows=scored,
    ),
)
