"""Parquet and JSON lines: what is read back is what was measured."""

import csv
import io
import json
import math

import made_runs
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import call

from mdlm_probe.core.csv_text import text_of
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.reports import exports
from mdlm_probe.reports.exports import typed_rows
from mdlm_probe.reports.exports.arrow_tables import arrow
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.formats import jsonl

pytestmark = pytest.mark.usefixtures("reports_once")

ODD = [
    {
        "model": "m",
        "set": "",
        "item": 1,
        "amount": 0,
        "right": "007",
        "predicted": "a\nb\\n",
        "x": 1,
    }
    | {"correct": 1, "logp_right": -0.5, "gap": float("nan"), "none": None},
    {
        "model": "m",
        "set": "b, c",
        "item": 2,
        "amount": 7,
        "right": "12",
        "predicted": None,
        "x": 2.5,
    }
    | {"correct": 0, "logp_right": float("-inf"), "gap": None, "none": None},
]
"""Rows of locality, for which the probe declares set (text), item and masks (whole numbers)."""


@pytest.fixture
def odd(tmp_path):
    made_runs.written(tmp_path, "locality", ODD)
    return typed_rows.typed(ExportedRun("", tmp_path, read_run(tmp_path), {}), "locality")


@pytest.mark.slow
def test_parquet_read_back_is_the_csv_field_by_field(run, exported):
    for probe in ("masks", "locality"):
        expected = made_runs.fields(run, probe)
        found = pq.read_table(exported / f"{probe}.parquet").to_pylist()
        assert [{name: text_of(v) for name, v in row.items()} for row in found] == expected
        assert len(found) >= 16


@pytest.mark.slow
def test_json_lines_read_back_are_the_csv_field_by_field(run, tmp_path):
    call("export", run, "--to", "jsonl", "--only", "rows", "-o", tmp_path)
    lines = (tmp_path / "masks.jsonl").read_text().split("\n")[:-1]
    found = [{name: text_of(v) for name, v in json.loads(line).items()} for line in lines]
    assert found == made_runs.fields(run, "masks")
    assert not (tmp_path / "masks-drop.jsonl").exists()
    call("export", run, "--to", "jsonl", "--only", "tables", "-o", tmp_path / "tables")
    assert (tmp_path / "tables" / "masks-drop.jsonl").exists()
    assert not (tmp_path / "tables" / "masks.jsonl").exists()


def test_tables_read_back_are_the_reports(made, exported):
    for name, table in made["masks"].tables.items():
        found = pd.read_parquet(exported / f"masks-{name}.parquet")
        numbers = table.select_dtypes("number")
        pd.testing.assert_frame_equal(found[list(numbers)], numbers)
        texts = [c for c in table if c not in numbers]
        assert found[texts].to_numpy().tolist() == table[texts].astype(str).to_numpy().tolist()
        lines = (exported / f"masks-{name}.jsonl").read_text().split("\n")[:-1]
        assert [json.loads(line) for line in lines] == [
            {n: None if v != v else v for n, v in row.items()} for row in found.to_dict("records")
        ]


def test_types_are_the_cells_own_whatever_the_values_look_like(odd, exported):
    schema = pq.read_schema(exported / "masks.parquet")
    types = dict(zip(schema.names, schema.types, strict=True))
    assert types["amount"] == types["set"] == types["predicted"] == pa.string()
    assert types["item"] == types["correct"] == types["steps"] == pa.int64()
    assert types["logp_right"] == types["logp_C"] == pa.float64()
    assert "logp_D" not in types, "of three options"
    assert odd.schema.field("amount").type == odd.schema.field("item").type == pa.int64()
    assert odd.schema.field("x").type == odd.schema.field("none").type == pa.float64()


def test_nothing_nan_and_texts_that_look_like_numbers_stay_what_they_are(odd):
    first, second = odd.to_pylist()
    assert (first["right"], second["right"]) == ("007", "12")
    assert first["predicted"] == "a\nb\\n"
    assert second["predicted"] is None
    assert (first["set"], second["set"]) == ("", "b, c")
    assert math.isnan(first["gap"])
    assert second["gap"] is None
    assert second["logp_right"] == -math.inf
    assert (first["x"], second["x"]) == (1.0, 2.5)


def test_measured_columns_have_the_probes_types_whatever_their_values_look_like(tmp_path):
    """Text of digits, a mean that happens to be whole, whole numbers of which there are none."""
    rows = [{"model": "m", "top": "1", "entropy": 2, "place": None, "js": 0.5}] * 2
    made_runs.written(tmp_path, "decay", rows)
    found = typed_rows.typed(ExportedRun("", tmp_path, read_run(tmp_path), {}), "decay", "places")
    types = [found.schema.field(name).type for name in ("top", "entropy", "place", "js")]
    assert types == [pa.string(), pa.float64(), pa.int64(), pa.float64()]
    assert found.to_pylist()[0] == {
        "model": "m",
        "top": "1",
        "entropy": 2,
        "place": None,
        "js": 0.5,
    }


def test_values_that_a_column_cannot_have_are_read_as_what_they_are(tmp_path):
    """Rows of another version, or changed by hand, are exported, too."""
    rows = [{"model": "m", "item": 1.5, "correct": "maybe", "amount": "max"}]
    made_runs.written(tmp_path, "locality", rows)
    found = typed_rows.typed(ExportedRun("", tmp_path, read_run(tmp_path), {}), "locality")
    assert found.to_pylist() == [{"model": "m", "item": 1.5, "correct": "maybe", "amount": "max"}]


def test_a_column_of_lists_is_json_in_the_csv_and_everywhere(tmp_path):
    canvas = ["\n", '"', "\\n", [226, 130], ""]
    made_runs.written(tmp_path, "shift", [{"model": "m", "answer": "\n", "canvas": canvas}])
    text = (tmp_path / "shift__m.csv").read_bytes().decode()
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert json.loads(row["canvas"]) == canvas
    run = ExportedRun("", tmp_path, read_run(tmp_path), {})
    (row,) = typed_rows.typed(run, "shift").to_pylist()
    assert row["answer"] == "\n"
    assert json.loads(row["canvas"]) == canvas


def test_json_lines_are_json_whatever_the_numbers(odd):
    lines = jsonl._lines(odd).decode().split("\n")[:-1]
    first, second = (json.loads(line, parse_constant=pytest.fail) for line in lines)
    assert first["gap"] is None
    assert second["logp_right"] == "-inf"
    assert first["predicted"] == "a\nb\\n"


def test_a_half_written_line_is_left_out(tmp_path):
    path = made_runs.written(tmp_path, "locality", ODD)
    path.write_bytes(path.read_bytes() + b"m,a,3,0,x")
    assert len(typed_rows.typed(ExportedRun("", tmp_path, read_run(tmp_path), {}), "locality")) == 2


def test_a_broken_csv_is_an_error_of_one_line(tmp_path):
    path = made_runs.written(tmp_path, "locality", ODD)
    path.write_bytes(path.read_bytes() + b"m,a\n")
    with pytest.raises(exports.ProbeError, match=r"cannot read .*locality__m\.csv"):
        typed_rows.typed(ExportedRun("", tmp_path, read_run(tmp_path), {}), "locality")


def test_tables_of_mixed_columns_become_text():
    frame = pd.DataFrame({"k": [1, "max"], "n": [1, 2], "x": [None, "a"], "y": [0.5, float("nan")]})
    frame["c"] = pd.Categorical(["b", "a"], ["b", "a"])
    assert arrow(frame).to_pylist() == [
        {"k": "1", "n": 1, "x": None, "y": 0.5, "c": "b"},
        {"k": "max", "n": 2, "x": "a", "y": None, "c": "a"},
    ]
