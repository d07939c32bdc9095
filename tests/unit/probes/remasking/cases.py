"""A small run of the probe `remasking`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 1, "length": 4, "errors": 1, "remask": (1,), "tasks": ("prose",)}

SECOND_MODEL = {"spoilt": 3, "found": 0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "prose", "length": "8"}
"""What makes a command of the docs short, beside what all probes take."""
