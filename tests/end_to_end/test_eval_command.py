"""`mdlm-probe eval`: what it writes, how it resumes, what it refuses."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import call
from lm_eval.tasks import manager


def typed(*arguments, fails=False):
    # lm-eval says some things by `print`; the runner keeps them apart from errors
    result = call("eval", *arguments, code=None)
    assert (result.exit_code != 0) is fails, result.output
    return result.output


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def kept(path):
    return {(line := json.loads(text)).pop("key"): line for text in path.read_text().splitlines()}


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    """A whole run of both bundled models."""
    output = tmp_path_factory.mktemp("done")
    said = typed("--tasks", "t_choice,t_long,t_rolling", "--include_path", folder, "--draws", 8,
                 "--bound", 2, "--log_samples", "-q", "-o", output)  # fmt: skip
    return output, said


def test_metrics_are_those_of_lm_eval_with_our_error_beside(done):
    output, said = done
    for model in ("tiny-mdlm", "tiny-arlm"):
        found = rows(output / f"eval__{model}.csv")
        assert {row["task"] for row in found} == {"t_choice", "t_long", "t_rolling"}
        (path,) = (output / model).glob("results_*.json")
        results = json.loads(path.read_text())
        assert {"results", "configs", "versions", "n-shot", "config"} <= results.keys()
        for row in found:
            theirs = results["results"][row["task"]]
            names = f"{row['metric']},{row['filter']}"
            assert float(row["value"]) == pytest.approx(theirs[names], rel=1e-5)
            assert row["n"] == str(theirs["sample_len"])
        assert len(list((output / model).glob("samples_t_*.jsonl"))) == 3
    assert "se over documents" in said
    assert "se of draws" in said
    errors = {(r["task"], r["metric"]): float(r["mc_stderr"]) for r in
              rows(output / "eval__tiny-mdlm.csv")}  # fmt: skip
    assert errors["t_choice", "acc"] == 0
    assert errors["t_rolling", "bits_per_byte"] > 0
    assert all(float(row["mc_stderr"]) == 0 for row in rows(output / "eval__tiny-arlm.csv"))
    run = json.loads((output / "run.json").read_text())["eval__tiny-mdlm"]
    assert run["status"] == "finished"
    assert run["evaluations"][0]["options"]["settings"]["draws"] == 8
    mixes = {row["task"]: row["estimator"] for row in rows(output / "eval__tiny-mdlm.csv")}
    assert mixes["t_choice"] == "exact 18"
    assert "mc" in mixes["t_long"]


def test_more_documents_and_tasks_reuse_what_is_there(done, folder, tmp_path):
    options = ["-m", "tiny-mdlm", "--include-path", folder, "--draws", 8, "--bound", 2, "-q"]
    typed("--tasks", "t_long", "--limit", 1, *options, "-o", tmp_path, "--batch-tokens", 64)
    path = tmp_path / "eval__tiny-mdlm.jsonl"
    first = kept(path)
    assert len(first) == 2
    typed("--tasks", "t_long,t_rolling", *options, "-o", tmp_path)
    typed("--tasks", "t_choice", *options, "-o", tmp_path)
    # neither --limit, nor the batch, nor other tasks change an answer
    whole = kept(done[0] / path.name)
    found = kept(path)
    assert found.keys() == whole.keys()
    for name, answer in whole.items():
        assert found[name]["logp"] == pytest.approx(answer["logp"], abs=1e-4)
        assert found[name]["greedy"] == answer["greedy"]
    here, there = (rows(place / "eval__tiny-mdlm.csv") for place in (tmp_path, done[0]))
    assert {r["task"] for r in here} == {r["task"] for r in there}
    found = {(r["task"], r["metric"]): float(r["value"]) for r in here}
    assert found == pytest.approx({(r["task"], r["metric"]): float(r["value"]) for r in there})
    # other settings are other answers
    typed("--tasks", "t_long", *options, "--seed", 1, "-o", tmp_path)
    assert len(kept(path)) > len(whole)
    typed("--tasks", "t_long", *options, "--fresh", "-o", tmp_path)
    assert len(kept(path)) == 7


def test_a_killed_run_goes_on_and_ends_the_same(done, folder, tmp_path):
    options = [
        "--tasks",
        "t_long,t_rolling,t_choice",
        "--include_path",
        str(folder),
        "--bound",
        "2",
    ]
    options += ["--draws", "8", "-m", "tiny-mdlm", "--batch-tokens", "40", "-q"]
    options += ["-o", str(tmp_path)]
    typed_in = [sys.executable, "-m", "mdlm_probe", "eval", *options]
    said = tmp_path / "said.txt"
    with said.open("wb") as errors:
        process = subprocess.Popen(typed_in, stdout=subprocess.DEVNULL, stderr=errors)
    path = tmp_path / "eval__tiny-mdlm.jsonl"
    while not (path.exists() and path.stat().st_size) and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert said.read_bytes() == b"", "a library speaks while it is loaded"
    before = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"key": "torn')
    typed(*options)
    assert path.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    whole, found = kept(done[0] / path.name), kept(path)
    assert found.keys() == whole.keys()
    for name, answer in whole.items():
        assert found[name]["logp"] == pytest.approx(answer["logp"], abs=1e-4)


def test_texts_end_at_stop_texts_and_presets_are_said(folder, tmp_path):
    options = ["--tasks", "t_written", "--include_path", folder, "-m", "tiny-mdlm", "--log_samples"]
    said = typed(*options, "--preset", "llada-instruct-256", "--gen_kwargs", "max_gen_toks=20",
                 "--limit", 1, "-o", tmp_path / "a")  # fmt: skip
    assert "preset llada-instruct-256: length 256, block 8" in said
    run = json.loads((tmp_path / "a" / "run.json").read_text())["eval__tiny-mdlm"]
    (evaluation,) = run["evaluations"]
    assert evaluation["options"]["presets"]["t_written"]["settings"] == {"length": 256, "block": 8}
    (answer,) = kept(tmp_path / "a" / "eval__tiny-mdlm.jsonl").values()
    assert "." not in answer["text"]
    assert answer["tokens"] <= 20
    assert answer["passes"] <= 24
    found = typed(*options, "-q", "-o", tmp_path / "b")
    assert "preset" not in found
    assert len(kept(tmp_path / "b" / "eval__tiny-mdlm.jsonl")) == 3


def test_a_file_replaces_the_documents_of_a_task(folder, tmp_path):
    data = tmp_path / "own.csv"
    data.write_text("question,choices,answer\n the,x,0\n")
    (tmp_path / "own.jsonl").write_text(
        '{"question": " the", "choices": [" wind", " often"], "answer": 0}\n'
    )
    options = ["--tasks", "t_long", "--include_path", folder, "-m", "tiny-arlm", "-q"]
    typed(*options, "--data", tmp_path / "own.jsonl", "-o", tmp_path / "a")
    (row, _) = rows(tmp_path / "a" / "eval__tiny-arlm.csv")
    assert row["n"] == "1"
    (tmp_path / "bad.jsonl").write_text('{"query": " the", "choices": ["a"], "answer": 0}\n')
    found = typed(*options, "--data", tmp_path / "bad.jsonl", "-o", tmp_path / "b", fails=True)
    assert "has no column question" in found


def test_a_missing_column_is_named(folder, tmp_path):
    text = (folder / "t_choice.yaml").read_text()
    old, templates = "doc_to_text: question", {"plain": "asked", "jinja": "'{{asked}}:'"}
    for name, new in templates.items():
        written = text.replace(old, f"doc_to_text: {new}").replace(
            "t_choice.jsonl", str(folder / "t_choice.jsonl")
        )
        (tmp_path / f"{name}.yaml").write_text(written)
        found = typed("--tasks", tmp_path / f"{name}.yaml", "-o", tmp_path, fails=True)
        assert "asked" in found
        assert "Traceback" not in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "t_chioce"], "did you mean 't_choice'"),
        (["--tasks", "arc_esy"], "did you mean 'arc_easy'"),
        (["--tasks", "t_choice", "--limit", 0], "--limit has 0"),
        (["--tasks", "t_choice", "--limit", 2.5], "a whole number, or a share"),
        (["--tasks", "t_choice", "--num_fewshot", -1], "--num_fewshot has -1"),
        (["--tasks", "t_choice", "--num_fewshot", 100], "lm-eval refuses"),
        (["--tasks", "t_choice", "--draws", 0], "--draws has 0"),
        (["--tasks", "t_choice", "--seed", "a"], "--seed is 'a'"),
        (["--tasks", "t_choice", "--preset", "lada"], "unknown preset 'lada'"),
        (["--tasks", "t_choice", "--gen_kwargs", "block"], "--gen_kwargs has 'block'"),
        (["--tasks", "t_choice", "--gen_kwargs", "blok=3"], "did you mean 'block'"),
        (["--tasks", "t_choice", "--gen_kwargs", "steps=x"], "steps is 'x'"),
        (["--tasks", "t_choice", "--gen_kwargs", "eos=never"], "free, eos_inf, eos_last"),
        (["--tasks", "t_choice", "--apply_chat_template", "-m", "tiny-arlm"], "chat template"),
        (["--tasks", "t_choice,t_long", "--data", "x.jsonl"], "--data is for one task"),
        (["--tasks", "t_choice", "--model", "tiny"], "no model named 'tiny'"),
    ],
)
def test_what_is_wrong_is_said(arguments, message, folder, tmp_path, monkeypatch):
    # where a name is unknown, all files beside lm-eval's own manager are read: these are enough
    own = Path(manager.__file__).parent / "arc" / "manager.py"
    monkeypatch.setattr(manager, "__file__", str(own))
    options = [] if "-m" in arguments or "--model" in arguments else ["-m", "tiny-mdlm"]
    found = typed(*arguments, *options, "--include_path", folder, "-q", "-o", tmp_path, fails=True)
    assert message in found
    assert "Traceback" not in found


def test_options_have_lm_evals_names_and_ours():
    found = call("eval", "--help").output
    for name in ("num_fewshot", "num-fewshot", "log_samples", "include_path", "gen_kwargs"):
        assert f"--{name}" in found


def test_nothing_is_said_of_git_where_there_is_none(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    typed("--model", "tiny-arlm", "-q", "--tasks", "suite_animal_words", "--limit", 1)
    assert capfd.readouterr().err == ""
