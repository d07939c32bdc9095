"""The quality of generated answers, from their JSONL: by model and type of prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.analysis import frames, text_quality
from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.runs.answer_writer import COLUMNS

NEEDED = ("model", "task", "prompt", "answer", "ended", "answer_tokens")


def table(paths: Sequence[Path]) -> pd.DataFrame:
    """What answers are worth by measures that no repetition wins, with intervals over prompts.

    `answer_tokens` is their mean length, `ended` the share that an end of text closes; the others
    are those of `text_quality.quality`. Nobody scored them: there is no perplexity.

    Args:
        paths: of the models' JSONL files; lines of an earlier version have no quality, and are left
            out of it.
    """
    records = [record for path in paths for record in JsonLines(path, "answer", NEEDED).records]
    frame = text_quality.with_quality(pd.DataFrame(records))
    found: list[dict[str, Any]] = []
    for named, part in frames.grouped(frame, ["model", "task"]):
        line = named | {"n": len(part), "answer_tokens": part["answer_tokens"].mean()}
        line |= {"ended": part["ended"].mean()}
        found.append(line | text_quality.quality(part))
    return text_quality.shown(pd.DataFrame(found))


def save(folder: Path, quality: pd.DataFrame) -> Path:
    """Writes the table into the run folder; returns its path.

    Raises:
        ProbeError: the folder can't be written.
    """
    (path,) = frames.save(folder, "generate", {"quality": quality})
    return path


def unit_of(column: str) -> str:
    """The unit of a column, by which whole numbers are told from shares."""
    units = {declared.name: declared.unit for declared in COLUMNS}
    return units.get(column, "") if units.get(column) in ("tokens", "nats") else ""
