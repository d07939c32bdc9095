"""The fuzz campaign, and that it finds what there is to find."""

import json
import random
import sys
from pathlib import Path

import pytest
from simulations import WHOLE, simulation

from tests.fuzz import campaign, targets
from tests.fuzz.odd_values import damaged_csv, damaged_json, damaged_yaml, written_json


@pytest.fixture(autouse=True)
def here(monkeypatch):
    """What changes the working directory leaves it to no other test."""
    monkeypatch.chdir(Path.cwd())


@simulation
@pytest.mark.slow
def test_no_odd_input_ends_in_a_traceback_or_a_hang():
    """`make fuzz` tries thousands; here each kind has two at least."""
    assert campaign.campaign(inputs=300 if WHOLE else 60, seed=0, jobs=1) == []


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


DYING = """
import json, os, sys
for line in sys.stdin:
    kind, first, last = json.loads(line)
    for number in range(first, last):
        print(json.dumps({"begun": number}), flush=True)
        if (kind, number) == ("any", 3):
            os.abort()
        print(json.dumps({"done": number}), flush=True)
"""
"""A worker that dies of one input."""


def test_a_process_that_dies_is_known_by_its_input(monkeypatch):
    """Where a worker dies, the inputs after that one are tried by another."""
    begun, started = campaign.subprocess.Popen, []

    def popen(command, **given):
        started.append(command)
        return begun([sys.executable, "-c", DYING], **given)

    monkeypatch.setattr(campaign.subprocess, "Popen", popen)
    with campaign.Workers(0) as workers:
        assert workers.tried("any", 3, 5) == ["any 3: the process died with status -6"]
        assert workers.tried("other", 0, 3) == []
        assert len(started) == 2, "who lives is given the next inputs"
        assert workers.tried("any", 3, 4) == ["any 3: the process died with status -6"]
        monkeypatch.setattr(campaign, "LIFE", 0)
        assert workers.tried("other", 0, 3) == []
        assert workers.tried("other", 0, 3) == []
    assert len(started) == 4, "one after every death and one after a long life"


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
