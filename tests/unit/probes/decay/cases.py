"""A small run of the probe `decay`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 2, "masks": 8, "ar_sample": 4, "tasks": ("prose",)}

SECOND_MODEL = {"top1_prob": 0.1, "frequent_mass": 0.1, "js": 1e-3}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "prose", "masks": "16"}
"""What makes a command of the docs short, beside what all probes take."""
