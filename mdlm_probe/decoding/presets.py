"""Presets: settings of decoding that a model's authors publish, for every text or for a task.

One file has them all, tasks/presets.yaml, for `generate`, the probes that write, and `eval`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mdlm_probe.core import catalog
from mdlm_probe.core.options import Traits
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.decoding.rules import SETTINGS as RULE_SETTINGS
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import shipped

FILE = Path("presets.yaml")
FIELDS = {
    "models": list,
    "families": list,
    "tasks": list,
    "auto": bool,
    "source": str,
    "settings": dict,
}
SETTINGS = (
    *("length", "steps", "block", "eos", "order", "threshold", "temperature", "guidance"),
    *RULE_SETTINGS,
)
EVERY = "*"
"""The task of presets that are for every text."""

PresetOption = Annotated[
    str,
    "settings that authors publish: auto (this model's own, if any), none, or a name in"
    " presets.yaml; other options go before it",
    Traits(later=True),
]


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
        choice: "none"; "auto": those published for this model and task, or else for this model; or
            a preset's name, for every task.
        entry: the model; causal ones have none.
        names: of the tasks.
        path: of the presets; the shipped file.

    Raises:
        ProbeError: an unknown preset, or a file that can't be read.
    """
    if choice == "none":
        return {}
    known = _known(choice, path)
    if entry.kind == "causal":
        return {}
    found = {name: next(_fitting(choice, entry, name, known), None) for name in names}
    return {name: preset for name, preset in found.items() if preset}


def preset_of(choice: str, entry: Checkpoint, path: Path | None = None) -> Preset | None:
    """The settings of a model's authors for any text; None where there are none.

    Args:
        choice, entry, path: as for `presets_for`.

    Raises:
        ProbeError: as `presets_for`.
    """
    return presets_for(choice, entry, [EVERY], path).get(EVERY)


def _known(choice: str, path: Path | None) -> Mapping[str, Mapping[str, Any]]:
    document = Document(path or shipped.folder() / FILE)
    for preset in document.data:
        document.only((preset,), tuple(FIELDS))
        for field, kind in FIELDS.items():
            if field != "families" or field in document.data[preset]:
                document.get((preset, field), kind)
        document.only((preset, "settings"), SETTINGS)
    if choice != "auto" and choice not in document.data:
        raise catalog.unknown("preset", choice, ["auto", "none", *document.data])
    known: dict[str, dict[str, Any]] = document.data
    return known


def _fitting(
    choice: str, entry: Checkpoint, task: str, known: Mapping[str, Mapping[str, Any]]
) -> Iterator[Preset]:
    """Presets of a model and a task, the best first: for this very task, for this very model."""
    ranked: list[tuple[bool, bool, int, Preset]] = []
    for title, preset in known.items():
        named = entry.name.lower() in preset["models"]
        its = named or entry.family in preset.get("families", ())
        fits = any(fnmatch.fnmatch(task, pattern) for pattern in preset["tasks"])
        if title == choice or (choice == "auto" and preset["auto"] and its and fits):
            made = Preset(title, preset["settings"], preset["source"])
            ranked.append((EVERY in preset["tasks"], not named, len(ranked), made))
    return (made for *_, made in sorted(ranked, key=lambda one: one[:3]))


def fitted(settings: Mapping[str, Any], length: int | None, own_block: int = 0) -> dict[str, Any]:
    """A preset's settings for a canvas and a model.

    Args:
        settings: the preset's.
        length: masks of the canvas: no more steps, and no larger blocks under bidirectional
            attention; None: of any length.
        own_block: of a block-causal model: blocks are its own unless they divide it.
    """
    found = dict(settings)
    if own_block:
        own = found.get("block", own_block)
        found["block"] = own_block if own_block % own else own
    names = ("steps",) if own_block else ("steps", "block")
    cut = {n: min(found[n], length) for n in names if length and n in found}
    return found | cut


def options_for(
    entry: Checkpoint, usual: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """The options that a model's preset, or its own attention, sets where the user doesn't.

    Of options that a probe varies by default, in lists of none or several values, "auto" sets none:
    the probe is there to vary them.

    Args:
        entry: the model.
        usual: defaults of all options that there are.
        given: the user's.

    Returns:
        None of what is given, but for `preset`: its name where one was found.

    Raises:
        ProbeError: as `presets_for`.
    """
    if "preset" not in usual:
        return {}
    choice = given.get("preset", usual["preset"])
    preset = preset_of(choice, entry)
    settings: Mapping[str, Any] = preset.settings if preset else {}
    length = given.get("length", settings.get("length"))
    settings = fitted(settings, length if isinstance(length, int) else None, entry.block)
    varied = {n for n, v in usual.items() if isinstance(v, tuple) and len(v) != 1}
    kept = usual.keys() - given.keys() - (varied if choice in ("auto", "none") else set())
    made = {n: v for n, v in settings.items() if n in kept}
    made = {n: (v,) if isinstance(usual[n], tuple) else v for n, v in made.items()}
    return made | ({"preset": preset.name} if preset else {})
