"""Runs that are killed at any moment: resumed, they end as if never stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest
from commands import call

from mdlm_probe.core import catalog
from tests.fuzz.kills import killed

FEW = "locality --tasks verb-smallest --limit 40 --shots 2 --distractors 4 --positions 0,4"
RUNS = {
    "locality": f"{FEW} --batch-tokens 300 -m oracle",
    "joint": "joint --limit 1 --masks 4 --length 4 --budget 2 --orders left_to_right -m oracle"
    " --batch-tokens 100",
}
"""The second has rows of four kinds, each in a file of its own."""


@pytest.mark.slow
@pytest.mark.parametrize("probe", RUNS)
def test_kill_at_any_moment(tmp_path, probe):
    """kill -9 at moments spread over a run; the files that grow are the uninterrupted one's."""
    names = catalog.csv_names(probe, f"{probe}__oracle").values()
    options = [*RUNS[probe].split(), "--device", "cpu"]

    def size():
        return sum(f.stat().st_size for n in names if (f := tmp_path / "b" / n).exists())

    call(*options, "-o", tmp_path / "a")
    expected = {name: (tmp_path / "a" / name).read_bytes() for name in names}
    whole, sizes = sum(map(len, expected.values())), []
    for n in range(3):
        before = size()
        with killed(RUNS[probe], tmp_path / "b") as lives:
            while lives() and size() <= before + 300 * n:
                time.sleep(0.002)
            time.sleep(0.005 * n)
        sizes.append(size())
    assert sizes == sorted(sizes)
    assert 0 < sizes[0] < whole
    call(*options, "-o", tmp_path / "b")
    assert {name: (tmp_path / "b" / name).read_bytes() for name in names} == expected
    assert not list((tmp_path / "b").glob("*.seal"))


WRITER = """
import sys
from pathlib import Path
from mdlm_probe.core.json_lines import JsonLines
log = JsonLines(Path(sys.argv[1]), "record", ("id",))
for n in range(len(log.records), 2000):
    log.append([{"id": n, "text": "x" * (n % 97)}])
"""


def test_a_log_killed_at_any_moment_loses_no_whole_line(tmp_path):
    path = tmp_path / "log"
    for n in range(4):
        before = path.stat().st_size if path.exists() else 0
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
        while process.poll() is None and not (
            path.exists() and path.stat().st_size > before + 500 * n
        ):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept = path.read_bytes()
        assert len(kept) >= before
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True)
    rows = [{"id": n, "text": "x" * (n % 97)} for n in range(2000)]
    assert path.read_text() == "".join(json.dumps(row) + "\n" for row in rows)
    assert path.read_bytes().startswith(kept[: kept.rfind(b"\n") + 1])
