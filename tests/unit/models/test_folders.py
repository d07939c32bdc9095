"""Checkpoints by names that users give: NAME=PATH, and folders of folders."""

import shutil

import pytest
from checkpoints import write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A checkpoint, and others in folders of several depths."""
    home = tmp_path_factory.mktemp("folders")
    write_llada(home / "one")
    for name in ("all/step-1000", "all/step-900", "all/run/final", "all/a/b/c/d", "all/.hidden"):
        (home / name).mkdir(parents=True)
        shutil.copy(home / "one" / "config.json", home / name)
    (home / "all" / "notes").mkdir()
    return home


def test_a_model_has_the_name_that_it_is_given(made):
    entry = models.entry_for(f"mine={made / 'one'}", models.LoadOptions())
    assert (entry.name, entry.source) == ("mine", str(made / "one"))
    assert models.load_border(entry).entry.name == "mine"
    model = models.load(entry)
    assert (model.entry.name, model.facts["name"]) == ("mine", "mine")
    assert models.resolve("small=tiny-mdlm").family == models.resolve("tiny-mdlm").family


def test_a_registered_name_is_no_alias():
    with pytest.raises(ProbeError, match="'llada-8b' is the name of a registered checkpoint"):
        models.resolve("llada-8b=tiny-mdlm")


def test_a_folder_with_such_a_name_is_a_folder(made, monkeypatch):
    monkeypatch.chdir(made)
    (made / "a=b").symlink_to(made / "one")
    assert models.resolve("a=b").source == "a=b"


def test_what_is_named_must_be_there():
    with pytest.raises(ProbeError, match="no-such"):
        models.resolve("mine=./no-such")


def test_checkpoints_of_a_training_come_in_its_order(made):
    found = models.checkpoints(made / "all")
    assert found == [
        f"run-final={made}/all/run/final",
        f"step-900={made}/all/step-900",
        f"step-1000={made}/all/step-1000",
    ]


def test_the_last_model_comes_after_the_checkpoints_in_its_folder(made, tmp_path):
    """So Trainer leaves them; other folders within a checkpoint are its own."""
    for name in ("run", "run/checkpoint-500", "run/checkpoint-1000", "run/original"):
        (tmp_path / name).mkdir()
        shutil.copy(made / "one" / "config.json", tmp_path / name)
    assert models.checkpoints(tmp_path) == [
        f"run-checkpoint-500={tmp_path}/run/checkpoint-500",
        f"run-checkpoint-1000={tmp_path}/run/checkpoint-1000",
        f"run={tmp_path}/run",
    ]


def test_names_of_several_folders_begin_with_theirs(made, tmp_path):
    for name in ("a/step-1", "b/step-1"):
        (tmp_path / name).mkdir(parents=True)
        shutil.copy(made / "one" / "config.json", tmp_path / name)
    found = models.checkpoints(tmp_path / "a", tmp_path / "b")
    assert found == [f"a-step-1={tmp_path}/a/step-1", f"b-step-1={tmp_path}/b/step-1"]
    with pytest.raises(ProbeError, match="no checkpoint in"):
        models.checkpoints(tmp_path / "a", made / "all" / "notes")


@pytest.mark.parametrize(
    ("name", "found"), [("all/notes", "no checkpoint in"), ("none", "no folder .*none")]
)
def test_no_checkpoint_is_an_error(made, name, found):
    with pytest.raises(ProbeError, match=found):
        models.checkpoints(made / name)


def test_two_of_one_name_are_an_error(tmp_path):
    for name in ("a b", "a-b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    with pytest.raises(ProbeError, match="would both be called 'a-b'"):
        models.checkpoints(tmp_path)
