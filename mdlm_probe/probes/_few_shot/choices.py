"""Which options few-shot questions are answered with: an accuracy by one letter alone is chance."""

from __future__ import annotations

import string
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis.tables import MISSING

MOST = 0.95
"""Share of all answers from which on one choice is taken for all that a model answers."""
OTHER = "other"
"""Answers that are none of the options."""
ROUNDING = 1e-4
"""Nats that the same log-probability may differ by in two columns of a row."""
COLUMNS = ("options", "answer_form", "suite", "predicted", "logp_right", "logp_A", "top1_prob")
ANSWERED, RIGHT = "answered letter", "right letter"
"""Columns of `with_letters`."""


def with_letters(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with the letters of the answered and of the right option, where rows have what it takes.

    Once for all rows: a table has many parts.
    """
    if not set(COLUMNS) <= set(frame.columns):
        return frame
    return frame.assign(**{ANSWERED: _answered(frame), RIGHT: right(frame)})


def chosen(part: pd.DataFrame) -> dict[str, Any]:
    """Which options were answered, so that an accuracy by chance is seen to be one. Source: ours.

    `chose_A` and so on are shares of the answers, `chose_other` that of answers that are no option;
    `top_choice` is the largest share of an option. `warning` says that one of them is 95 % of all
    answers or more, unless right answers are as one-sided. `reused` is the share of test points
    that have an option of a relevant example. Rows of older runs don't have all of these.

    Args:
        part: rows of `with_letters`.
    """
    if ANSWERED not in part:
        return {}
    names = string.ascii_uppercase[: int(part["options"].max())]
    answers, right = part[ANSWERED].to_numpy(), part[RIGHT].to_numpy()
    shares = {name: float((answers == name).mean()) for name in (*names, OTHER)}
    found: dict[str, Any] = {f"chose_{name}": share for name, share in shares.items()}
    most = max(shares, key=lambda name: shares[name])
    one_sided = shares[most] >= MOST > float((right == most).mean())
    found["top_choice"] = max(shares[name] for name in names)
    what = "none of the options" if most == OTHER else most
    found["warning"] = f"{shares[most]:.0%} of the answers are {what}" if one_sided else ""
    if "reused" in part:
        found["reused"] = float((part["reused"] > 0).mean())
    return found


ANSWERS = (
    "Answers: the share of each option, and of answers that are none of them; where one has nearly"
    " all, accuracy is that of guessing."
)


def in_words(row: dict[str, Any]) -> str:
    """The shares of a table's row in words, and its warning; a dash where it has none."""
    shares = {name.removeprefix("chose_"): row[name] for name in row if name.startswith("chose_")}
    known = {name: share for name, share in shares.items() if share == share}
    said = [f"{name} {share:.0%}" for name, share in known.items() if share or name != OTHER]
    warning = f" (warning: {row['warning']})" if known and row["warning"] else ""
    return ", ".join(said) + warning or MISSING


def _answered(part: pd.DataFrame) -> np.ndarray:
    """The letter of each answer's option, as the answer is scored, or `OTHER`."""
    texts = part["predicted"].astype(str).str.split("]").str[0].str.strip()
    number = texts.map({name: n for n, name in enumerate(string.ascii_uppercase)})
    letters = texts.where(number < part["options"].astype(int), OTHER).to_numpy()
    likeliest, top = best(part)
    sure = top >= np.log(part["top1_prob"].to_numpy(dtype=float)) - ROUNDING
    return np.where(_by_letter(part), letters, np.where(sure, likeliest, OTHER))


def right(part: pd.DataFrame) -> np.ndarray:
    """The letter of each right option."""
    columns = logps(part)
    gaps = columns.sub(part["logp_right"].astype(float), axis=0).abs().fillna(np.inf)
    letters = np.array([str(name).removeprefix("logp_") for name in columns])
    own = letters[gaps.to_numpy().argmin(axis=1)]
    return np.where(_by_letter(part), part["right"].astype(str), own)


def _by_letter(part: pd.DataFrame) -> np.ndarray:
    """Whether answers are written as letters; those of whole choices are."""
    whole = part["suite"].astype(str).str.startswith("lm-eval:")
    return np.asarray((part["answer_form"] == "letter") | whole)


def logps(part: pd.DataFrame) -> pd.DataFrame:
    """The options' log-probabilities, a column each."""
    names = [f"logp_{name}" for name in string.ascii_uppercase if f"logp_{name}" in part]
    columns: pd.DataFrame = part[names].apply(pd.to_numeric)
    return columns


def best(part: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest option's letter, and its log-probability."""
    columns = logps(part)
    values = columns.fillna(-np.inf).to_numpy()
    letters = np.array([str(name).removeprefix("logp_") for name in columns])
    return letters[values.argmax(axis=1)], values.max(axis=1)
