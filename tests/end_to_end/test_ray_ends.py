"""Runs on Ray that are ended from outside: no process is left, and the same command resumes.

Their workers are held at a cell in the midst: however busy the machine is, none of these runs comes
to its end before it is ended.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import held_run
import psutil
import pytest
from commands import call

from mdlm_probe.cli import run_probe

pytestmark = pytest.mark.slow
CSV = "locality__oracle.csv"
FEW = "--tasks verb-smallest --limit 12 --shots 2 --distractors 4 --positions 0,4".split()
ASKED = ["locality", "-m", "oracle", "--device", "cpu", "--batch-tokens", "50", *FEW]
PATIENCE = 120
"""Seconds: only what hangs takes so long."""


@pytest.fixture(scope="module", autouse=True)
def no_report():
    """Runs end with their rows: their figures take as long as all else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_probe, "show_report", lambda folder: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a run in this process."""
    folder = tmp_path_factory.mktemp("whole")
    call(*ASKED, "-q", "-o", folder)
    return (folder / CSV).read_bytes()


def wait_for(what, said):
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, said
        time.sleep(0.05)


class Started:
    """A run with two workers, in a process group of its own, some of whose rows are there."""

    def __init__(self, folder):
        csv = folder / CSV
        self.process = subprocess.Popen(
            [sys.executable, held_run.__file__, *ASKED, "--workers", "2", "-o", str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        wait_for(lambda: csv.exists() and csv.read_bytes().count(b"\n") > 8, "no rows came")
        self.children = psutil.Process(self.process.pid).children(recursive=True)
        self.named = {child.name(): child for child in self.children}

    def ended(self):
        """What it said, once it and all that it began have ended."""
        said, _ = self.process.communicate(timeout=PATIENCE)
        wait_for(lambda: not any(map(is_there, self.children)), "processes are left")
        return said


def is_there(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def resumed(folder, whole):
    """Whether the same command, of one process, ends a run as if nothing had happened."""
    kept = (folder / CSV).read_bytes()
    assert whole.startswith(kept[: kept.rfind(b"\n") + 1])
    assert len(kept) < len(whole)
    assert "resuming after" in call(*ASKED, "-o", folder).stderr
    return (folder / CSV).read_bytes() == whole


def test_ctrl_c_ends_all_processes(tmp_path, whole):
    started = Started(tmp_path)
    assert {"raylet", "gcs_server"} <= started.named.keys()
    os.killpg(started.process.pid, signal.SIGINT)  # as a terminal does
    assert "the same command, without --fresh, resumes" in started.ended()
    assert started.process.returncode == 130
    assert resumed(tmp_path, whole)


def test_no_worker_survives_a_killed_driver(tmp_path):
    started = Started(tmp_path)
    # two small parts of Ray look for its head for a minute before they end
    agents = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    late = [child for child in started.children if child.name() in agents]
    started.children = [child for child in started.children if child not in late]
    (place,) = set(re.findall(r"/[^ =]*/mdlm-\w+", " ".join(started.named["gcs_server"].cmdline())))
    started.process.kill()
    started.ended()
    for child in late:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    shutil.rmtree(place)  # nobody is left who would


def test_a_lost_head_is_an_error_and_the_same_command_resumes(tmp_path, whole):
    started = Started(tmp_path)
    started.named["gcs_server"].kill()
    said = started.ended()
    assert started.process.returncode == 1, said
    assert "is gone\nhint: what was measured is kept; the same command resumes" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 12, said
    assert resumed(tmp_path, whole)
