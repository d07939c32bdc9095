"""datapackage.json: what every column of the CSVs holds, for tools that read Data Packages.

It stands in the folder of the run or study, since a package's paths may not leave its folder. The
standard is https://datapackage.org (frictionless): Data Package 2.0, with a Table Schema for each
CSV. `unit` is a property of our own.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mdlm_probe.core import catalog
from mdlm_probe.core.columns import Column
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.reports.exports.data_dictionary import declared
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest

BESIDE = True
"""Whether its files stand beside the run's own."""

PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
TYPES: dict[type, dict[str, Any]] = {
    bool: {"type": "boolean", "trueValues": ["1"], "falseValues": ["0"]},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    list: {"type": "array"},
}
"""How Table Schema calls what a column holds."""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """datapackage.json, with a resource for each CSV of rows: its columns, bytes and hash.

    Raises:
        ProbeError: a CSV that can't be read.
    """
    root = runs[0].folder.resolve()
    name = (root.parent if runs[0].name else root).name
    package = {
        "$schema": PROFILE,
        "name": _name(name),
        "description": "Rows that mdlm-probe measured.",
        "resources": [
            resource(run, probe, path, kind, entry)
            for run in runs
            for probe in run.made
            for measurement, entry in run.measurements(probe).items()
            for kind, path in catalog.csv_names(probe, measurement).items()
            if (run.folder / path).exists()
        ],
    }
    text = json.dumps(package, indent=2, ensure_ascii=False, allow_nan=False)
    return {"datapackage.json": f"{text}\n".encode()}


def resource(
    run: ExportedRun, probe: str, file: str, kind: str, entry: dict[str, Any]
) -> dict[str, Any]:
    """A CSV of one kind of rows as a Tabular Data Resource."""
    path = run.folder / file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unusable(path, error) from error
    known, config = declared(probe, kind), entry.get("config", {})
    meaning = {one.name: one.meaning for one in catalog.observations(probe)}[kind]
    of = config.get("model") or config.get("judge") or ""
    question = "" if probe == catalog.JUDGE else catalog.first_line("probe", probe)
    said = " ".join(filter(None, (question, meaning and f"A row: {meaning}.")))
    title = f"{probe}, {kind}" if kind else probe
    return {
        "name": _name("-".join(filter(None, (run.name, path.stem)))),
        "type": "table",
        "title": f"{title} of {of}" if of else title,
        **({"description": said} if said else {}),
        "path": run.file(file),
        "format": "csv",
        "mediatype": "text/csv",
        "encoding": "utf-8",
        "bytes": len(content),
        "hash": f"sha256:{hashlib.sha256(content).hexdigest()}",
        "schema": {
            "fields": [field(name, known.get(name)) for name in _heads(path, content)],
            "missingValues": [""],
        },
    }


def field(name: str, column: Column | None) -> dict[str, Any]:
    """A column as a field of a Table Schema; of any type where no probe declares it."""
    if column is None:
        return {"name": name, "type": "any"}
    unit = {"unit": column.unit} if column.unit else {}
    return {"name": name, **TYPES[column.type], **unit, "description": column.meaning}


def _heads(path: Path, content: bytes) -> list[str]:
    """The names of a CSV's columns."""
    try:
        return next(csv.reader(content.partition(b"\n")[0].decode().splitlines()))
    except (StopIteration, ValueError) as error:
        raise ProbeError(f"{path} has no heads of columns", expected="rows of a run") from error


def _name(text: str) -> str:
    """A name as packages may have it: small letters, digits, and -._"""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()) or "run"
