"""A small run of the probe `context`, and what tests that go through all probes know of it."""

from probe_cases import BOTH

MODELS = BOTH
OPTIONS = {"limit": 2, "span": ("1", "3"), "right": ("1", "all"), "tasks": ("prose",)}

SECOND_MODEL = {"logp": 3.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "prose", "span": "2", "right": "1,all"}
"""What makes a command of the docs short, beside what all probes take."""
