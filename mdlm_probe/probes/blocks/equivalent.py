"""Combinations of a blocks run that were asked under another name, since they can't differ."""

from __future__ import annotations

from typing import Any

import pandas as pd

from mdlm_probe.decoding import rules

SERIES = ["model", "length", "block", "steps", "order"]
LEFT = "left_to_right"
FREE = tuple(order for order, rule in rules.RULES.items() if rule.free)
"""Orders that take as many steps as they need."""


class EquivalentCells:
    """Which combination's rows stand for another, where the two can't differ; see the probe.

    Args:
        frame: rows with the columns of a combination.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.asked = set(frame[SERIES].drop_duplicates().itertuples(index=False, name=None))

    def of(self, model: str, length: int, block: int, steps: int, order: str) -> tuple[Any, ...]:
        """The combination that was asked; () if there is none."""
        if rules.split(order)[0] in FREE:
            steps = length
        at = (model, length, block, steps, order)
        if at in self.asked:
            return at
        if length % block or (order != LEFT and block * steps != length):
            return ()
        # from left to right, blocks that share the steps out alike stand under the smallest
        left = [one for one in self.asked if (*one[:2], *one[3:]) == (model, length, steps, LEFT)]
        return max((one for one in left if one[2] <= block), default=())
