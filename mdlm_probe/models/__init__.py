"""Checkpoints by name, folder or hub id: one convention for all of them.

Importing this, and listing, loads neither torch nor transformers. How to add a family: see the
docstring of `_families.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mdlm_probe.models._base import Model
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.models._families import families
from mdlm_probe.models._folders import checkpoints
from mdlm_probe.models._registry import entry_for, registry, relation, resolve
from mdlm_probe.models._training_step import training_step

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

__all__ = [
    "Checkpoint",
    "LoadOptions",
    "Model",
    "check_adapter",
    "checkpoints",
    "entries",
    "entry_for",
    "families",
    "load",
    "load_border",
    "names",
    "relation",
    "resolve",
    "training_step",
]


def names() -> list[str]:
    """Names of the registered checkpoints."""
    return list(registry())


def entries() -> list[Checkpoint]:
    """The registered checkpoints, as they are known before anything is downloaded."""
    return list(registry().values())


def load(entry: Checkpoint, options: LoadOptions | None = None) -> Model:
    """A checkpoint ready to be asked: weights checked, on its device, self-tested.

    Raises:
        ProbeError: whatever is wrong with files, keys, options or the machine, by name.
    """
    from mdlm_probe.models._families import family

    module, options = family(entry.family), options or LoadOptions()
    if hasattr(module, "build"):
        model: Model = module.build(entry, options)
        return model
    from mdlm_probe.models._load import load_native

    return load_native(entry, options, module)


def check_adapter(entry: Checkpoint, options: LoadOptions) -> None:
    """Refuses an adapter that doesn't fit a checkpoint, as far as its weights needn't be there.

    Raises:
        ProbeError: as `load`.
    """
    from mdlm_probe.models._families import family

    if not options.adapter:
        return
    module = family(entry.family)
    if hasattr(module, "build"):
        module.build(entry, options)
        return
    from mdlm_probe.models._load import check_adapter

    check_adapter(entry, options, module)


def load_border(entry: Checkpoint, options: LoadOptions | None = None) -> Border:
    """A checkpoint's tokenizer without its weights, for plans; downloads what it needs.

    Raises:
        ProbeError: when files are missing, or contradict the registry.
    """
    from mdlm_probe.models import _border, _families, _registry

    options = options or LoadOptions()
    if not hasattr(_families.family(entry.family), "build"):
        return _registry.open_checkpoint(entry, options, weights=False)[1]
    if entry.source:
        return _border.load_border(Path(entry.source), entry)
    return load(entry, options).border
