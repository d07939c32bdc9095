"""A real run, its reports, and its exports, each made once; none of it is to be written to."""

import hashlib

import made_runs
import pytest
from commands import call

from mdlm_probe.reports import probe_report

REPORTS = {}
"""What was made of a folder's rows, by what they are; empty, it is made anew."""
_make = probe_report.make


def made_once(folder, models=None):
    """What reports make of a run, made once of equal rows: tests of exports see what is written.

    An export that changed a table would change what the next one writes, too.
    """
    paths = [*sorted(folder.glob("*__*.csv")), folder / "run.json"]
    rows = {p.name: hashlib.sha256(p.read_bytes()).digest() for p in paths if p.exists()}
    key = str((rows, models or probe_report.models_of(folder)))
    if key not in REPORTS:
        REPORTS[key] = _make(folder, models)
    made, notes = REPORTS[key]
    return dict(made), list(notes)


@pytest.fixture
def reports_once(monkeypatch):
    """Commands of this process make the reports of equal rows once."""
    monkeypatch.setattr(probe_report, "make", made_once)


@pytest.fixture(scope="session")
def run(once):
    """Masks of both bundled models, locality of one under masks."""
    return once("run", made_runs.committed)


@pytest.fixture(scope="session")
def made(run):
    """What the reports make of the run, by probe."""
    return made_once(run)[0]


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """The folder of the run's exports to every kind of file."""
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(probe_report, "make", made_once)
        call("export", run, "--to", made_runs.FILES, "-o", folder)
    return folder
