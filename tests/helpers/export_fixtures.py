"""A real run, and its exports, each made once; none of it is to be written to."""

import made_runs
import pytest
from commands import call

from mdlm_probe.reports import probe_report


@pytest.fixture(scope="session")
def run(once):
    """Masks of both bundled models, locality of one under masks."""
    return once("run", made_runs.committed)


@pytest.fixture(scope="session")
def made(run):
    """What the reports make of the run, by probe."""
    return probe_report.make(run)[0]


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """The folder of the run's exports to every kind of file."""
    folder = tmp_path_factory.mktemp("files")
    call("export", run, "--to", made_runs.FILES, "-o", folder)
    return folder
