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
        turn = bar.begin("locality", "locality", "m", 4)
        turn.start("m", 4, 1)
        turn.advance(3, 100)
        turn.end()
        bar.begin("tails", "masks", "m", 6).end()  # finished already, or failed: it never starts
        turn = bar.begin("judge", "judge", "nll", 0)
        turn.start("nll", 2, 0)
        turn.advance(2, 0)
        turn.end()
    lines = capsys.readouterr().err.splitlines()
    assert "resuming after 1 of 4 cells" in lines[1]
    assert "4 of 4 cells" in lines[2]
    assert "all runs: 4 of 10" in lines[2]
    assert "2 of 2 verdicts" in lines[-1]
    assert "all runs: 10 of 10" in lines[-1]


def test_lines_of_turns_at_the_same_time_say_whose_they_are(capsys):
    with StudyBar(False, [("locality", 4), ("masks", 6)]) as bar:
        one, two = (bar.begin(name, name, "m", n) for name, n in (("locality", 4), ("masks", 6)))
        one.start("m", 4, 0)
        two.start("m", 6, 2)
        one.advance(4, 100)
        two.advance(4, 100)
        one.end()
        two.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines[1] == "masks m begins"
    assert lines[2] == "masks m: resuming after 2 of 6 cells"
    assert lines[3].startswith("locality m: 4 of 4 cells, ")
    assert "all runs: 6 of 10" in lines[3]
    assert lines[4].startswith("masks m: 6 of 6 cells, ")
    assert "all runs: 10 of 10" in lines[4]
