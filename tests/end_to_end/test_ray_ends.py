"""Runs on Ray that are ended from outside: no process is left, and the same command resumes.

Their workers are held at a cell in the midst: however busy the machine is, none of these runs comes
to its end before it is ended.
"""

import os
import re
import shlex
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
WORKERS = {"test_ctrl_c_ends_all_processes": 2}
"""Of each test; of others one, for each loads libraries for seconds."""
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


@pytest.fixture(scope="module")
def drivers(request, tmp_path_factory):
    """For each test its run, by name: all begin at once, so that their waits are one."""
    home = tmp_path_factory.mktemp("drivers")
    names = [item.name for item in request.session.items if item.module is request.module]
    own = {name: ["--workers", str(WORKERS.get(name, 1)), "-o", str(home / name)] for name in names}
    typed = [[*ASKED, *own[name]] for name in names]
    command = [sys.executable, held_run.__file__, *map(shlex.join, typed)]
    with (home / "ends").open("w") as file, subprocess.Popen(command, stdout=file) as process:

        def told():
            return (home / "ends").read_text().splitlines()

        wait_for(lambda: len(told()) >= len(names), "no driver came")
        pids = dict(zip(names, map(int, told()[: len(names)]), strict=True))
        found = {name: Started(home / name, pid, told) for name, pid in pids.items()}
        yield found
        for one in found.values():
            one.kill()
        process.wait(PATIENCE)


@pytest.fixture
def started(request, drivers):
    """The run of this test, some of whose rows are there."""
    one = drivers[request.node.name]
    one.wait()
    return one


class Started:
    """A run on Ray, in a session of its own.

    Args:
        folder: its output.
        pid: of its process.
        told: what its parent says, by lines.
    """

    def __init__(self, folder, pid, told):
        self.folder, self.pid, self._told = folder, pid, told
        self.children, self.named, self.code = [], {}, None

    def wait(self):
        """Until rows are there."""
        csv = self.folder / CSV
        wait_for(lambda: csv.exists() and csv.read_bytes().count(b"\n") > 8, "no rows came")
        self.children = psutil.Process(self.pid).children(recursive=True)
        self.named = {child.name(): child for child in self.children}

    def ended(self):
        """What it said, once it and all that it began have ended."""
        wait_for(lambda: any(map(self._is_end, self._told())), "the run goes on")
        (self.code,) = (int(line.split()[1]) for line in self._told() if self._is_end(line))
        wait_for(lambda: not any(map(is_there, self.children)), "processes are left")
        return self.folder.with_suffix(".txt").read_text()

    def _is_end(self, line):
        return line.startswith(f"{self.pid} ")

    def kill(self):
        """Ends what a failed test left."""
        with suppress(psutil.NoSuchProcess):
            if not any(map(self._is_end, self._told())):
                driver = psutil.Process(self.pid)
                self.children += driver.children(recursive=True)
                driver.kill()
        for process in self.children:
            with suppress(psutil.NoSuchProcess):
                process.kill()


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


def test_ctrl_c_ends_all_processes(started, whole):
    assert {"raylet", "gcs_server"} <= started.named.keys()
    os.killpg(started.pid, signal.SIGINT)  # as a terminal does
    assert "the same command, without --fresh, resumes" in started.ended()
    assert started.code == 130
    assert resumed(started.folder, whole)


def test_no_worker_survives_a_killed_driver(started):
    # two small parts of Ray look for its head for a minute before they end
    agents = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}
    late = [child for child in started.children if child.name() in agents]
    started.children = [child for child in started.children if child not in late]
    (place,) = set(re.findall(r"/[^ =]*/mdlm-\w+", " ".join(started.named["gcs_server"].cmdline())))
    os.kill(started.pid, signal.SIGKILL)
    started.ended()
    for child in late:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    shutil.rmtree(place)  # nobody is left who would


def test_a_lost_head_is_an_error_and_the_same_command_resumes(started, whole):
    started.named["gcs_server"].kill()
    said = started.ended()
    assert started.code == 1, said
    assert "is gone\nhint: what was measured is kept; the same command resumes" in said
    assert "Traceback" not in said
    assert len(said.splitlines()) < 12, said
    assert resumed(started.folder, whole)
