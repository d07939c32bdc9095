"""A small run of the probe `blocks`, and what tests that go through all probes know of it."""

from probe_cases import MASKED, WRITTEN

MODELS = MASKED
OPTIONS = WRITTEN | {"length": (16,), "block": (4, 16), "steps": (16,)}

SECOND_MODEL = {"nll": 3.0, "passes": 4.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "question", "length": "16", "block": "8"}
"""What makes a command of the docs short, beside what all probes take."""
