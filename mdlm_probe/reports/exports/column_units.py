"""The units of the reports' columns: as the report declares them, else as the rows' columns do."""

from __future__ import annotations

from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value

SHOWN = {"%", "logits", "nats", "points", "tokens"}
"""Units of the rows' columns that tables show. Shares and probabilities need none, and what else is
counted is in the column's name.
"""


def unit_of(probe: str, table: str, column: str) -> str:
    """The unit of a report's column; "" for shares, probabilities and counts."""
    own: dict[str, str] = value("report", catalog.load("report", probe), "UNITS").get(table, {})
    if column in own:
        return own[column]
    units = {declared.name: declared.unit for declared in catalog.columns(probe)}
    unit = units.get(column, "")
    return unit if unit in SHOWN else ""
