"""A small run of the probe `locality`, and what tests that go through all probes know of it."""

from probe_cases import BOTH, FEW

MODELS = BOTH
OPTIONS = FEW | {"positions": (0, 2, 4), "masks": (0, 3)}

SECOND_MODEL = {"correct": 0, "logp_right": 30.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""
