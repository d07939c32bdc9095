"""What tests that go through all probes know of each: its `cases.py`, beside its own tests."""

import importlib.util
from functools import cache
from pathlib import Path

from mdlm_probe.core import catalog

HERE = Path(__file__).parents[1] / "unit" / "probes"

BOTH, MASKED = ("tiny-mdlm", "tiny-arlm"), ("tiny-mdlm", "oracle")
FEW = {"tasks": ("verb-smallest",), "limit": 2, "shots": 2, "distractors": 4}
WRITTEN = {"limit": 1, "length": 16, "scorer": "none", "tasks": ("prose",)}


@cache
def of(probe):
    """The cases of a probe."""
    spec = importlib.util.spec_from_file_location(f"{probe}_cases", HERE / probe / "cases.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def gathered(name):
    """What the probes that have it say under a name, by probe."""
    cases = {probe: vars(of(probe)) for probe in catalog.names("probe")}
    return {probe: found[name] for probe, found in cases.items() if name in found}
