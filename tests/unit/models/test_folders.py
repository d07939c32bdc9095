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


@pytest.mark.parametrize("name", ["all/notes", "none"])
def test_no_checkpoint_is_an_error(made, name):
    with pytest.raises(ProbeError, match="no checkpoint in"):
        models.checkpoints(made / name)


def test_two_of_one_name_are_an_error(tmp_path):
    for name in ("a b", "a-b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").touch()
    with pytest.raises(ProbeError, match="would both be called 'a-b'"):
        models.checkpoints(tmp_path)
