"""The wheel carries all it needs: built, installed elsewhere, run from another folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
QUICK = "--tasks verb-smallest --limit 2 --shots 2 --distractors 2 --positions 0,2".split()


@pytest.mark.slow
def test_the_wheel_runs_the_demo_from_another_folder(tmp_path):
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    quick = ["--no-deps", "--no-build-isolation", "--no-cache-dir"]
    subprocess.run([*pip, "wheel", *quick, "-w", tmp_path / "dist", ROOT], check=True)
    (wheel,) = (tmp_path / "dist").glob("mdlm_probe-*.whl")
    site = tmp_path / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", site, wheel], check=True)
    assert (site / "mdlm_probe" / "py.typed").is_file()
    assert wheel.stat().st_size < 20e6
    (tmp_path / "elsewhere").mkdir()
    code = (
        "import mdlm_probe, sys; from mdlm_probe.cli import main\n"
        f"assert mdlm_probe.__file__.startswith({str(site)!r}), mdlm_probe.__file__\n"
        f"main(['locality', *{QUICK!r}], standalone_mode=False)\n"
        "main(['report', 'results/locality'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "report.html" in done.stdout.splitlines()[-1]
    assert "tiny-mdlm" in done.stdout
    assert "tiny-arlm" in done.stdout
    assert (
        tmp_path / "elsewhere" / "results" / "locality" / "locality.png"
    ).stat().st_size > 10_000
