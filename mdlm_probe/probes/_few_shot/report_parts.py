"""What reports of few-shot probes share: what an item is, places of examples, axes and counts."""

from __future__ import annotations

from mdlm_probe.analysis.charts import Axis

ITEM = ("set", "item")
"""Columns that name an item."""
PLACES = ("left", "middle", "right")
"""Of the question, or of what is looked at, in the order of tables and charts."""
ACCURACY = Axis("accuracy", "accuracy (%)", 100, ends="best")
P_RIGHT = Axis("p_right", "probability of the right answer (%)", 100, ends="p_right")
COUNTS = (("n", "items"), ("sets", "sets"))
"""Columns whose numbers stand in every chart, and what they count."""
