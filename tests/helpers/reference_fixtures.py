"""What reports make of the committed runs, once for all workers; none of it is to be changed."""

import pickle
import shutil
from functools import cache, partial

import pytest
import reference

from mdlm_probe.core.run_folder import RUN
from mdlm_probe.reports.probe_report import make


@pytest.fixture(scope="session")
def reported(once):
    """A function that gives the tables, by probe, and the notes made of a run's rows alone."""

    @cache
    def of(name):
        path = once(f"reported-{name}", partial(_keep, name)) / "reported.pickle"
        return pickle.loads(path.read_bytes())

    return of


def _keep(name, folder):
    folder.mkdir()
    run = reference.FOLDER / name
    for path in (*run.glob("*__*.csv"), run / RUN):
        shutil.copy(path, folder)
    made, notes = make(folder)
    tables = {probe: one.tables for probe, one in made.items()}
    (folder / "reported.pickle").write_bytes(pickle.dumps((tables, notes)))
