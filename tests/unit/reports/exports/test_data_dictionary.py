"""The data dictionary: what probes declare of columns, in datapackage.json and in Parquet."""

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import made_runs
import pyarrow.parquet as pq
import pytest
import reference
from commands import call

from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.formats import datapackage

pytestmark = pytest.mark.usefixtures("reports_once")

NAME = re.compile(r"[-a-z0-9._/]+")
VALUES = {
    "boolean": re.compile("[01]"),
    "integer": re.compile(r"-?\d+"),
    "number": re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?"),
    "string": re.compile(r"(?s).*"),
    "array": re.compile(r"\[.*\]"),
}
"""How Table Schema 2.0 writes each type, with the values of booleans that the fields name."""


def check_package(folder):
    """The required fields of Data Package 2.0, and that every CSV is as its schema says."""
    package = json.loads((folder / "datapackage.json").read_text())
    assert package["resources"]
    names = [one["name"] for one in package["resources"]]
    assert len(names) == len(set(names))
    for one in package["resources"]:
        assert NAME.fullmatch(one["name"])
        assert not one["path"].startswith("/")
        assert ".." not in one["path"].split("/")
        content = (folder / one["path"]).read_bytes()
        assert one["bytes"] == len(content)
        assert one["hash"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        fields = one["schema"]["fields"]
        heads, *rows = csv.reader(content.decode(one["encoding"]).splitlines())
        assert [field["name"] for field in fields] == heads
        for field, values in zip(fields, zip(*rows, strict=True), strict=True):
            kind = VALUES[field["type"]]
            for value in set(values) - set(one["schema"]["missingValues"]):
                assert kind.fullmatch(value), (one["path"], field["name"], value)
    return package


@pytest.fixture(scope="session")
def study(once):
    """A model's rows of probes with each type of column, verdicts too, and their package."""

    def make(folder):
        for name in ("masks", "shift", "joint"):
            reference.run(folder / name, name, "tiny-mdlm")
        shutil.copy(reference.FOLDER / "study.json", folder)
        call("export", folder, "--to", "datapackage")
        return folder

    return once("packaged", make)


@pytest.mark.slow
def test_the_package_is_valid_and_describes_every_csv(study):
    package = check_package(study)
    assert {one["path"] for one in package["resources"]} == {
        str(path.relative_to(study)) for path in study.glob("*/*__*.csv")
    }
    types = {f["type"] for one in package["resources"] for f in one["schema"]["fields"]}
    assert types == VALUES.keys()


def test_fields_say_what_the_probes_declare(study):
    package = json.loads((study / "datapackage.json").read_text())
    for one in package["resources"]:
        probe, kind = reference.kind_of(Path(one["path"]).stem)
        kinds = {k.name: k for k in catalog.observations(probe)}
        known = {column.name: column for column in kinds[kind].columns}
        assert kinds[kind].meaning in one.get("description", "")
        for field in one["schema"]["fields"]:
            column = known[field["name"]]
            assert field["description"] == column.meaning
            assert field.get("unit", "") == column.unit


def test_a_run_by_itself_has_its_package_beside_its_rows(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    said = call("export", folder, "--to", "datapackage,markdown", "-o", tmp_path / "out").output
    assert f"wrote {folder / 'datapackage.json'}" in said
    package = check_package(folder)
    assert package["name"] == "run"
    assert (tmp_path / "out" / "masks.md").exists()
    assert not (tmp_path / "out" / "datapackage.json").exists()
    said = call("export", folder, "--to", "datapackage", "-o", tmp_path / "x", code=1).output
    assert "beside the CSVs" in said
    (folder / "datapackage.json").write_text("{}")
    assert "was changed" in call("export", folder, "--to", "datapackage", code=1).output


def test_a_column_that_no_probe_declares_is_of_any_type(tmp_path):
    made_runs.written(tmp_path, "locality", [{"model": "m", "set": "a", "older": 1}])
    run = ExportedRun("", tmp_path, read_run(tmp_path), {"locality": None})
    made = datapackage.files([run], ExportRequest())["datapackage.json"]
    fields = json.loads(made)["resources"][0]["schema"]["fields"]
    assert fields[2] == {"name": "older", "type": "any"}
    assert fields[1]["type"] == "string"


def test_parquet_fields_say_type_unit_and_meaning(run, exported):
    """Of the columns that the run's CSVs have: all declared ones but some that are optional."""
    for probe in ("masks", "locality"):
        schema = pq.read_schema(exported / f"{probe}.parquet")
        lines = [path.read_text().splitlines()[0] for path in run.glob(f"{probe}__*.csv")]
        heads = set().union(*(line.split(",") for line in lines))
        declared = {column.name: column for column in catalog.columns(probe)}
        assert set(schema.names) == heads <= declared.keys()
        assert all(declared[name].optional for name in declared.keys() - heads)
        for column in (declared[name] for name in heads):
            said = schema.field(column.name).metadata
            assert said[b"type"].decode() == column.type.__name__
            assert said.get(b"unit", b"").decode() == column.unit
            assert said[b"meaning"].decode() == column.meaning


def test_tables_in_parquet_have_units_and_the_meaning_of_coordinates_alone(exported):
    schema = pq.read_schema(exported / "masks-drop.parquet")
    assert schema.field("points").metadata == {b"unit": b"points"}
    assert b"appended" in schema.field("filler").metadata[b"meaning"]
    curve = pq.read_schema(exported / "masks-curve.parquet")
    assert b"meaning" not in (curve.field("appended").metadata or {})  # a mean, not the rows'
