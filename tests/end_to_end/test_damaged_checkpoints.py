"""A campaign: whatever is damaged in a checkpoint, it loads or the error is ours.

Tries are repeatable by their seeds; CHECKPOINT_FUZZ=2000 makes more of them, and `make statistics`
four times as many as other runs.
"""

import json
import os
import shutil

import pytest
import simulations
from checkpoints import write_dream, write_llada, write_llama
from odd_checkpoints import damaged

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions
from mdlm_probe.prompts.prompt import Prompt

PROMPT = Prompt((("cat", "dog"),), "\n", "\n\n")
TRIES = int(os.environ.get("CHECKPOINT_FUZZ", 320 if simulations.WHOLE else 80))
WHOLE = {
    "llada": write_llada,
    "shards": lambda folder: write_llada(folder, shards=2),
    "dream": write_dream,
    "llama": write_llama,
}


def use(folder, style):
    """Loads a checkpoint and encodes a prompt; what run.json records is JSON."""
    load = LoadOptions(style=style)
    entry = models.entry_for(str(folder), load)
    model = models.load(entry, load)
    model.border.encode(PROMPT)
    json.dumps(model.facts)


@simulations.simulation
@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_checkpoints_load_or_are_refused(tmp_path, kind):
    whole, refused = WHOLE[kind](tmp_path / "whole"), 0
    use(whole, "chat")
    tries = TRIES // len(WHOLE)
    first = tries * [*WHOLE].index(kind)  # other damages to each
    for seed in range(first, first + tries):
        change, folder = damaged(whole, tmp_path / "m", seed)
        try:
            use(folder, ("", "chat")[seed % 2])
        except ProbeError:
            refused += 1
        except BaseException as error:
            error.add_note(change)
            raise
        shutil.rmtree(folder)
    assert refused > tries // 2
