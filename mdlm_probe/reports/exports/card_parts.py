"""What the sections of a model card are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult

from mdlm_probe.analysis.markdown_text import escape
from mdlm_probe.analysis.model_card import CardNumber, CardSection
from mdlm_probe.reports.exports.exported_run import ExportedRun
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


def card_part(run: ExportedRun, entry: dict[str, Any], section: CardSection) -> CardPart:
    """A measurement's part of a card: its probe's section, and how to measure it again."""
    title = f"### {section.title}" + (f" ({run.name})" if run.name else "")
    results = [
        [result(about(entry, section.task, setting), one) for one in found]
        for setting, found in section.results
    ]
    text = [title, "", *facts_of(entry, section.facts), *section.lines]
    return CardPart("\n".join(text), results)


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


def result(said: dict[str, Any], one: CardNumber) -> EvalResult:
    """A number as metadata; its interval and what it is of are arguments of the metric.

    Args:
        said: from `about`.
        one: the number.
    """
    arguments, ends = {key: _plain(fact) for key, fact in one.facts.items()}, one.ends
    if ends.low == ends.low:
        arguments |= {"interval_over": ends.over} if ends.over else {}
        arguments |= {"low_95": _rounded(ends.low), "high_95": _rounded(ends.high)}
    return EvalResult(
        **said,
        metric_type=one.kind,
        metric_value=_rounded(one.value),
        metric_name=one.name,
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
