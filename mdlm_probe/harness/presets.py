"""Presets: settings of generation that a model's authors publish for a task."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mdlm_probe.core import catalog
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import shipped

FILE = Path("lm_eval") / "presets.yaml"
FIELDS = {"models": list, "tasks": list, "auto": bool, "source": str, "settings": dict}
SETTINGS = ("length", "steps", "block", "eos", "order", "threshold", "temperature", "guidance")


class Preset(NamedTuple):
    """Settings that authors publish: length, steps, block and so on, and where they are from."""

    name: str
    settings: dict[str, Any]
    source: str


def presets_for(
    choice: str, entry: Checkpoint, names: Sequence[str], path: Path | None = None
) -> dict[str, Preset]:
    """The settings that go before a task's own, by the task's name; most have none.

    Args:
        choice: "none"; "auto": those published for this model and task; or a preset's name, for
            every task.
        entry: the model; causal ones have none.
        names: of the tasks.
        path: of the presets; the shipped file.

    Raises:
        ProbeError: an unknown preset, or a file that can't be read.
    """
    if choice == "none":
        return {}
    document = Document(path or shipped.folder() / FILE)
    for preset in document.data:
        document.only((preset,), tuple(FIELDS))
        for field, kind in FIELDS.items():
            document.get((preset, field), kind)
        document.only((preset, "settings"), SETTINGS)
    if choice != "auto" and choice not in document.data:
        raise catalog.unknown("preset", choice, ["auto", "none", *document.data])
    if entry.kind == "causal":
        return {}
    found = {}
    for name in names:
        for title, preset in document.data.items():
            fits = entry.name.lower() in preset["models"] and any(
                fnmatch.fnmatch(name, pattern) for pattern in preset["tasks"]
            )
            if title == choice or (choice == "auto" and preset["auto"] and fits):
                found[name] = Preset(title, preset["settings"], preset["source"])
    return found
