"""A small run of the probe `alignment`, and what tests that go through all probes know of it."""

from probe_cases import MASKED

MODELS = MASKED
OPTIONS = {"limit": 2, "length": 8, "tasks": ("prose",)}

SECOND_MODEL = {
    "cross_entropy": 3.0,
    "flexible": 0.3,
    **{f"ce_{target}": 3.0 for target in ("unmoved", "right", "left", "inserted", "replaced")},
}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "prose", "length": "8"}
"""What makes a command of the docs short, beside what all probes take."""
