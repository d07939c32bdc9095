"""The runner: what stops it never costs more than the batch in flight, and changes no byte."""

import json
import os

import pytest
from checkpoints import write_llada
from small_job import OPTIONS, Log, job

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.engine import engine
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.prompts import shipped, suite
from mdlm_probe.runs import runner
from mdlm_probe.runs.plan import Job, prepare


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a run that nothing stopped."""
    log = Log()
    path = runner.run(prepare(job(tmp_path_factory.mktemp("whole"))), log)
    assert log.starts == [("oracle", 12, 0)]
    assert log.cells == 12
    return path.read_bytes()


def test_run_json_says_everything(tmp_path):
    path = runner.run(prepare(job(tmp_path)), Log())
    entry = read_run(tmp_path)[path.stem]
    assert entry["status"] == "finished"
    assert entry["config"]["options"]["limit"] == 6
    assert entry["config"]["options"]["lexicon"] == "small"  # the model's own default
    assert entry["batch"] == {"tokens": 50, "cells": 2}
    assert entry["cells"] == 12
    (session,) = entry["sessions"]
    assert {"python", "cpu", "libraries", "threads"} <= session["machine"].keys()
    assert entry["model"]["weight_hash"] == "none"
    assert entry["ended"] >= session["started"]
    assert str(os.path.dirname(models.__file__)) not in json.dumps(entry)


def test_the_same_job_again_does_nothing(tmp_path, whole, monkeypatch):
    path = runner.run(prepare(job(tmp_path)), Log())
    monkeypatch.setattr(models, "load", lambda *a: pytest.fail("loaded"))
    log = Log()
    runner.run(prepare(job(tmp_path)), log)
    assert "finished" in log.notes[-1]
    assert path.read_bytes() == whole


@pytest.mark.parametrize("stop", [0, 1, 2, 5])
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.slow
def test_resume_after_a_stop_in_any_group(tmp_path, whole, monkeypatch, stop, error):
    ask, calls = Engine.ask, []

    def stopping(self, queries):
        calls.append(1)
        if len(calls) > stop:
            raise error
        return ask(self, queries)

    monkeypatch.setattr(Engine, "ask", stopping)
    with pytest.raises(error):
        runner.run(prepare(job(tmp_path)), Log())
    monkeypatch.setattr(Engine, "ask", ask)
    assert read_run(tmp_path)["locality__oracle"]["status"] == "started"
    log = Log()
    path = runner.run(prepare(job(tmp_path)), log)
    assert log.starts == [("oracle", 12, 2 * stop)]
    assert path.read_bytes() == whole
    assert len(read_run(tmp_path)["locality__oracle"]["sessions"]) == 2


def test_a_finished_file_that_was_cut_is_completed(tmp_path, whole):
    path = runner.run(prepare(job(tmp_path)), Log())
    path.write_bytes(whole[: len(whole) // 2])
    log = Log()
    runner.run(prepare(job(tmp_path)), log)
    assert log.starts == [("oracle", 12, 4)]
    assert path.read_bytes() == whole


def test_rows_that_run_json_does_not_know_are_refused(tmp_path):
    runner.run(prepare(job(tmp_path)), Log())
    (tmp_path / "run.json").unlink()
    with pytest.raises(ProbeError, match="doesn't say what its rows are"):
        runner.run(prepare(job(tmp_path)), Log())
    runner.run(prepare(job(tmp_path, fresh=True)), Log())


def test_prompts_too_long_are_refused_before_loading(tmp_path, monkeypatch):
    monkeypatch.setattr(models, "load", lambda *a: pytest.fail("loaded"))
    long = {"options": {**OPTIONS, "distractors": 200, "positions": (0,)}}
    with pytest.raises(ProbeError, match=r"a prompt has 20\d\d tokens[\s\S]*at most 1024"):
        runner.run(prepare(job(tmp_path, **long)), Log())


def test_prompts_can_be_written_as_chat(tmp_path):
    as_chat = job(tmp_path, load=LoadOptions(style="chat"))
    assert prepare(as_chat).entry.chat
    with pytest.raises(ProbeError, match="has no chat template"):
        runner.run(prepare(as_chat), Log())


def test_a_changed_configuration_is_refused_and_fresh_starts_over(tmp_path, whole):
    runner.run(prepare(job(tmp_path)), Log())
    other = {"options": {**OPTIONS, "limit": 3}}
    with pytest.raises(ProbeError, match=r"options\.limit: 6 -> 3"):
        runner.run(prepare(job(tmp_path, **other)), Log())
    assert (tmp_path / "locality__oracle.csv").read_bytes() == whole
    path = runner.run(prepare(job(tmp_path, **other, fresh=True)), Log())
    assert path.read_bytes() != whole


def test_other_weights_under_the_same_name_are_refused(tmp_path, monkeypatch):
    folder = write_llada(tmp_path / "m", context=1024)
    options = {
        "options": {**OPTIONS, "answer": "letter", "shots": 1, "distractors": 1, "positions": (0,)}
    }
    this = job(tmp_path / "r", str(folder), batch_tokens=25, **options)
    ask = Engine.ask
    calls = []

    def stopping(self, queries):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return ask(self, queries)

    monkeypatch.setattr(Engine, "ask", stopping)
    with pytest.raises(KeyboardInterrupt):
        runner.run(prepare(this), Log())
    write_llada(folder, context=1024, seed=1)
    with pytest.raises(ProbeError, match=r"not as it was when this run began:\n  model.files"):
        runner.run(prepare(this), Log())


def test_a_scorer_of_another_name_is_refused_before_anything_is_loaded(tmp_path, monkeypatch):
    """As that of a run on Dream is which began when its companion was what it started from."""
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("loaded"))
    plan = prepare(
        Job("shift", "dream-7b", {"limit": 1, "tasks": ("arithmetic",)}, output=tmp_path)
    )
    with pytest.raises(ProbeError) as refused:
        runner.same_scorer(plan, {"scorer": {"name": "qwen2.5-7b"}})
    said = str(refused.value)
    assert "was qwen2.5-7b when this run began, the model that dream-7b started from" in said
    assert "its companion is llama3-8b now" in said
    assert "--scorer qwen2.5-7b" in said
    runner.same_scorer(plan, {"scorer": {"name": "llama3-8b"}})
    runner.same_scorer(plan, {})


def test_two_models_share_a_folder(tmp_path):
    for name in ("oracle", "oracle-causal"):
        runner.run(prepare(job(tmp_path, name)), Log())
    assert set(read_run(tmp_path)) == {"locality__oracle", "locality__oracle-causal"}


def test_another_suite_file_under_the_same_name_is_refused(tmp_path):
    text = (
        shipped.path_of("few-shot")
        .read_text()
        .replace("words: words", f"words: {shipped.folder()}/words")
    )
    path = tmp_path / "my.yaml"
    path.write_text(text)
    this = job(
        tmp_path / "r",
        options={**OPTIONS, "suite": str(path), "lexicon": "small", "answer": "word"},
    )
    runner.run(prepare(this), Log())
    path.write_text(text.replace("Options:", "Choices:"))
    suite.load.cache_clear()
    with pytest.raises(ProbeError, match=r"sources\.suite"):
        runner.run(prepare(this), Log())


@pytest.mark.slow
def test_memory_backoff_is_recorded_and_kept(tmp_path, monkeypatch):
    forward = engine.forward

    def tight(model, batch):
        if len(batch) > 1:
            raise MemoryError
        return forward(model, batch)

    monkeypatch.setattr(engine, "forward", tight)
    runner.run(prepare(job(tmp_path, batch_tokens=400)), Log())
    entry = read_run(tmp_path)["locality__oracle"]
    assert all("out of memory" in event for event in entry["events"])
    assert entry["batch"]["tokens"] < 400
