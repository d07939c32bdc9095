"""Runs whose work Ray divides: the bytes of one process, whoever dies on the way."""

import json
import os
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace as replaced

import psutil
import pytest
from commands import call
from fakes import write
from ray_work import Changed, Dying, Short, Slow
from simulations import cases, simulation
from small_job import Log, job

from mdlm_probe.cli import study_file
from mdlm_probe.cli.commands import generate
from mdlm_probe.cli.commands.generate import Writing
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs import executors, runner
from mdlm_probe.runs import study as studies
from mdlm_probe.runs.executors import group_queue
from mdlm_probe.runs.executors.on_ray import RayExecutor
from mdlm_probe.runs.plan import Job, prepare

pytestmark = pytest.mark.slow
CSV = "locality__oracle.csv"
PATIENCE = 120
"""Seconds: only what never comes takes so long."""


@pytest.fixture(scope="module")
def workers():
    """Two workers on this machine, who find what tests make them do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        patch.setenv("OMP_NUM_THREADS", "1")  # as the suite computes
        executor = RayExecutor(2)
        yield executor
        executor.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a run in this process, whose groups are of two cells."""
    return runner.run(prepare(job(tmp_path_factory.mktemp("whole"))), Log()).read_bytes()


JOBS = [
    Job("locality", "tiny-mdlm", job("").options, batch_tokens=100),
    Job("attribution", "tiny-mdlm", {"tasks": ("verb-smallest",), "limit": 2, "orders": 2}),
    Job(
        "shift",
        "tiny-mdlm",
        {"length": 8, "block": 8, "limit": 2, "frac": (0.2, 0.6), "scorer": "tiny-arlm"},
        batch_tokens=200,
    ),
]


@simulation
@pytest.mark.parametrize("one", cases(JOBS, every=2), ids=lambda one: one.probe)
def test_rows_are_those_of_one_process(tmp_path, workers, one):
    made = [replaced(one, output=tmp_path / name) for name in ("here", "there")]
    here, there = runner.run(prepare(made[0]), Log()), runner.run(prepare(made[1]), Log(), workers)
    for name in catalog.csv_names(one.probe, here.stem).values():
        assert (there.parent / name).read_bytes() == (here.parent / name).read_bytes()
    entries = [read_run(one.output)[here.stem] for one in made]
    assert entries[0]["config"] == entries[1]["config"]
    assert entries[0]["batch"]["cells"] == entries[1]["batch"]["cells"]
    told = entries[1]["sessions"][0]["workers"]
    assert [worker["device"] for worker in told] == ["cpu", "cpu"]


def test_results_come_in_order_however_fast_they_are(tmp_path, workers, whole):
    plan = prepare(job(tmp_path))
    slow = Changed(workers, Slow({plan.cells[0]: 1.0, plan.cells[5]: 0.5}))
    assert runner.run(plan, Log(), slow).read_bytes() == whole


def test_a_worker_without_memory_halves_its_own_batches(tmp_path, workers, whole):
    (tmp_path / "marks").mkdir()
    one = job(tmp_path / "run", batch_tokens=400)
    short = Changed(workers, Short(tmp_path / "marks", most=2))
    assert runner.run(prepare(one), Log(), short).read_bytes() == whole
    entry = read_run(tmp_path / "run")["locality__oracle"]
    assert entry["batch"]["tokens"] == 400
    assert entry["events"]
    assert {event.partition(" (")[0] for event in entry["events"]} in ({"worker 1"}, {"worker 2"})
    assert "out of memory: batch tokens halved to" in entry["events"][0]


def test_what_began_in_one_process_ends_with_workers(tmp_path, workers, whole):
    class Stopping(Log):
        def advance(self, cells, tokens):
            super().advance(cells, tokens)
            if self.cells == 4:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(prepare(job(tmp_path)), Stopping())
    log = Log()
    assert runner.run(prepare(job(tmp_path)), log, workers).read_bytes() == whole
    assert log.starts == [("oracle", 12, 4)]
    sessions = read_run(tmp_path)["locality__oracle"]["sessions"]
    assert ["workers" in session for session in sessions] == [False, True]


def test_a_model_that_cannot_be_had_is_an_error_and_workers_go_on(tmp_path, workers, whole):
    from mdlm_probe.models._checkpoint import LoadOptions

    bad = job(tmp_path / "bad", "tiny-mdlm", load=LoadOptions(dtype="float8"))
    with pytest.raises(ProbeError, match="unknown dtype 'float8'"):
        runner.run(prepare(bad), Log(), workers)
    assert runner.run(prepare(job(tmp_path / "good")), Log(), workers).read_bytes() == whole


# ---------------------------------------------------------------------- generate, eval, judge


@pytest.fixture
def shared(workers, monkeypatch):
    """Commands that ask for two workers are given those that are there."""
    inner = executors.executor_of

    @contextmanager
    def executor_of(number, address):
        if (number, address) == (2, ""):
            yield workers
        else:
            with inner(number, address) as own:
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


def test_answers_are_those_of_one_process(tmp_path, shared):
    drawn = ("--limit", 2, "--length", 8, "--temperature", 0.8, "--batch-tokens", 64)
    here, there = both(tmp_path, "generate", "-m", "tiny-mdlm", *drawn)
    for name in ("generate__tiny-mdlm.jsonl", "generate-quality.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    check_workers(there, "generate__tiny-mdlm", "sessions")


def test_evaluations_are_those_of_one_process(tmp_path, shared, folder):
    tasks = ("--tasks", "t_choice,t_rolling,t_written", "--include_path", folder)
    small = ("--limit", 2, "--draws", 5, "--bound", 1, "--batch-tokens", 64)
    how = (*small, "--gen_kwargs", "max_gen_toks=4")
    here, there = both(tmp_path, "eval", "-m", "tiny-mdlm", *tasks, *how)
    for name in ("eval__tiny-mdlm.jsonl", "eval__tiny-mdlm.csv"):
        assert (there / name).read_bytes() == (here / name).read_bytes()
    check_workers(there, "eval__tiny-mdlm", "evaluations")


def test_verdicts_are_those_of_one_process(tmp_path, shared):
    by, found = ("--judge-model", "tiny-mdlm", "--batch-tokens", 512), []
    for name, more in (("here", ()), ("there", ("--workers", 2))):
        place = write(tmp_path / name)
        call("judge", place, *by, "-q", *more)
        files = ("judge__tiny-mdlm.csv", "judge__tiny-mdlm.replies.jsonl")
        found.append([(place / file).read_bytes() for file in files])
    assert found[0] == found[1]
    check_workers(place, "judge__tiny-mdlm", "sessions")


def test_workers_are_for_what_can_be_asked_of_them(tmp_path):
    found = call("judge", tmp_path, "--judge-by", "nll", "--workers", 2, code=1).output
    assert "--workers is for a local judge; this one is nll" in found
    found = call("generate", "--show", "--ray-address", "auto", "-o", tmp_path, code=1).output
    assert "one of --show and --ray-address" in found


# ---------------------------------------------------------------------- other workers
#
# last: none of these needs a trained network, for which each new worker would load libraries


def test_a_killed_worker_is_replaced_and_its_group_asked_again(tmp_path, workers, whole):
    plan, log = prepare(job(tmp_path / "run")), Log()
    (tmp_path / "marks").mkdir()
    dying = Changed(workers, Dying(plan.cells[5], tmp_path / "marks", times=1))
    assert runner.run(plan, log, dying).read_bytes() == whole
    assert len(list((tmp_path / "marks").iterdir())) == 1
    (died,) = [note for note in log.notes if "died" in note]
    assert died.endswith("was killed or crashed; another takes its place")
    events = read_run(tmp_path / "run")["locality__oracle"]["events"]
    assert sum("died" in event for event in events) == 1


def test_a_group_that_kills_workers_is_named_and_all_before_it_is_kept(
    tmp_path, workers, whole, monkeypatch
):
    """How many it may end is a matter of the queue: two are enough here."""
    monkeypatch.setattr(group_queue, "DEATHS", 2)
    plan = prepare(job(tmp_path / "run"))
    (tmp_path / "marks").mkdir()
    dying = Changed(workers, Dying(plan.cells[6], tmp_path / "marks", times=100))
    with pytest.raises(ProbeError) as stopped:
        runner.run(plan, Log(), dying)
    assert "2 workers died of the same 2 cells" in str(stopped.value)
    assert '"position":' in str(stopped.value)
    assert len(list((tmp_path / "marks").iterdir())) == 2
    kept = (tmp_path / "run" / CSV).read_bytes()
    assert whole.startswith(kept)
    log = Log()
    assert runner.run(prepare(job(tmp_path / "run")), log).read_bytes() == whole
    assert log.starts == [("oracle", 12, 6)]


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


def test_a_study_measures_two_models_at_a_time(tmp_path, workers):
    small = {"shots": 1, "distractors": 2, "tasks": "verb-smallest", "limit": 3}
    runs = {"locality": {"positions": [0, 2], **small}, "masks": {"masks": [0, 4], **small}}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"model": ["oracle", "oracle-causal"], "runs": runs}))
    runner.run(prepare(job(tmp_path / "first")), Log(), workers)
    begun, found, before = [], {}, processes(workers)
    for name, by in (("here", None), ("there", workers)):
        study, _ = study_file.load(str(path), tmp_path / name)
        progress = Turns(begun, threading.Barrier(2)) if by else Turns([])
        outcomes = studies.execute(study, tmp_path / name, progress, executor=by)
        assert [one.status for one in outcomes] == ["finished"] * 4
        files = sorted((tmp_path / name).glob("*/*__*.csv"))
        found[name] = {file.name: file.read_bytes() for file in files}
    assert found["here"] == found["there"]
    assert len(found["here"]) == 4
    assert {model for _, model in begun[:2]} == {"oracle", "oracle-causal"}
    entries = read_run(tmp_path / "there" / "locality")
    assert len(entries) == 2
    for entry in entries.values():  # one worker each, or two once the other model is done
        assert len(entry["sessions"][0]["workers"]) in (1, 2)
    assert processes(workers) == before  # handed from part to part: none began anew


def processes(executor):
    """The processes of all workers that there are, as their actors say."""
    actors = [seat.actor for one in (executor, *executor._parts) for seat in one._seats]
    ray = executor._cluster.ray
    return {ray.get(actor.__ray_call__.remote(lambda _: os.getpid())) for actor in actors}


class Turns(Log):
    """Progress of a study that remembers in which order turns began.

    Args:
        begun: where that is kept.
        meet: the first turn of a model waits here for that of another one, however late it comes.
    """

    def __init__(self, begun, meet=None):
        super().__init__()
        self._begun, self._meet = begun, meet

    def begin(self, run, probe, model, cells):
        first = model not in {known for _, known in self._begun}
        self._begun.append((run, model))
        if self._meet and first:
            self._meet.wait(PATIENCE)
        return self

    def end(self):
        pass
