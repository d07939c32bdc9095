"""What the sections of a model card are made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mdlm_probe.exports._base import Run
from mdlm_probe.exports._cells import interval, number
from mdlm_probe.exports._facts import command, numbers, version
from mdlm_probe.exports.markdown import escape, line

Metric = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """A measurement on a card: its text, and its results as the Hub's metadata has them."""

    text: str
    results: list[dict[str, Any]]


def own_rows(run: Run, probe: str, table: str, model: str) -> pd.DataFrame:
    """A model's lines of a report's table."""
    found = run.made[probe].tables[table]
    return found[found["model"] == model] if len(found) else found


def metric(name: str, kind: str, value: float, ends: tuple[float, float], **facts: Any) -> Metric:
    """A number as metadata; its interval and what it is of are arguments of the metric."""
    low, high = ends
    known = {"low_95": _rounded(low), "high_95": _rounded(high)} if low == low else {}
    arguments = {key: _plain(fact) for key, fact in facts.items()} | known
    return {"type": kind, "value": _rounded(value), "name": name, "args": arguments}


def _rounded(value: float) -> float:
    return round(float(value), 6)


def _plain(value: Any) -> Any:
    """A value as YAML writes it: no NumPy, whole numbers without a point."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() else value


def result(entry: dict[str, Any], task: str, settings: dict[str, Any], metrics: Any) -> dict:
    """A result as the Hub's `model-index` has it: task, dataset, metrics."""
    suite = entry["config"]["options"].get("suite", "few-shot")
    probe = entry["config"]["probe"]
    facts = {key: _plain(value) for key, value in settings.items()}
    facts |= {"numbers": numbers(entry), "mdlm_probe": version(entry), "command": command(entry)}
    return {
        "task": {"type": "multiple-choice", "name": task},
        "dataset": {
            "type": f"mdlm-probe/{suite}",
            "name": f"mdlm-probe suite {suite}",
            "config": probe,
            "split": "test",
            "args": facts,
        },
        "metrics": list(metrics),
    }


def facts_of(entry: dict[str, Any], more: dict[str, Any]) -> list[str]:
    """The measurement's facts as a Markdown list, and the command that repeats it."""
    config = entry["config"]
    model = entry.get("model", {})
    revision = model.get("commit") or config.get("load", {}).get("revision") or "none"
    facts = {
        "probe": config["probe"],
        "suite": config["options"].get("suite", "few-shot"),
        **more,
        "numbers": numbers(entry),
        "checkpoint": f"{config.get('source') or 'none'}, revision {revision}, weights "
        f"{str(model.get('weight_hash', 'unknown'))[:12]}",
        "tool": f"mdlm-probe {version(entry)}",
    }
    if entry.get("status") != "finished":
        facts["unfinished"] = "not all of it was measured"
    lines = [f"- {key}: {escape(str(value))}" for key, value in facts.items()]
    return [*lines, "", "```sh", command(entry), "```", ""]


def units(table: pd.DataFrame) -> str:
    """What a table's accuracies have their intervals over: sets, or the items of a single set."""
    return "sets" if (table["sets"] > 1).all() else "items"


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], text: int = 0) -> list[str]:
    """A Markdown table; the first `text` columns are text, the others numbers."""
    rule = [":---" if n < text else "---:" for n in range(len(heads))]
    return [line(map(escape, heads)), line(rule), *(line(map(escape, row)) for row in rows), ""]


def with_interval(value: float, low: float, high: float) -> str:
    """A number and its interval in a cell."""
    return number(float(value)) + ("" if math.isnan(low) else f" ({interval(low, high)})")
