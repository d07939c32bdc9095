"""The commit that a measurement's files name."""

import subprocess

import pytest

from mdlm_probe.core import machine


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with one commit of one file, and what that is called; taken for the tool's own."""

    def git(*words):
        named = ("-c", "user.name=n", "-c", "user.email=n@example.org")
        told = ["git", *named, "-C", str(tmp_path), *words]
        return subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()

    (tmp_path / "one.py").write_text("")
    git("init", "-q")
    git("add", "one.py")
    git("commit", "-q", "-m", "one")
    monkeypatch.setattr(machine, "PACKAGE", tmp_path / "mdlm_probe")
    (tmp_path / "mdlm_probe").mkdir()
    machine.commit.cache_clear()
    yield tmp_path, git("rev-parse", "HEAD")
    machine.commit.cache_clear()


def test_a_commit_that_was_changed_has_a_plus(checkout):
    folder, commit = checkout
    (folder / "another.txt").write_text("not part of it")
    assert machine.commit() == commit
    machine.commit.cache_clear()
    (folder / "one.py").write_text("changed = True")
    assert machine.commit() == f"{commit}+"


def test_what_is_changed_later_is_not_what_is_loaded(checkout):
    folder, commit = checkout
    assert machine.commit() == commit
    (folder / "one.py").write_text("changed = True")
    assert machine.commit() == commit


def test_an_installed_tool_has_no_commit(checkout, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(machine, "PACKAGE", tmp_path_factory.mktemp("site") / "mdlm_probe")
    assert machine.commit() == ""
