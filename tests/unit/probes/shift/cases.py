"""A small run of the probe `shift`, and what tests that go through all probes know of it."""

from probe_cases import MASKED, WRITTEN

MODELS = MASKED
OPTIONS = WRITTEN | {"frac": (0.3,), "intervention": ("shift", "post-hoc")}

SECOND_MODEL = {"nll": 5.0, "edit_distance": 0.3}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "question", "length": "16", "block": "8"}
"""What makes a command of the docs short, beside what all probes take."""

KIND = "intervention"
"""The column that tells kinds of rows apart."""
