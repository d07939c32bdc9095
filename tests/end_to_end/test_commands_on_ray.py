"""`generate`, `eval` and `judge` on workers of a real cluster: the bytes of one process."""

from contextlib import contextmanager

import psutil
import pytest
from commands import call
from fakes import write

from mdlm_probe.cli.commands import generate
from mdlm_probe.cli.commands.generate import Writing
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs import executors
from mdlm_probe.runs.executors.on_ray import RayExecutor


@pytest.fixture(scope="module")
def on_ray():
    """Two workers, which all tests here share; each computes with one thread, as the suite does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        executor = RayExecutor(2)
        yield executor
        executor.close()


@pytest.fixture
def shared(on_ray, monkeypatch):
    """Commands that ask for two workers are given those that are there."""
    inner = executors.executor_of

    @contextmanager
    def executor_of(workers, address):
        if (workers, address) == (2, ""):
            yield on_ray
        else:
            with inner(workers, address) as own:
                yield own

    monkeypatch.setattr(executors, "executor_of", executor_of)
    monkeypatch.setattr(generate, "executor_of", executor_of)


def both(tmp_path, *arguments):
    """The folders of a command in this process and on workers."""
    folders = tmp_path / "here", tmp_path / "there"
    call(*arguments, "-q", "-o", folders[0])
    call(*arguments, "-q", "-o", folders[1], "--workers", 2)
    return folders


def check_workers(folder, name, where):
    (session,) = read_run(folder)[name][where]
    assert [worker["device"] for worker in session["workers"]] == ["cpu", "cpu"]


def test_answers(tmp_path, shared):
    drawn = ("--limit", 2, "--length", 8, "--temperature", 0.8, "--batch-tokens", 64)
    here, there = both(tmp_path, "generate", "-m", "tiny-mdlm", *drawn)
    for name in ("generate__tiny-mdlm.jsonl", "generate-quality.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    check_workers(there, "generate__tiny-mdlm", "sessions")


def test_evaluations(tmp_path, shared, folder):
    tasks = ("--tasks", "t_choice,t_rolling,t_written", "--include_path", folder)
    small = ("--limit", 2, "--draws", 5, "--bound", 1, "--batch-tokens", 64)
    how = (*small, "--gen_kwargs", "max_gen_toks=4")
    here, there = both(tmp_path, "eval", "-m", "tiny-mdlm", *tasks, *how)
    for name in ("eval__tiny-mdlm.jsonl", "eval__tiny-mdlm.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    check_workers(there, "eval__tiny-mdlm", "evaluations")


def test_verdicts(tmp_path, shared):
    by, found = ("--judge-model", "tiny-mdlm", "--batch-tokens", 512), []
    for name, more in (("here", ()), ("there", ("--workers", 2))):
        place = write(tmp_path / name)
        call("judge", place, *by, "-q", *more)
        files = ("judge__tiny-mdlm.csv", "judge__tiny-mdlm.replies.jsonl")
        found.append([(place / file).read_bytes() for file in files])
    assert found[0] == found[1]
    check_workers(place, "judge__tiny-mdlm", "sessions")


def test_a_worker_that_is_killed_costs_no_answer(tmp_path, shared, monkeypatch):
    advance, killed = Writing.advance, []

    def killing(self, cells, tokens):
        advance(self, cells, tokens)
        if not killed and "--workers" in typed:
            children = psutil.Process().children(recursive=True)
            killed.append(next(c for c in children if "ray::Worker" in " ".join(c.cmdline())))
            killed[0].kill()

    monkeypatch.setattr(Writing, "advance", killing)
    options = ("-m", "oracle", "--limit", 6, "--length", 4, "--batch-tokens", 16, "-q")
    for typed in (("-o", tmp_path / "here"), ("-o", tmp_path / "there", "--workers", 2)):
        call("generate", *options, *typed)
    here, there = (tmp_path / name / "generate__oracle.jsonl" for name in ("here", "there"))
    assert there.read_bytes() == here.read_bytes()
    assert here.read_bytes().count(b"\n") == 12
    events = read_run(tmp_path / "there")["generate__oracle"]["events"]
    assert any("died: its process was killed or crashed" in event for event in events)


def test_workers_are_for_what_can_be_asked_of_them(tmp_path):
    found = call("judge", tmp_path, "--judge-by", "nll", "--workers", 2, code=1).output
    assert "--workers is for a local judge; this one is nll" in found
    found = call("generate", "--show", "--ray-address", "auto", "-o", tmp_path, code=1).output
    assert "one of --show and --ray-address" in found
