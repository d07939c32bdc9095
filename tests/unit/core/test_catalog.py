"""Listings by folder."""

import pytest

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError


def test_probes_are_files_and_their_first_lines_questions():
    assert "locality" in catalog.names("probe")
    assert catalog.first_line("probe", "locality").startswith("Does a model find")
    assert catalog.load("probe", "locality").__name__ == "mdlm_probe.probes.locality.probe"


def test_a_wrong_name_gets_the_nearest_right_one():
    with pytest.raises(ProbeError, match=r"unknown probe 'localty'[\s\S]*did you mean 'locality'"):
        catalog.load("probe", "localty")
