"""Loaded models, kept for the next run; and scorers: causal models that give perplexities to what
other models write.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE
from mdlm_probe.models._base import Model
from mdlm_probe.models._checkpoint import BY_OPTION, REGISTERED, Checkpoint, LoadOptions


def scorer_of(options: dict[str, Any], entry: Checkpoint) -> Checkpoint | None:
    """The causal model that is to score what a model writes, where a probe has that option.

    Raises:
        ProbeError: an unknown model, or one that isn't causal.
    """
    name = options.get("scorer", "none")
    name = entry.companion if name == "companion" else name
    if name in ("none", ""):
        return None
    found = models.resolve(name)
    if found.kind != "causal":
        raise ProbeError(
            f"--scorer '{name}' is a {found.kind} model",
            expected="a causal model: its perplexity is exact",
            option="scorer",
        )
    return found


def scorer_load(scorer: Checkpoint, load: LoadOptions) -> LoadOptions:
    """How a scorer is loaded: on the same device and in the same number format as the model."""
    if not scorer.gradients:  # what is computed without weights has no choice
        return LoadOptions()
    return LoadOptions(load.dtype, load.device, quantize=load.quantize, device_map=load.device_map)


Key = tuple[str, str, str, LoadOptions]


class LoadedModels:
    """Loaded models, kept from one measurement to the next: a model that two ask is loaded once.

    What a measurement doesn't need is put away before anything else is loaded. A model that can't
    be had is tried once.

    Attributes:
        loads: how many models were loaded so far.
    """

    def __init__(self) -> None:
        self._models: dict[Key, Model] = {}
        self._borders: dict[Key, Any] = {}
        self._faults: dict[Key, ProbeError] = {}
        self.loads = 0

    def border(self, entry: Checkpoint, load: LoadOptions) -> Any:
        """A checkpoint's tokenizer.

        Raises:
            ProbeError: as `models.load_border`.
        """
        key = _key(entry, load)
        if key not in self._borders:
            self._borders[key] = self._tried(key, models.load_border, entry, load)
        return self._borders[key]

    def models(
        self,
        options: dict[str, Any],
        entry: Checkpoint,
        load: LoadOptions,
        note: Callable[[str], None],
    ) -> tuple[Model, Model | None]:
        """A model and its scorer, None where there is none; all others are put away.

        Raises:
            ProbeError: as `models.load`.
        """
        scorer = scorer_of(options, entry)
        wanted = [(entry, load)]
        if scorer:
            wanted.insert(0, (scorer, scorer_load(scorer, load)))
            if kin := models.relation(scorer, entry):
                note(f"the scorer {scorer.name} is {kin}: it favours what {entry.name} writes")
        elif options.get("scorer") == "companion":
            note(f"{entry.name} has no known companion: no perplexities without --scorer MODEL")
        self._keep({_key(*one) for one in wanted})
        found = [self._model(*one, note) for one in wanted]
        return found[-1], found[0] if scorer else None

    def clear(self) -> None:
        """Puts all models away, where there are some."""
        if self._models or self._faults:  # a load that failed may have left parts, too
            self._models.clear()
            free_memory()

    def _model(self, entry: Checkpoint, load: LoadOptions, note: Callable[[str], None]) -> Model:
        key = _key(entry, load)
        if key not in self._models:
            self._models[key] = self._tried(key, load_model, entry, load, note)
            self.loads += 1
        return self._models[key]

    def _tried(self, key: Key, load: Callable[..., Any], *arguments: Any) -> Any:
        if key in self._faults:
            raise self._faults[key]
        try:
            return load(*arguments)
        except ProbeError as error:
            self._faults[key] = error.with_traceback(None)  # frames would hold what was loaded
            raise

    def _keep(self, wanted: set[Key]) -> None:
        if away := self._models.keys() - wanted:
            for key in away:
                del self._models[key]
            free_memory()


def load_model(entry: Checkpoint, load: LoadOptions, note: Callable[[str], None]) -> Model:
    """A model ready to be asked; what a user should know of it is said.

    Raises:
        ProbeError: as `models.load`.
    """
    note(f"loading {entry.name} from {portable(entry.source) or 'memory'}")
    model = models.load(entry, load)
    if text := style_note(model.border):
        note(f"{entry.name}: {text}")
    adapter = model.facts.get("adapter") or {}
    if unmatched := adapter.get("unmatched"):
        note(
            f"{entry.name}: the adapter's target_modules {', '.join(unmatched)} match no module of "
            "this model; training left them out"
        )
    return model


def style_note(border: Any) -> str:
    """Which style prompts have and why, where a chat template leaves a choice and the name of the
    checkpoint made it; else "".
    """
    entry = border.entry
    if not border.template or entry.style_reason in (REGISTERED, BY_OPTION):
        return ""
    ways = ("chat messages", "plain text")
    one, other = ways if entry.chat else ways[::-1]
    return (
        f"prompts are {one}, since {entry.style_reason}; "
        f"--style {'base' if entry.chat else 'chat'} writes {other}"
    )


def _key(entry: Checkpoint, load: LoadOptions) -> Key:
    return entry.name, entry.source, entry.revision, load


def free_memory() -> None:
    """Gives the memory of models back that nobody holds any more."""
    if "mdlm_probe.engine.memory" in sys.modules:
        sys.modules["mdlm_probe.engine.memory"].free_memory()


def place(source: str) -> str:
    """A source by one name however it was typed: folders by their full path."""
    folder = Path(source).expanduser()
    return str(folder.resolve()) if folder.is_dir() else source


def portable(value: Any) -> Any:
    """A value without this machine's path to the package: runs can be moved and compared."""
    if isinstance(value, str):
        return value.replace(str(PACKAGE), "mdlm_probe")
    if isinstance(value, dict):
        return {name: portable(inner) for name, inner in value.items()}
    return value
