"""The committed run of the study `smoke`: its tables come out of its rows again."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import STUDY, run_folders
from mdlm_probe.reports.probe_report import make

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "results" / "reference"
STATE = json.loads((FOLDER / STUDY).read_text())
RUNS = run_folders(FOLDER)
NOTED = {"shift": ["judge"]}
"""Runs whose rows a reader has to be told something of: longer answers win between models."""


def test_it_is_the_shipped_study_whole():
    assert STATE["source"] == (ROOT / "tasks" / "smoke.yaml").read_text()
    assert {one["status"] for one in STATE["runs"].values()} == {"finished"}
    measured = {one["probe"] for one in STATE["runs"].values()}
    assert measured == {*catalog.names("probe"), "judge"}


def test_it_is_small():
    kept = [path for path in FOLDER.rglob("*") if path.suffix in (".csv", ".json")]
    assert sum(path.stat().st_size for path in kept) < 6 * 2**20


@pytest.mark.parametrize("name", RUNS)
def test_tables_come_out_of_the_rows_again(name, tmp_path, reported):
    made, notes = reported(name)
    assert [note.partition(":")[0] for note in notes] == NOTED.get(name, [])
    found = {
        f"{probe}-{title}.csv": table
        for probe, tables in made.items()
        for title, table in tables.items()
    }
    kept = {path.name for path in RUNS[name].glob("*-*.csv") if "__" not in path.name}
    assert kept == found.keys()
    for file, table in found.items():
        table.to_csv(tmp_path / file, index=False, float_format="%.6g")
        again, before = (_read(folder / file) for folder in (tmp_path, RUNS[name]))
        pd.testing.assert_frame_equal(again, before, rtol=1e-4, atol=1e-9, obj=file)


def _read(path):
    try:
        return pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()


def test_a_changed_row_is_seen(tmp_path):
    for path in RUNS["locality"].glob("*"):
        shutil.copy(path, tmp_path)
    path = tmp_path / "locality__tiny-mdlm.csv"
    frame = pd.read_csv(path)
    frame.assign(correct=0).to_csv(path, index=False)
    made, _ = make(tmp_path)
    kept = pd.read_csv(RUNS["locality"] / "locality-accuracy.csv")
    assert not made["locality"].tables["accuracy"]["accuracy"].equals(kept["accuracy"])
