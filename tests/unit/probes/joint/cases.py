"""A small run of the probe `joint`, and what tests that go through all probes know of it."""

MODELS = ("tiny-mdlm",)
OPTIONS = {"limit": 1, "masks": 4, "length": 4, "random": 1, "tasks": ("prose",)}
OPTIONS |= {"measure": ("pairs", "sets", "orders", "budget", "total"), "draws": 2}

SECOND_MODEL = {
    "logp": 4.0,
    "mi": 5.0,
    "tv_joint": 0.1,
    "circulation": 9.0,
    "incoherent_parallel": 0.3,
    "entropy_sequential": 0.5,
}
"""What another model's numbers are multiplied by, so that they are far from the first's."""

SHORT = {"tasks": "prose", "masks": "8", "length": "8"}
"""What makes a command of the docs short, beside what all probes take."""
