"""A checkpoint whose weights were all trained, under the names that its family's files have."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import save_torch_state_dict

from mdlm_probe.models import _families, _hub, _weights
from mdlm_probe.models._hf import NativeModel


def write(folder: Path, model: NativeModel) -> None:
    """Writes weights, configuration and tokenizer: `--model FOLDER` loads them as the original."""
    entry = model.entry
    keys = _families.family(entry.family).KEYS
    source = _hub.locate(entry.source, model.facts["commit"] or entry.revision, weights=False)
    for name in _hub.TEXT_FILES:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)
    state = dict(model.network.state_dict())
    if model.network.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    named = {_weights.original(name, keys): weight for name, weight in state.items()}
    save_torch_state_dict(named, folder)
