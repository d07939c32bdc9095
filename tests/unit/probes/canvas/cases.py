"""A small run of the probe `canvas`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 2, "length": (4, 8)}

SECOND_MODEL = {"answer_tokens": 3.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "fact", "length": "4,8"}
"""What makes a command of the docs short, beside what all probes take."""
