"""Progress: the time that is left, and what stands on plain lines."""

import pytest

from mdlm_probe.cli.progress import Pace, StudyBar


def test_the_time_left_goes_by_each_probes_own_pace():
    pace = Pace({"quick": 10, "slow": 4, "new": 5})
    assert pace.seconds() is None
    pace.add("quick", 2, 2.0)
    pace.skip("quick", 2)
    pace.add("slow", 1, 7.0)
    pace.skip("slow", 1)
    # one second each, seven seconds each, and the mean of three cells in nine seconds
    assert pace.seconds() == pytest.approx(8 * 1 + 3 * 7 + 5 * 3)


def test_plain_lines_say_how_far_all_runs_are(capsys):
    with StudyBar(False, [("locality", 4), ("masks", 6)]) as bar:
        bar.begin("locality", "locality", "m", 4)
        bar.start("m", 4, 1)
        bar.advance(3, 100)
        bar.end()
        bar.begin("tails", "masks", "m", 6)  # finished already, or failed: it never starts
        bar.end()
        bar.begin("judge", "judge", "nll", 0)
        bar.start("nll", 2, 0)
        bar.advance(2, 0)
        bar.end()
    lines = capsys.readouterr().err.splitlines()
    assert "resuming after 1 of 4 cells" in lines[1]
    assert "4 of 4 cells" in lines[2]
    assert "all runs: 4 of 10" in lines[2]
    assert "2 of 2 verdicts" in lines[-1]
    assert "all runs: 10 of 10" in lines[-1]
