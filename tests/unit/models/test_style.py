"""Name and style of a checkpoint: where they come from, and that a guess is said."""

import json
import shutil
from dataclasses import replace

import pytest
from checkpoints import special_ids, write_llada, write_llama

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _hub, _registry
from mdlm_probe.runs import loaded_models, survey
from mdlm_probe.runs.plan import Job, prepare

COMMIT = "c0ffee" + "0" * 34


def cached(root, repository):
    """A checkpoint as the hub's cache has it: links to blobs."""
    folder = root / f"models--{repository.replace('/', '--')}" / "snapshots" / COMMIT
    blobs = folder.parent.parent / "blobs"
    blobs.mkdir(parents=True)
    for file in write_llada(root / "plain").iterdir():
        shutil.move(file, blobs / file.name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).symlink_to(f"../../blobs/{file.name}")
    return folder


def test_a_folder_of_the_hubs_cache_is_known_by_its_hub_id(tmp_path):
    folder = cached(tmp_path, "someone/my-llada-instruct")
    entry = models.resolve(str(folder))
    assert (entry.name, entry.chat, entry.source) == ("my-llada-instruct", True, str(folder))
    facts = models.load(entry).facts
    assert (facts["commit"], facts["revision"]) == (COMMIT, "")
    assert _hub.locate(str(folder), COMMIT).commit == COMMIT
    with pytest.raises(ProbeError, match="is a local folder"):
        _hub.locate(str(folder), "1" * 40)
    (tmp_path / "link").symlink_to(folder)
    assert models.resolve(str(tmp_path / "link")).name == "my-llada-instruct"


def test_a_registered_checkpoint_in_the_hubs_cache_is_its_entry(tmp_path, monkeypatch):
    folder = cached(tmp_path, "gsai-ml/LLaDA-8B-Instruct")
    entry = models.resolve(str(folder))
    assert (entry.name, entry.chat, entry.source) == ("llada-8b-instruct", True, str(folder))
    assert entry.eos_ids == models.resolve("llada-8b-instruct").eos_ids
    small = replace(entry, source="GSAI-ML/LLaDA-8B-Instruct", mask_id=None, eos_ids=(1,))
    monkeypatch.setattr(_registry, "registry", lambda: {"llada-8b-instruct": small})
    border = models.load_border(models.resolve(str(folder)))
    assert border.entry.eos_ids == (1,)  # the registry's, without those of the tokenizer
    assert border.entry.mask_id == special_ids()["<|mdm_mask|>"]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (f"models--org--m/snapshots/{COMMIT}", "org/m"),
        (f"models--gpt2/snapshots/{COMMIT}", "gpt2"),
        (f"models--org--m--x/snapshots/{COMMIT}", "org/m--x"),
        ("models--org--m/snapshots/main", ""),
        (f"models--org--m/{COMMIT}", ""),
        (f"datasets--org--m/snapshots/{COMMIT}", ""),
        ("m", ""),
    ],
)
def test_hub_ids_of_paths(tmp_path, path, found):
    assert _hub.repository(tmp_path / path) == found


@pytest.mark.parametrize(
    ("name", "chat", "reason"),
    [
        ("LLaDA-8B-Instruct", True, "its name, 'LLaDA-8B-Instruct', says 'Instruct'"),
        ("DiffuCoder-7B-cpGRPO", False, "has none of the words instruct, chat, sft, it"),
        ("smollm2", False, "its name, 'smollm2', has none of the words"),
    ],
)
def test_a_style_that_the_name_decides_is_said_and_recorded(tmp_path, name, chat, reason):
    notes = []
    entry = models.resolve(str(write_llama(tmp_path / name)))
    model = loaded_models.load_model(entry, LoadOptions(), notes.append)
    (said,) = notes[1:]
    ways = ("chat messages", "plain text") if chat else ("plain text", "chat messages")
    assert said.startswith(f"{name}: prompts are {ways[0]}, since its name")
    assert said.endswith(f"--style {'base' if chat else 'chat'} writes {ways[1]}")
    assert reason in said
    assert model.facts["style"] == ("chat" if chat else "base")
    assert reason in model.facts["style_reason"]
    json.dumps(model.facts)


def test_nothing_is_said_where_nothing_was_guessed(tmp_path):
    bare = models.resolve(str(write_llama(tmp_path / "bare", template="")))
    told = LoadOptions(style="chat")
    chosen = models.entry_for(str(write_llama(tmp_path / "m")), told)
    for entry, load in ((bare, LoadOptions()), (chosen, told)):
        notes = []
        reason = loaded_models.load_model(entry, load, notes.append).facts["style_reason"]
        assert len(notes) == 1, "only that it is loaded"
        assert reason == ("--style says so" if load.style else entry.style_reason)
    assert models.resolve("tiny-mdlm").style_reason == "it is registered so"


def test_a_plan_says_it_too(tmp_path):
    folder = str(write_llada(tmp_path / "m", context=4096))
    plan = prepare(Job("masks", folder, {"limit": 1, "masks": ("2",)}))
    notes = survey.survey(plan, "cpu").notes
    assert [note for note in notes if note.startswith("prompts are plain text, since its name")]
