"""The fuzz campaign, and that it finds what there is to find."""

import json
import random

import pytest

from tests.fuzz import campaign, targets
from tests.fuzz.odd_values import damaged_csv, damaged_json, damaged_yaml, written_json


@pytest.mark.slow
def test_no_odd_input_ends_in_a_traceback_or_a_hang():
    """`make fuzz` tries thousands."""
    assert campaign.campaign(inputs=300, seed=0) == []


def raised(rng, home):
    raise KeyError("found")


def endless(rng, home):
    while True:
        pass


def test_tracebacks_and_hangs_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(campaign, "LIMIT", 1)
    monkeypatch.setattr(targets, "KINDS", {"raised": (raised, 1), "endless": (endless, 1)})
    assert "KeyError: 'found'" in campaign.one("raised", 0, 0, tmp_path)
    assert campaign.one("endless", 0, 0, tmp_path).startswith("hang:")


def test_errors_that_users_can_mend_are_none(tmp_path, monkeypatch):
    for line in (["plan", "nothing"], ["report", "nowhere"], ["--what"]):
        kinds = {"asked": (lambda rng, home, line=line: targets.run(*line), 1)}
        monkeypatch.setattr(targets, "KINDS", kinds)
        assert campaign.one("asked", 0, 0, tmp_path) == ""


def test_a_process_that_dies_is_known_by_its_input(monkeypatch):
    """Where a worker dies, the inputs after that one are tried by another."""
    dies = "import json, os; print(json.dumps({'begun': 3}), flush=True); os.abort()"
    monkeypatch.setattr(campaign.sys, "executable", "sh")
    begun = campaign.subprocess.Popen

    def popen(command, **given):
        numbers = command[command.index("--from") + 1], command[command.index("--to") + 1]
        code = dies if numbers == ("3", "5") else 'print(\'{"begun": 4}\\n{"done": 4}\')'
        return begun(["python3", "-c", code], **given)

    monkeypatch.setattr(campaign.subprocess, "Popen", popen)
    assert campaign._watched("any", 3, 5, 0) == ["any 3: the process died with status -6"]


def test_what_is_made_is_the_same_for_the_same_seed():
    def made(seed):
        rng = random.Random(seed)
        value = {"a": [1, {"b": "x"}], "c": None}
        return (
            repr(damaged_json(rng, value)),
            written_json(rng, value),
            damaged_yaml(rng, "a: 1\nb: [x]\n"),
            damaged_csv(rng, b"a,b\n1,2\n"),
        )

    assert made(1) == made(1)
    assert len({made(seed) for seed in range(50)}) == 50
    assert json.dumps({"a": [1, {"b": "x"}], "c": None}), "what is damaged is a copy"
