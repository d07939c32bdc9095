"""A small run of the probe `attention`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 2, "length": 16, "reads": 2, "controls": 1}

SECOND_MODEL = {"received": 3.0, "attention": 0.3, "removed_kl": 5.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "question", "length": "16", "reads": "2"}
"""What makes a command of the docs short, beside what all probes take."""
