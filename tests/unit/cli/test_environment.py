"""Inherited variables that break a library are taken away, others are left."""

import os
import sys
from types import SimpleNamespace

import pytest

from mdlm_probe.cli import environment


@pytest.mark.parametrize(
    ("name", "value", "stays"),
    [
        ("TQDM_MININTERVAL", "abc", False),
        ("TQDM_NCOLS", "abc", False),
        ("JAXTYPING_DISABLE", "maybe", False),
        ("TORCH_LOGS", "foo", False),
        ("LOGLEVEL", "foo", False),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "abc", False),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "30", True),
        ("HF_HUB_ETAG_TIMEOUT", "", False),
        ("MPLBACKEND", "module://nowhere", True),
        ("HF_HOME", "/models", True),
    ],
)
def test_what_breaks_a_library_is_taken_away(name, value, stays, monkeypatch):
    monkeypatch.setenv(name, value)
    environment.clean()
    assert (name in os.environ) is stays


def test_python_starts_again_where_it_was_told_to_drop_docstrings(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: started.append(arguments))
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=2))
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "mdlm_probe", "models"])
    environment.clean()
    assert started == [], "by a flag: it would be given again"
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    environment.clean()
    assert started == [[sys.executable, "-m", "mdlm_probe", "models"]]
    assert "PYTHONOPTIMIZE" not in os.environ
