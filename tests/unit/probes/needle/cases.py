"""A small run of the probe `needle`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 2, "lengths": (64, 96), "depths": (0, 50, 100)}

SECOND_MODEL = {"logp_right": 7.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

KIND = "depth"
"""The column that tells kinds of rows apart."""
