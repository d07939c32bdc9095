"""What columns hold, as their probes declare it, for other tools' metadata."""

from __future__ import annotations

import pyarrow as pa

from mdlm_probe.core import catalog, columns
from mdlm_probe.core.columns import Column
from mdlm_probe.reports.exports.column_units import unit_of


def declared(probe: str, kind: str | None = None) -> dict[str, Column]:
    """The columns of a probe's rows, or of verdicts, by name; of one kind, or of all."""
    kinds = {one.name: one.columns for one in catalog.observations(probe)}
    return {c.name: c for c in (catalog.columns(probe) if kind is None else kinds[kind])}


def rows_with_metadata(table: pa.Table, probe: str, kind: str = "") -> pa.Table:
    """Rows whose fields say what they hold: type, unit and meaning, as declared.

    Columns that no probe declares, of another version's rows, have no metadata.
    """
    known = declared(probe, kind)
    said = {
        name: {"type": known[name].type.__name__, "unit": known[name].unit}
        | {"meaning": known[name].meaning}
        for name in table.column_names
        if name in known
    }
    return _with_metadata(table, said)


def table_with_metadata(table: pa.Table, probe: str, name: str) -> pa.Table:
    """A report's table whose fields have their unit, and coordinates their meaning.

    Other columns of a table are made of rows: what these mean isn't what they mean.
    """
    coordinates = {*columns.names(catalog.coordinates(probe)), columns.MODEL.name}
    known = declared(probe)
    said = {}
    for column in table.column_names:
        unit = unit_of(probe, name, column)
        said[column] = {"unit": unit} if unit else {}
        if column in coordinates:
            said[column] |= {"meaning": known[column].meaning}
    return _with_metadata(table, said)


def _with_metadata(table: pa.Table, said: dict[str, dict[str, str]]) -> pa.Table:
    """A table with these texts on its fields, none that are empty."""
    fields = []
    for field in table.schema:
        own = {name: text for name, text in said.get(field.name, {}).items() if text}
        fields.append(field.with_metadata(own) if own else field)
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))
