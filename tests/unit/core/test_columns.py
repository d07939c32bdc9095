"""Columns: what cells and probes declare, by hand, and held against the committed run's rows."""

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import reference

from mdlm_probe.core import catalog
from mdlm_probe.core.columns import (
    FILE,
    TYPES,
    Column,
    Unit,
    coordinates,
    empty,
    names,
    read_cell,
)

REFERENCE = Path(__file__).parent.parent.parent.parent / "results" / "reference"
WRITTEN = {
    f"{path.stem}": (*reference.kind_of(path.stem), path)
    for path in sorted(REFERENCE.glob("*/*__*.csv"))
}
READ = {
    bool: lambda text: {"0": False, "1": True}[text],
    int: int,
    float: float,
    str: str,
    list: json.loads,
}


@dataclass(frozen=True)
class Base:
    source: Annotated[str, "where it is from", FILE]
    masks: Annotated[int, "masks of it", Unit("masks")]


@dataclass(frozen=True)
class Cell(Base):
    way: Annotated[Literal["a", "b"], "which way"]
    floor: Annotated[float | None, "least", Unit("nats")] = None


def test_a_cells_fields_are_columns():
    assert coordinates(Cell) == (
        Column("source", str, "", "where it is from", file=True),
        Column("masks", int, "masks", "masks of it"),
        Column("way", str, "", "which way"),
        Column("floor", float, "nats", "least"),
    )
    assert names(coordinates(Base)) == ("source", "masks")
    assert empty(coordinates(Base)) == {"source": None, "masks": None}


def test_a_cell_is_read_back_from_text():
    row = {"source": "12", "masks": "3", "way": "b", "floor": "", "more": "x"}
    assert read_cell(Cell, row) == Cell("12", 3, "b", None)
    assert read_cell(Cell, row | {"floor": "0.5"}).floor == 0.5
    with pytest.raises(ValueError, match="invalid literal"):
        read_cell(Cell, row | {"masks": ""})
    with pytest.raises(KeyError):
        read_cell(Cell, {"source": ""})


@pytest.mark.parametrize("name", [*catalog.names("probe"), catalog.JUDGE])
def test_every_column_has_a_type_and_a_meaning_of_one_line(name):
    columns = catalog.columns(name)
    assert len(set(names(columns))) == len(columns)
    for column in columns:
        assert column.type in TYPES
        assert re.fullmatch(r"[^.\n]\S.*[^.\s]", column.meaning), column
        assert len(column.meaning) <= 80
        assert column.type in (int, float) or not column.unit, column
        assert re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", column.name)


@pytest.mark.parametrize("name", WRITTEN)
def test_the_committed_rows_have_these_columns_of_these_types(name):
    probe, kind, path = WRITTEN[name]
    columns = {one.name: one.columns for one in catalog.observations(probe)}[kind]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        heads = tuple(reader.fieldnames or ())
        assert heads == tuple(name for name in names(columns) if name in heads)
        assert all(column.optional for column in columns if column.name not in heads)
        for row in reader:
            for column in columns:
                if row.get(column.name):
                    READ[column.type](row[column.name])


def test_the_committed_run_is_there_and_has_every_probe():
    kinds = {(p, kind.name) for p in catalog.names("probe") for kind in catalog.observations(p)}
    assert {one[:2] for one in WRITTEN.values()} == {*kinds, (catalog.JUDGE, "")}
