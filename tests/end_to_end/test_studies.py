"""Studies: each model is loaded once, rows are those of single commands, no failure is the end."""

import json
import multiprocessing
import os
import signal
import time

import pytest
from commands import call

from mdlm_probe import models
from mdlm_probe.cli import run_probe, study_file
from mdlm_probe.cli.commands import report
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.runs import study as studies

SMALL = {"shots": 1, "distractors": 2, "tasks": ["verb-smallest", "animal-largest"]}
TWO = {
    "model": ["tiny-mdlm", "tiny-arlm"],
    "batch-tokens": 400,
    "limit": 3,
    "runs": {
        "locality": {"positions": [0, 2], **SMALL},
        "tails": {"probe": "masks", "masks": ["0", "5%", 20], "filler": "dot", **SMALL},
    },
}
QUICK = TWO | {"model": ["oracle", "oracle-causal"], "batch-tokens": 60}
SHIFTS = {
    "model": "tiny-mdlm",
    "batch-tokens": 400,
    "limit": 1,
    "runs": {
        "verdicts": {"probe": "judge", "run": "moved"},
        "moved": {
            "probe": "shift",
            "length": 8,
            "block": 8,
            "frac": 0.2,
            "intervention": "replace",
        },
    },
}


class Quiet:
    """Progress that remembers the order of runs."""

    def __init__(self):
        self.turns, self.notes = [], []

    def begin(self, run, probe, model, cells):
        self.turns.append((run, model))
        return self

    def note(self, text):
        self.notes.append(text)

    def start(self, name, cells, done):
        pass

    def advance(self, cells, tokens):
        pass

    def end(self):
        pass


@pytest.fixture(autouse=True)
def reports(monkeypatch):
    """Folders that were reported on; making the report has tests of its own."""
    made = []
    monkeypatch.setattr(report, "write", lambda folder, tables=False: made.append((folder, tables)))
    monkeypatch.setattr(run_probe, "show", lambda job: None)
    return made


@pytest.fixture
def loads(monkeypatch):
    """Names of the models that were loaded, in order."""
    names, load = [], models.load

    def counted(entry, *options):
        names.append(entry.name)
        return load(entry, *options)

    monkeypatch.setattr(models, "load", counted)
    return names


def written(folder, study):
    """A study's file: JSON is YAML."""
    path = folder / "mine.yaml"
    path.write_text(json.dumps(study, indent=1))
    return path


def execute(path, folder, **how):
    progress = Quiet()
    study, _ = study_file.load(str(path), folder, how.get("fresh", False))
    return studies.execute(study, folder, progress, **how), progress


def record(folder):
    return json.loads((folder / "study.json").read_text())


def rows(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.glob("*/*.csv")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a study of two oracles writes when nothing stops it."""
    folder = tmp_path_factory.mktemp("whole")
    execute(written(folder, QUICK), folder / "out")
    return rows(folder / "out")


# ---------------------------------------------------------------------- what a study does


def test_two_models_and_two_probes_load_each_model_once(tmp_path, loads, reports):
    """And write byte for byte what the single commands write."""
    path = written(tmp_path, TWO)
    result = call("study", path, "-o", tmp_path / "out")
    assert loads == ["tiny-mdlm", "tiny-arlm"]
    assert reports == [(tmp_path / "out", False)]
    both = ["-m", "tiny-mdlm", "-m", "tiny-arlm", "--batch-tokens", 400, "--limit", 3]
    small = ["--shots", 1, "--distractors", 2, "--tasks", "verb-smallest,animal-largest", "-q"]
    call("locality", *both, "--positions", "0,2", *small, "-o", tmp_path / "locality")
    tails = ["--masks", "0,5%,20", "--filler", "dot"]
    call("masks", *both, *tails, *small, "-o", tmp_path / "masks")
    found = rows(tmp_path / "out")
    assert len(found) == 4
    for (run, name), data in {(p.parent.name, p.name): d for p, d in found.items()}.items():
        single = tmp_path / {"tails": "masks"}.get(run, run) / name
        assert single.read_bytes() == data
    known = record(tmp_path / "out")
    assert known["study"] == "mine"
    assert known["source"] == path.read_text()
    assert list(known["runs"]) == ["locality", "tails"]
    for run in known["runs"].values():
        assert run["status"] == "finished"
        assert run["models"] == ["tiny-mdlm", "tiny-arlm"]
    assert known["runs"]["tails"]["probe"] == "masks"
    assert "all runs: 60 of 60" in result.stderr
    for line in ("locality tiny-mdlm:", "tails tiny-arlm:"):
        assert line in result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["tails", "masks", "tiny-arlm", "finished", "18", "rows"] in lines


def test_what_is_finished_is_skipped_without_loading_anything(tmp_path, loads):
    path = written(tmp_path, QUICK)
    first, _ = execute(path, tmp_path / "out")
    del loads[:]
    again, progress = execute(path, tmp_path / "out")
    assert not loads
    assert [(o.model, o.status, o.rows) for o in again] == [
        (o.model, o.status, o.rows) for o in first
    ]
    assert sum("nothing to do" in note for note in progress.notes) == 4
    assert {run["status"] for run in record(tmp_path / "out")["runs"].values()} == {"finished"}


def test_a_model_is_loaded_only_if_some_run_of_it_is_not_finished(tmp_path, loads):
    path = written(tmp_path, QUICK)
    execute(path, tmp_path / "out")
    (tmp_path / "out" / "tails" / "masks__oracle-causal.csv").unlink()
    del loads[:]
    execute(path, tmp_path / "out")
    assert loads == ["oracle-causal"]


def test_other_ways_of_loading_are_other_models(tmp_path, loads):
    study = QUICK | {"model": "tiny-mdlm", "runs": dict(QUICK["runs"])}
    study["runs"]["half"] = QUICK["runs"]["locality"] | {"probe": "locality", "dtype": "bfloat16"}
    _, progress = execute(written(tmp_path, study), tmp_path / "out")
    assert loads == ["tiny-mdlm", "tiny-mdlm"]
    assert [run for run, _ in progress.turns] == ["locality", "tails", "half"]


# ---------------------------------------------------------------------- what goes wrong


def test_a_run_that_fails_is_recorded_and_others_go_on(
    tmp_path, monkeypatch, loads, whole, reports
):
    path = written(tmp_path, QUICK)
    with monkeypatch.context() as patch:
        measure = masks.measure

        def failing(engine, cells):
            if engine.entry.name == "oracle" and hasattr(engine, "model"):
                raise RuntimeError("CUDA error: an illegal address")
            return measure(engine, cells)

        patch.setattr(masks, "measure", failing)
        result = call("study", path, "-o", tmp_path / "out", code=1)
    assert "Error: 1 of 4 failed; all others are done" in result.stderr
    assert "the same command, without --fresh, tries again what failed" in result.stderr
    lines = result.stderr.splitlines()
    at = lines.index("  failed: RuntimeError: CUDA error: an illegal address")
    assert lines.index("tails oracle:") < at < lines.index("tails oracle-causal:")  # at once
    assert reports
    assert any(
        line.split()
        == "tails masks oracle failed RuntimeError: CUDA error: an illegal address".split()
        for line in result.stdout.splitlines()
    )
    known = record(tmp_path / "out")["runs"]
    assert known["tails"]["status"] == "failed"
    assert known["tails"]["error"] == "oracle: RuntimeError: CUDA error: an illegal address"
    assert known["locality"]["status"] == "finished"
    del loads[:]
    call("study", path, "-o", tmp_path / "out", "-q")
    assert loads == ["oracle"]
    assert rows(tmp_path / "out") == whole
    assert record(tmp_path / "out")["runs"]["tails"]["error"] == ""


def test_a_model_that_cannot_be_loaded_is_tried_once(tmp_path, monkeypatch):
    tried = []

    def refused(entry, *options):
        tried.append(entry.name)
        raise ProbeError("no weights")

    monkeypatch.setattr(models, "load", refused)
    study = QUICK | {"model": ["tiny-mdlm"]}
    found, _ = execute(written(tmp_path, study), tmp_path / "out")
    assert [outcome.error for outcome in found] == ["no weights"] * 2
    assert tried == ["tiny-mdlm"]


def test_where_all_fail_nothing_is_called_done_and_long_reasons_stand_below_the_table_once(
    tmp_path, monkeypatch
):
    reason = "the key model.layers.0.self_attn.q_proj.weight is missing in model.safetensors"

    def refused(*_):
        raise ProbeError(reason, hint="download it again")

    def empty(folder, tables=False):
        raise ProbeError("no rows yet", hint="let the run go on")

    monkeypatch.setattr(models, "load", refused)
    monkeypatch.setattr(report, "write", empty)
    path = written(tmp_path, QUICK | {"model": "tiny-mdlm"})
    result = call("study", path, "-o", tmp_path / "out", "-q", code=1)
    head, below = result.stdout.split("\n\n")
    assert [line.split()[-2:] for line in head.splitlines()[1:]] == [["see", "below"]] * 2
    assert below.splitlines() == [
        *("locality tiny-mdlm, tails tiny-mdlm:", f"  {reason}", "  hint: download it again")
    ]
    assert result.stderr.startswith("Error: all 2 failed\nhint: do what the reasons above advise;")
    assert "go on" not in result.stderr


def test_changed_settings_are_refused_before_anything_is_loaded(tmp_path, loads):
    """Of all runs at once, with what does help; what has no rows, or is forgotten, binds nobody."""
    out = tmp_path / "out"
    execute(written(tmp_path, QUICK), out)
    before = rows(out), (out / "study.json").read_bytes()
    del loads[:]
    runs = {name: options | {"shots": 2} for name, options in QUICK["runs"].items()}
    changed = written(tmp_path, QUICK | {"runs": runs | {"new": {"probe": "locality", **SMALL}}})
    message = call("study", changed, "-o", out, code=1).stderr
    assert f"Error: {out} holds rows that were measured with other settings:" in message
    for run, shots in (("locality", "1 -> 2"), ("tails", "[1] -> [2]")):
        at = f"  {run} ({out / run / 'run.json'}; oracle, oracle-causal): "
        assert f"{at}options.shots: {shots}\n" in message
    assert "--only locality,tails --fresh forgets" in message
    assert "new" not in message
    assert not loads
    assert before == (rows(out), (out / "study.json").read_bytes())
    part = call("study", changed, "-o", out, "--only", "tails", code=1).stderr
    assert "tails (" in part
    assert "locality (" not in part
    call("study", changed, "-o", out, "--only", "locality,tails", "--fresh", "-q")
    assert before[0] != rows(out)
    call("study", changed, "-o", out, "-q")


def test_a_judge_s_changed_settings_are_refused_before_anything_is_loaded(tmp_path, loads):
    out = tmp_path / "out"
    execute(written(tmp_path, SHIFTS), out)
    (out / "moved" / "shift__tiny-mdlm.csv").unlink()
    del loads[:]
    runs = SHIFTS["runs"] | {"verdicts": {"probe": "judge", "run": "moved", "limit": 1}}
    changed = written(tmp_path, SHIFTS | {"runs": runs})
    with pytest.raises(ProbeError, match=r"verdicts \(.*language\): options.limit: null -> 1"):
        execute(changed, out)
    assert not loads


@pytest.mark.parametrize("stop", [1, 9])
def test_ctrl_c_anywhere_and_the_same_command_goes_on(tmp_path, monkeypatch, whole, stop):
    path, ask, calls = written(tmp_path, QUICK), Engine.ask, []

    def stopping(self, queries):
        calls.append(1)
        if len(calls) > stop:
            raise KeyboardInterrupt
        return ask(self, queries)

    monkeypatch.setattr(Engine, "ask", stopping)
    result = call("study", path, "-o", tmp_path / "out", code=130)
    assert "the same command, without --fresh, resumes" in result.stderr
    states = [run["status"] for run in record(tmp_path / "out")["runs"].values()]
    assert states.count("stopped") == 1
    assert set(states) <= {"finished", "stopped", "pending"}
    monkeypatch.setattr(Engine, "ask", ask)
    call("study", path, "-o", tmp_path / "out")
    assert rows(tmp_path / "out") == whole


@pytest.mark.slow
def test_kill_and_the_same_command_goes_on(tmp_path, whole):
    path = written(tmp_path, QUICK)
    csv = tmp_path / "out" / "tails" / "masks__oracle.csv"
    process = multiprocessing.get_context("fork").Process(
        target=execute, args=(path, csv.parents[1])
    )
    process.start()
    while process.is_alive() and not csv.exists():
        time.sleep(0.001)
    process.kill()
    process.join()
    assert csv.exists()
    assert process.exitcode == -signal.SIGKILL
    assert record(tmp_path / "out")["runs"]["tails"]["status"] == "pending"
    execute(path, tmp_path / "out")
    assert rows(tmp_path / "out") == whole


def test_a_folder_is_one_process_s_and_no_run_s_own(tmp_path):
    path = written(tmp_path, QUICK)
    with studies.locked(tmp_path / "out"):
        message = call("study", path, "-o", tmp_path / "out", code=1).stderr
    assert "another process is running a study" in message
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    assert "holds a run of its own" in call("study", path, "-o", tmp_path / "run", code=1).stderr


def test_a_report_that_cannot_be_made_is_an_error_after_the_summary(tmp_path, monkeypatch):
    def refused(folder, tables=False):
        raise ProbeError("no rows")

    monkeypatch.setattr(report, "write", refused)
    result = call("study", written(tmp_path, QUICK), "-o", tmp_path / "out", code=1)
    assert "no report: no rows" in result.stderr
    assert "finished" in result.stdout


# ---------------------------------------------------------------------- options


def test_only_some_runs_and_a_fresh_start(tmp_path, reports):
    path, out = written(tmp_path, QUICK), tmp_path / "out"
    result = call("study", path, "-o", out, "--only", "tails", "--tables")
    assert "locality" not in result.stdout
    assert reports == [(out, True)]
    assert [r["status"] for r in record(out)["runs"].values()] == ["pending", "finished"]
    call("study", path, "-o", out)
    before = record(out)["runs"]
    old = (out / "tails" / "masks__oracle.csv").stat()
    kept = (out / "locality" / "locality__oracle.csv").stat()
    os.utime(out / "tails" / "masks__oracle.csv", ns=(0, 0))
    os.utime(out / "locality" / "locality__oracle.csv", ns=(0, 0))
    call("study", path, "-o", out, "--only", "tails", "--fresh")
    assert (out / "tails" / "masks__oracle.csv").stat().st_size == old.st_size
    assert (out / "tails" / "masks__oracle.csv").stat().st_mtime_ns > 0
    assert (out / "locality" / "locality__oracle.csv").stat().st_size == kept.st_size
    assert (out / "locality" / "locality__oracle.csv").stat().st_mtime_ns == 0
    assert record(out)["runs"]["locality"] == before["locality"]
    wrong = call("study", path, "-o", out, "--only", "tials", code=1).stderr
    assert "did you mean 'tails'" in wrong


def test_quiet_says_nothing_but_results(tmp_path):
    result = call("study", written(tmp_path, QUICK), "-o", tmp_path / "out", "-q")
    assert result.stderr == ""
    assert "finished" in result.stdout


def test_the_default_folder_is_named_after_the_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call("study", written(tmp_path, QUICK), "-q")
    assert (tmp_path / "results" / "mine" / "tails" / "run.json").exists()


# ---------------------------------------------------------------------- verdicts


def test_a_judge_reads_its_run_and_writes_what_the_command_writes(tmp_path, loads):
    found, progress = execute(written(tmp_path, SHIFTS), tmp_path / "out")
    assert [outcome.status for outcome in found] == ["finished"] * 2
    assert progress.turns == [("moved", "tiny-mdlm"), ("verdicts", "language")]
    assert loads == ["tiny-arlm", "tiny-mdlm"]  # the scorer first
    path = tmp_path / "out" / "moved" / "judge__language.csv"
    first = path.read_bytes()
    assert first.count(b"\n") == 1 + found[-1].rows
    assert record(tmp_path / "out")["runs"]["verdicts"]["models"] == ["language"]
    call("judge", path.parent, "--fresh", "-q")
    assert path.read_bytes() == first


def test_a_judge_of_a_run_that_failed_fails_too(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *a: (_ for _ in ()).throw(ProbeError("no weights")))
    found, _ = execute(written(tmp_path, SHIFTS), tmp_path / "out")
    assert [outcome.status for outcome in found] == ["failed"] * 2
    assert found[1].error


def test_a_scorer_that_is_asked_next_stays_loaded(tmp_path, loads):
    study = SHIFTS | {"model": ["tiny-mdlm", "tiny-arlm"], "runs": dict(SHIFTS["runs"])}
    study["runs"]["locality"] = QUICK["runs"]["locality"]
    _, progress = execute(written(tmp_path, study), tmp_path / "out")
    assert loads == ["tiny-mdlm", "tiny-arlm"]
    assert progress.turns[:3] == [
        *[("locality", "tiny-mdlm"), ("moved", "tiny-mdlm"), ("locality", "tiny-arlm")]
    ]


def test_shards_of_a_study_become_the_whole(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(QUICK), encoding="utf-8")
    given = ("study", str(path), "--quiet", "--output")
    call(*given, str(tmp_path / "whole"))
    for index in (1, 2):
        call(*given, str(tmp_path / f"part-{index}"), "--shard", f"{index}/2")
    parts = [str(tmp_path / f"part-{index}") for index in (1, 2)]
    call("merge", *parts, "--output", str(tmp_path / "merged"))
    files = sorted((tmp_path / "whole").glob("*/*__*.csv"))
    assert len(files) == 4
    for file in files:
        merged = tmp_path / "merged" / file.parent.name / file.name
        assert merged.read_bytes() == file.read_bytes()
    done = call(*given, str(tmp_path / "merged"))
    assert "rows" in done.output
    runs = json.loads((tmp_path / "merged" / "study.json").read_text())["runs"]
    assert [run["status"] for run in runs.values()] == ["finished", "finished"]


def test_a_shard_leaves_judges_for_later_and_trains_nothing(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(json.dumps(SHIFTS), encoding="utf-8")
    done = call("study", str(path), "--output", str(tmp_path / "part"), "--shard", "1/2")
    assert "verdicts: left out: a judge reads all rows" in done.output
    assert not list((tmp_path / "part").glob("*/judge__*"))
    path.write_text(json.dumps({"runs": {"ma": {"tune": "sft", "model": "tiny-mdlm"}}}))
    done = call("study", str(path), "--shard", "1/2", "-o", str(tmp_path / "out"), code=1)
    assert "train ma once for each shard" in done.output
