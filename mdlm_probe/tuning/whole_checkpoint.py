"""A checkpoint whose weights were all trained, under the names that its family's files have."""

from __future__ import annotations

import shutil
from pathlib import Path

from huggingface_hub import save_torch_state_dict
from transformers.core_model_loading import revert_weight_conversion

from mdlm_probe.models import _hub
from mdlm_probe.models._hf import NativeModel


def write(folder: Path, model: NativeModel) -> None:
    """Writes weights, configuration and tokenizer: `--model FOLDER` loads them as the original."""
    entry = model.entry
    source = _hub.locate(entry.source, model.facts["commit"] or entry.revision, weights=False)
    for name in _hub.TEXT_FILES:
        if (source.folder / name).is_file():
            shutil.copyfile(source.folder / name, folder / name)
    state = dict(model.network.state_dict())
    if model.network.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    own = revert_weight_conversion(model.network, state)
    # an expert is a part of its layer's tensor, and a file takes none
    save_torch_state_dict({name: weight.clone() for name, weight in own.items()}, folder)
