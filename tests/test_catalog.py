"""Listings by folder."""

import pytest

from mdlm_probe import catalog
from mdlm_probe.errors import ProbeError


def test_probes_are_files_and_their_first_lines_questions():
    assert "locality" in catalog.names("probes")
    assert catalog.first_line("probes", "locality").startswith("Does a model find")
    assert catalog.load("probes", "locality").__name__ == "mdlm_probe.probes.locality"


def test_a_wrong_name_gets_the_nearest_right_one():
    with pytest.raises(ProbeError, match=r"unknown probe 'localty'[\s\S]*did you mean 'locality'"):
        catalog.load("probes", "localty")
