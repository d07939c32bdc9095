"""Runs of probes that are stopped: the same command ends them as if never stopped."""

import csv

import pytest
from progress import Silent

from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.shift import probe as shift
from mdlm_probe.runs import plan, runner
from mdlm_probe.runs.plan import Job, prepare


class Stopping:
    def __init__(self, stop=None):
        self.stop, self.done = stop, 0

    def note(self, text):
        pass

    def start(self, name, cells, done):
        pass

    def advance(self, cells, tokens):
        self.done += cells
        if self.done == self.stop:
            raise KeyboardInterrupt


def test_gradients_resumed_equal_those_never_stopped(tmp_path):
    options = {"tasks": ("verb-smallest",), "limit": 2, "orders": 2, "shots": 2, "distractors": 4}
    jobs = [
        Job("attribution", "tiny-mdlm", options, output=tmp_path / name, batch_tokens=60)
        for name in ("whole", "parts")
    ]
    whole = runner.run(plan.prepare(jobs[0]), Stopping())
    with pytest.raises(KeyboardInterrupt):
        runner.run(plan.prepare(jobs[1]), Stopping(stop=2))
    parts = runner.run(plan.prepare(jobs[1]), Stopping())
    files = catalog.csv_names("attribution", whole.stem)
    for name in files.values():
        assert (parts.parent / name).read_bytes() == (whole.parent / name).read_bytes()
    found = {}
    for kind, name in files.items():
        with (whole.parent / name).open() as lines:
            found[kind] = list(csv.DictReader(lines))
    # orders x items x (examples, or groups, of each k)
    counts = {"examples": 2 * 2 * 2 * 7, "groups": 2 * 2 * (3 + 4), "tokens": 0}
    assert {kind: len(rows) for kind, rows in found.items()} == counts
    rows = found["examples"] + found["groups"]
    assert not any("gap" in row for row in rows), "a column of another method"
    assert all(float(row["score"]) > 0 for row in rows)


RUN = {"length": 4, "block": 2, "limit": 1, "frac": (0.2, 0.6), "lexicon": "small"}


def job(folder, **options):
    return Job("shift", "oracle", {**RUN, **options}, output=folder, batch_tokens=60)


class Starts(Silent):
    """Remembers how many cells were there when a measurement began."""

    def start(self, name, cells, done):
        self.done = done


def test_answers_cut_in_groups_resumed_equal_those_never_stopped(tmp_path, monkeypatch):
    whole = runner.run(prepare(job(tmp_path / "whole")), Silent()).read_bytes()
    measure, calls = shift.measure, []

    def stopping(engine, cells):
        if isinstance(engine, Engine):
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
        return measure(engine, cells)

    monkeypatch.setattr(shift, "measure", stopping)
    with pytest.raises(KeyboardInterrupt):
        runner.run(prepare(job(tmp_path / "cut")), Silent())
    monkeypatch.setattr(shift, "measure", measure)
    group = read_run(tmp_path / "cut")["shift__oracle"]["batch"]["cells"]
    assert group % 9  # groups cut prompts in two
    progress = Starts()
    assert runner.run(prepare(job(tmp_path / "cut")), progress).read_bytes() == whole
    assert progress.done == 2 * group
