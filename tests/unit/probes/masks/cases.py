"""A small run of the probe `masks`, and what tests that go through all probes know of it."""

from probe_cases import BOTH, FEW

MODELS = BOTH
OPTIONS = FEW | {"shots": (2,), "distractors": (4,), "masks": ("0", "3", "5")}

SECOND_MODEL = {"correct": 0, "logp_right": 30.0, "entropy": 9.0, "top1_prob": 0.1}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

KIND = "filler"
"""The column that tells kinds of rows apart."""
