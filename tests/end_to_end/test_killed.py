"""Runs that are killed at any moment: resumed, they end as if never stopped."""

import json
import signal
import subprocess
import sys
import time

import pytest
from commands import call


@pytest.mark.slow
def test_kill_at_any_moment(tmp_path):
    """kill -9 at moments spread over a run; the file that grows is the uninterrupted one's."""
    few = "--tasks verb-smallest --limit 40 --shots 2 --distractors 4 --positions 0,4"
    options = f"locality {few} --batch-tokens 300 -m oracle --device cpu".split()
    code = "from mdlm_probe.cli import main; main()"
    command = [sys.executable, "-c", code, *options, "-o", str(tmp_path / "b")]
    call(*options, "-o", tmp_path / "a")
    expected = (tmp_path / "a" / "locality__oracle.csv").read_bytes()
    csv = tmp_path / "b" / "locality__oracle.csv"
    sizes = []
    for n in range(3):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        before = csv.stat().st_size if csv.exists() else 0
        while process.poll() is None and (
            not csv.exists() or csv.stat().st_size <= before + 300 * n
        ):
            time.sleep(0.01)
        time.sleep(0.013 * n)
        process.send_signal(signal.SIGKILL)
        process.wait()
        sizes.append(csv.stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[0] < len(expected)
    call(*options, "-o", tmp_path / "b")
    assert csv.read_bytes() == expected


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
