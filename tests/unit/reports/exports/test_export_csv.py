"""CSV for spreadsheets: what is text there, and what they would run."""

import csv
import io

import pyarrow as pa
import pytest
from commands import call

from mdlm_probe.reports.exports.formats.csv import _written

TEXTS = ["=1+1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", " =1", "a=1", "007", "a\nb", '"', None]


@pytest.mark.parametrize("safe", [False, True])
def test_texts_that_a_spreadsheet_would_run_are_neutralised(safe):
    table = pa.table({"answer": TEXTS, "nll": [-0.5] * len(TEXTS), "=x": [1] * len(TEXTS)})
    rows = list(csv.reader(io.StringIO(_written(table, safe).decode(), newline="")))
    assert [row[0] for row in rows[1:7]] == [f"'{text}" if safe else text for text in TEXTS[:6]]
    assert [row[0] for row in rows[7:]] == [text or "" for text in TEXTS[6:]]
    assert {row[1] for row in rows[1:]} == {"-0.5"}, "numbers are numbers"
    assert rows[0] == ["answer", "nll", "'=x" if safe else "=x"]


def test_safe_is_for_csv(tmp_path):
    said = call("export", tmp_path, "--to", "jsonl", "--safe", code=1).output
    assert "--safe changes CSV alone" in said
