"""A small run of the probe `attribution`, and what tests that go through all probes know of it."""

from probe_cases import BOTH, FEW

MODELS = BOTH
OPTIONS = FEW | {"limit": 1, "orders": 2, "masks": (0, 3)}

SECOND_MODEL = {"normalised": 0.2}
"""What another model's numbers are multiplied by, so that they are far from the first's."""
