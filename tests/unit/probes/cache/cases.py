"""A small run of the probe `cache`, and what tests that go through all probes know of it."""

MODELS = ("tiny-mdlm",)
OPTIONS = {"limit": 2, "length": 16, "block": (8,)}

SECOND_MODEL = {"dlogp_mean": 20.0, "edit_distance": 0.2, "fed": 3.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "question", "length": "16", "block": "8"}
"""What makes a command of the docs short, beside what all probes take."""
