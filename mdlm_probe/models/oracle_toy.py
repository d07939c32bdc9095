"""The toy's oracle: the exact posterior of a language of two tokens after two. Source: ours.

Its answers are the fractions that docs/toy.md computes by hand, so that what is measured of it is
known without a computer.
"""

from __future__ import annotations

from mdlm_probe.models import oracle
from mdlm_probe.models._base import Model
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.prompts import two_tokens


def build(entry: Checkpoint, options: LoadOptions) -> Model:
    """The oracle of the toy, with the bundled models' vocabulary."""
    return oracle.made(oracle.Oracle, two_tokens.language(), entry, options)
