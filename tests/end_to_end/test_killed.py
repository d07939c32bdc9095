"""Runs that are killed at any moment: resumed, they end as if never stopped."""

import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.slow
def test_kill_at_any_moment(tmp_path):
    """kill -9 at moments spread over a run; the file that grows is the uninterrupted one's."""
    options = "--tasks verb-smallest --limit 40 --batch-tokens 600 -m oracle --device cpu".split()

    def command(folder):
        code = "from mdlm_probe.cli import main; main()"
        return [sys.executable, "-c", code, "locality", *options, "-o", str(folder)]

    subprocess.run(command(tmp_path / "a"), check=True, capture_output=True)
    expected = (tmp_path / "a" / "locality__oracle.csv").read_bytes()
    csv = tmp_path / "b" / "locality__oracle.csv"
    sizes = []
    for n in range(4):
        process = subprocess.Popen(
            command(tmp_path / "b"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
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
    subprocess.run(command(tmp_path / "b"), check=True, capture_output=True)
    assert csv.read_bytes() == expected
