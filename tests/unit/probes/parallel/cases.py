"""A small run of the probe `parallel`, and what tests that go through all probes know of it."""

MODELS = ("tiny-mdlm", "oracle-lists")
OPTIONS = {"limit": 2, "words": (3,), "per_step": (1, 3), "families": ("copy", "shuffle")}

SECOND_MODEL = {"logp_written": 3.0, "passes": 4.0}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"words": "3", "per-step": "1,3"}
"""What makes a command of the docs short, beside what all probes take."""
