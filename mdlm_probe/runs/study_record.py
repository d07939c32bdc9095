"""study.json: what a study is, and how far each of its runs came."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mdlm_probe.core.run_folder import read_study, write_study
from mdlm_probe.core.secrets import redacted
from mdlm_probe.runs.study_plan import Study, StudyRun

FINISHED, FAILED, STOPPED, PENDING = "finished", "failed", "stopped", "pending"


@dataclass
class StudyRecord:
    """study.json: what the study is, and how far each of its runs came; saved at every change.

    Attributes:
        folder: the study's.
        study: all of it.
        parts: runs that are asked for this time; of others, what is known stays.
    """

    folder: Path
    study: Study
    parts: Sequence[StudyRun]
    _came: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        old = read_study(self.folder).get("runs", {})
        asked = {part.name for part in self.parts}
        self.runs = {
            part.name: self._entry(part, old.get(part.name, {}), part.name in asked)
            for part in self.study.parts
        }
        self.save()

    @staticmethod
    def _entry(part: StudyRun, old: dict[str, Any], asked: bool) -> dict[str, Any]:
        given = {"probe": part.probe, "models": part.models}
        same = all(old.get(name) == value for name, value in given.items())
        if same and not asked:
            return old
        seconds = old.get("seconds", 0.0) if same else 0.0
        return {"status": PENDING, "error": "", "seconds": seconds, **given}

    def add(self, part: StudyRun, model: str, status: str, error: str, seconds: float) -> None:
        """Writes down what came of a run with one model."""
        came = self._came.setdefault(part.name, {})
        came[model] = status, redacted(error)
        states = {status for status, _ in came.values()}
        whole = FINISHED if len(came) == len(part.models) else PENDING
        entry = self.runs[part.name]
        entry["status"] = next((s for s in (FAILED, STOPPED) if s in states), whole)
        entry["error"] = "\n".join(f"{name}: {text}" for name, (_, text) in came.items() if text)
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        self.save()

    def save(self) -> None:
        """Writes study.json at once or not at all."""
        found = {"study": self.study.name, "source": redacted(self.study.source), "runs": self.runs}
        write_study(self.folder, found)
