"""What the sections of a model card are made of."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult

from mdlm_probe.analysis.tables import interval, number
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.formats.markdown import escape, line
from mdlm_probe.reports.exports.provenance import command, numbers, version


@dataclass(frozen=True)
class CardPart:
    """A measurement on a card.

    Attributes:
        text: Markdown.
        results: for the Hub's metadata, those of each setting together.
    """

    text: str
    results: list[list[EvalResult]]


@dataclass(frozen=True)
class Ends:
    """An interval's ends, NaN where there is none, and what it is over: sets or items."""

    low: float
    high: float
    over: str


def own_rows(run: ExportedRun, probe: str, table: str, model: str) -> pd.DataFrame:
    """A model's lines of a report's table."""
    found = run.made[probe].tables[table]
    return found[found["model"] == model] if len(found) else found


def about(entry: dict[str, Any], task: str, settings: dict[str, Any]) -> dict[str, Any]:
    """What all results of a measurement in one setting say alike: their task and data set."""
    suite = entry["config"]["options"].get("suite", "few-shot")
    facts = {key: _plain(value) for key, value in settings.items()}
    facts |= {"numbers": numbers(entry), "mdlm_probe": version(entry), "command": command(entry)}
    return {
        "task_type": "multiple-choice",
        "task_name": task,
        "dataset_type": f"mdlm-probe/{suite}",
        "dataset_name": f"mdlm-probe suite {suite}",
        "dataset_config": entry["config"]["probe"],
        "dataset_split": "test",
        "dataset_args": facts,
    }


def result(
    said: dict[str, Any], name: str, kind: str, value: float, ends: Ends, **facts: Any
) -> EvalResult:
    """A number as metadata; its interval and what it is of are arguments of the metric.

    Args:
        said: from `about`.
        name, kind: of the metric.
        value: of it.
        ends: its interval.
        facts: what it is of.
    """
    arguments = {key: _plain(fact) for key, fact in facts.items()}
    if ends.low == ends.low:
        arguments |= {"interval_over": ends.over} if ends.over else {}
        arguments |= {"low_95": _rounded(ends.low), "high_95": _rounded(ends.high)}
    return EvalResult(
        **said,
        metric_type=kind,
        metric_value=_rounded(value),
        metric_name=name,
        metric_args=arguments,
    )


def _rounded(value: float) -> float:
    return round(float(value), 6)


def _plain(value: Any) -> Any:
    """A value as YAML writes it: no NumPy, whole numbers without a point."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def facts_of(entry: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """The measurement's facts as a Markdown list, and the command that repeats it."""
    config = entry["config"]
    model = entry.get("model", {})
    asked = config.get("load", {}).get("revision", "main")
    revision = model.get("commit") or (asked if asked != "main" else "")  # a folder has none
    facts = {
        "probe": config["probe"],
        "suite": config["options"].get("suite", "few-shot"),
        **more,
        "numbers": numbers(entry),
        "checkpoint": (config.get("source") or "none")
        + (f", revision {revision}" if revision else "")
        + f", weights {str(model.get('weight_hash', 'unknown'))[:12]}",
        "tool": f"mdlm-probe {version(entry)}",
    }
    if entry.get("status") != "finished":
        facts["unfinished"] = "not all of it was measured"
    lines = [f"- {key}: {escape(str(value))}" for key, value in facts.items()]
    return [*lines, "", "```sh", command(entry), "```", ""]


def ends_of(row: dict[str, Any]) -> Ends:
    """A row's interval over sets; over items where the sets tell none, as a single set does."""
    found = [Ends(row[f"{over}_low"], row[f"{over}_high"], over) for over in ("sets", "items")]
    return next((ends for ends in found if ends.low == ends.low), found[0])


def shared(rows: Sequence[dict[str, Any]]) -> str:
    """What the intervals of all rows are over; "" where that differs."""
    found = {ends.over for ends in map(ends_of, rows) if ends.low == ends.low}
    return found.pop() if len(found) == 1 else ""


def said_over(ends: Ends, over: str = "") -> str:
    """What an interval is over, to stand behind it: nothing where it is `over` that of them all."""
    return f" over {ends.over}" if ends.over != over and ends.low == ends.low else ""


def grid(
    heads: Sequence[str], rows: Sequence[Sequence[str]], text: Collection[str] = ()
) -> list[str]:
    """A Markdown table; columns with these heads are text, to the left, the others numbers."""
    rule = [":---" if head in text else "---:" for head in heads]
    return [line(map(escape, heads)), line(rule), *(line(map(escape, row)) for row in rows), ""]


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval in a cell."""
    return number(float(value)) + ("" if math.isnan(low) else f" ({interval(low, high)})")
