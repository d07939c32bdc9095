"""Libraries that may be missing."""

import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.extras import is_there, library


def test_one_that_is_there():
    assert library("json", "nothing") is json


def test_one_that_is_not_there_says_how_to_get_it():
    with pytest.raises(ProbeError) as caught:
        library("no_such_library.part", "this export", extra="more", option="to")
    assert caught.value.found == "this export needs the library no_such_library"
    assert caught.value.hint == "pip install 'mdlm-probe[more]'"
    assert caught.value.option == "to"


def test_one_that_is_broken_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_library.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ProbeError, match="broken_library: No module named 'no_such_library'"):
        library("broken_library", "this export")


@pytest.mark.parametrize(
    ("name", "there"),
    [("json", True), ("json.decoder", True), ("no_such", False), ("no_such.part", False),
     ("json.no_such", False)],
)  # fmt: skip
def test_whether_one_is_there(name, there):
    assert is_there(name) == there
