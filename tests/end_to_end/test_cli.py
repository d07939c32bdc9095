"""The command line, as a person types it."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from checkpoints import write_llada
from commands import call

from mdlm_probe import cli
from mdlm_probe.cli.options import jobs_of
from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.runs import runner

pytestmark = pytest.mark.usefixtures("untimed")
QUICK = "--tasks verb-smallest --limit 3 --shots 2 --distractors 4 --positions 0,4".split()


def fails(*arguments, code=1):
    """Output of a command that must end with a message, a code and no traceback."""
    return call(*arguments, code=code).output


def test_help_fits_a_screen_and_names_every_probe_and_command():
    result = call("--help")
    lines = result.output.splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert re.search(r"locality +Does a model find", result.output)
    for name in (*catalog.names("probe"), *cli.main.commands):
        assert re.search(rf"\b{name}\b", result.output), name
    assert not re.search(r"\w\.\.\.$", result.output, re.MULTILINE)  # cut


@pytest.mark.parametrize("command", [*cli.main.commands, *catalog.names("probe")])
def test_every_command_has_help(command):
    result = call(command, "-h")
    assert len(result.output) > 100
    assert result.output.startswith(f"Usage: main {command}")


def test_listings():
    assert {"llada-8b", "tiny-arlm"} <= set(call("models").output.split())
    assert "GSAI-ML/LLaDA-8B-Base" in call("models", "--wide").output
    assert "animal-smallest" in call("tasks").output
    assert "wherever it stands" in call("probes").output


def test_a_run_prints_tables_and_saves_pictures(tmp_path):
    result = call("locality", "-m", "oracle", *QUICK, "-o", tmp_path / "r")
    for text in ("locality: accuracy", "95 % over tasks", "locality: index", "locality.png"):
        assert text in result.stdout
    assert "6 of 6 cells" in result.stderr
    frame = pd.read_csv(tmp_path / "r" / "locality__oracle.csv")
    assert list(frame.columns[:3]) == ["model", "suite", "set"]
    assert len(frame) == 6
    assert (tmp_path / "r" / "locality.svg").stat().st_size > 1000
    again = call("locality", "-m", "oracle", *QUICK, "-o", tmp_path / "r", "--quiet")
    assert again.stdout == result.stdout
    assert again.stderr == ""


def test_report_rebuilds_from_the_csv_alone(tmp_path):
    first = call("locality", "-m", "oracle", *QUICK, "-o", tmp_path, "-q").stdout
    made = [tmp_path / f"locality{end}" for end in (".png", ".svg", "-accuracy.csv", "-index.csv")]
    kept = {path: path.read_bytes() for path in made}
    for path in made:
        path.unlink()
    *lines, last = call("report", tmp_path).stdout.splitlines()
    assert lines == first.splitlines()
    assert last == f"wrote {tmp_path / 'report.html'}"
    for path in made:
        assert path.read_bytes() == kept[path], path


def test_no_model_means_the_bundled_pair():
    jobs = jobs_of("locality", [], given())
    assert [job.model for job in jobs] == ["tiny-mdlm", "tiny-arlm"]
    assert jobs[0].output == Path("results/locality")


def given(**changes):
    base = {"model": (), "dtype": "auto", "device": "auto", "revision": "", "quantize": None}
    return (
        base
        | {"adapter": "", "style": None, "batch_tokens": "auto", "output": None, "fresh": False}
        | changes
    )


def test_plan_says_what_it_would_cost():
    result = call(
        "plan", "locality", "-m", "oracle", "-m", "oracle-causal", "--question", "left,right"
    )
    lines = result.output.splitlines()
    head = next(line for line in lines if line.startswith("model "))
    (row,) = (line for line in lines if line.startswith("oracle "))
    told = dict(zip(re.split(r" {2,}", head.strip()), re.split(r" {2,}", row.strip()), strict=True))
    assert (told["cells"], told["forwards"]) == ("5,760", "5,760")
    assert "oracle-causal: 2880 cells left out" in result.output
    big = call("plan", "locality", "-m", "llada-8b").output
    assert "In all: 144,000 cells, 144,000 forwards" in big
    assert "rough guess" in big


@pytest.mark.usefixtures("undrawn")
def test_a_local_checkpoint_by_its_folder(tmp_path):
    folder = write_llada(tmp_path / "my-checkpoint", context=1024)
    call(
        *("locality", "--model", folder, "--question", "middle", "--positions", "0,1"),
        *("--shots", 1, "--distractors", 2, "--limit", 1, "--tasks", "animal"),
        *("--output", tmp_path / "mine"),
    )
    frame = pd.read_csv(tmp_path / "mine" / "locality__my-checkpoint.csv")
    assert set(frame["answer_form"]) == {"letter"}
    assert set(frame["right"]) <= set("ABC")


# ---------------------------------------------------------------------- errors


def test_unknown_model_with_a_suggestion():
    output = fails("locality", "-m", "lada-8b")
    assert "Error: no model named 'lada-8b'" in output
    assert "llada-8b" in output.splitlines()[1]


def test_missing_folder():
    assert "no-such-folder" in fails("locality", "-m", "./no-such-folder")


def test_wrong_family(tmp_path):
    folder = write_llada(tmp_path / "m", config={"model_type": "bert", "architectures": ["Bert"]})
    output = fails("locality", "-m", folder)
    assert "unknown model family: model_type 'bert'" in output
    assert "llada" in output


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["locality", "--question", "up"], "'up' is not one of", 2),
        (["locality", "--positions", "a"], "'a' is not a valid integer", 2),
        (["locality", "--positions", ","], "is empty", 2),
        (["locality", "--limt", "3"], "--limit", 2),
        (["localty"], "did you mean 'locality'", 2),
        (["plan", "localty"], "did you mean 'locality'", 2),
        (["locality", "--limit", "0"], "--limit has 0", 1),
        (["locality", "--positions", "99"], "--positions has 99", 1),
        (["locality", "--batch-tokens", "many"], "--batch-tokens is 'many'", 1),
        (["locality", "-m", "oracle", "-m", "oracle"], "names 'oracle' twice", 1),
        (["locality", "--suite", "none.yaml"], "cannot read none.yaml", 1),
        (["locality", "-m", "oracle-causal", "--question", "left"], "nothing to ask", 1),
        (
            ["locality", "-m", "tiny-mdlm", "--answer", "word", "--lexicon", "full"],
            "not in the vocab",
            1,
        ),
        (["locality", "-m", "tiny-mdlm", "--device", "tpu"], "unknown device 'tpu'", 1),
        (["plan", "locality", "-m", "tiny-mdlm", "--device", "tpu"], "unknown device 'tpu'", 1),
        (["plan", "locality", "-m", "oracle-causal", "--masks", "2"], "nothing to ask", 1),
    ],
)
def test_bad_options(tmp_path, monkeypatch, arguments, message, code):
    monkeypatch.chdir(tmp_path)
    output = fails(*arguments, code=code)
    assert message in " ".join(output.split())


@pytest.mark.parametrize("broken", ["missing", "empty", "file", "json", "csv", "norows", "columns"])
def test_unreadable_results_folder(tmp_path, broken):
    folder = tmp_path / "r"
    if broken == "file":
        folder.write_text("")
    elif broken != "missing":
        folder.mkdir()
    if broken == "json":
        (folder / "run.json").write_text("{")
    if broken in ("csv", "norows", "columns"):
        with RunFolder.locked(folder, "locality__m") as run:
            run.begin("locality__m", {"config": {"probe": "locality"}})
        texts = {"csv": 'model,set\n"\n', "norows": "model,set\n", "columns": "model,set\nm,a\n"}
        text = texts[broken]
        (folder / "locality__m.csv").write_text(text)
    assert str(folder) in fails("report", folder)


def test_output_that_cannot_be_written(tmp_path):
    (tmp_path / "f").write_text("")
    assert "cannot use" in fails("locality", "-m", "oracle", *QUICK, "-o", tmp_path / "f")


def test_ctrl_c_says_how_to_go_on(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run", interrupted)
    output = fails("locality", "-m", "oracle", *QUICK, "-o", tmp_path, code=130)
    assert "the same command, without --fresh, resumes" in output


@pytest.mark.usefixtures("undrawn")
def test_a_changed_configuration_shows_the_difference(tmp_path):
    call("locality", "-m", "oracle", *QUICK, "-o", tmp_path, "-q")
    output = fails("locality", "-m", "oracle", *QUICK, "--seed", 1, "-o", tmp_path, "-q")
    assert "options.seed: 0 -> 1" in output
    assert "--fresh starts over" in output
    call("locality", "-m", "oracle", *QUICK, "--seed", 1, "-o", tmp_path, "--fresh")


@pytest.mark.usefixtures("undrawn")
def test_a_failed_start_leaves_nothing_in_the_way(tmp_path):
    """Another way to load, and another model, work in the folder; so does the report."""
    assert "no chat template" in fails(
        "locality", "-m", "oracle", "--style", "chat", *QUICK, "-o", tmp_path
    )
    call("locality", "-m", "oracle-causal", *QUICK, "-o", tmp_path)
    call("locality", "-m", "oracle", *QUICK, "-o", tmp_path)
    assert "oracle-causal" in call("report", tmp_path).output


@pytest.mark.usefixtures("undrawn")
def test_models_that_cannot_be_asked_are_left_out_when_others_can(tmp_path):
    both = ["-m", "oracle", "-m", "oracle-causal", "--question", "left"]
    result = call("locality", *both, *QUICK, "-o", tmp_path)
    assert "oracle-causal left out: a causal model can't see" in result.stderr
    assert not (tmp_path / "locality__oracle-causal.csv").exists()


@pytest.mark.usefixtures("undrawn")
def test_cells_that_ask_nothing_are_rows_all_the_same(tmp_path):
    """A pair set of words that the model doesn't know: no query, and no group of cells fails."""
    pairs = tmp_path / "pairs.yaml"
    lines = (
        "name: pairs",
        "lexicons:",
        "  full:",
        "    odd:",
        '      text: "The {a} of {b}."',
        "      pairs: [[Xylophon, Quixotry], [Zyzzyva, Rhythmics]]",
    )
    pairs.write_text("\n".join(lines))
    out = tmp_path / "out"
    call("joint", "--model", "tiny-mdlm", "--measure", "sets", "--pairs", pairs, "-q", "-o", out)
    (row,) = pd.read_csv(out / "joint-sets__tiny-mdlm.csv").to_dict("records")
    assert (row["prompt"], row["set_pairs"]) == ("odd", 0)


@pytest.mark.usefixtures("undrawn")
def test_report_on_a_file_cut_anywhere_gives_numbers_or_a_message(tmp_path):
    call("locality", "-m", "oracle", *QUICK, "-o", tmp_path, "-q")
    path = tmp_path / "locality__oracle.csv"
    data = path.read_bytes()
    run = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(run.replace('"finished"', '"started"'))
    head = data.index(b"\n")
    for cut in [0, 10, head, *range(head + 1, len(data), 199), len(data)]:
        path.write_bytes(data[:cut])
        rows = max(0, data[:cut].count(b"\n") - 1)
        result = call("report", tmp_path, code=0 if rows else 1)
        if rows:
            assert f"unfinished ({rows} rows, 6 cells planned)" in result.output


@pytest.mark.parametrize("probe", catalog.names("probe"))
def test_every_probe_can_be_planned_without_a_tokenizer(probe):
    """No hub is reachable, so the tokens of a checkpoint's prompts are guessed, and said to be."""
    result = call("plan", probe, "-m", "llada-8b-instruct", "--limit", "3")
    assert "tokens are a rough guess" in result.output


def test_any_command_can_be_planned_as_it_stands(tmp_path):
    call("plan", "locality", "-m", "oracle", *QUICK, "-o", tmp_path / "r", "--fresh", "-q")
    assert not (tmp_path / "r").exists()


def test_the_oracle_refuses_options_for_loading(tmp_path):
    for wish in (["--quantize", "8bit"], ["--dtype", "bfloat16"], ["--device", "cuda"]):
        assert "means nothing" in fails("locality", "-m", "oracle", *QUICK, *wish, "-o", tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_rows_that_are_no_numbers_are_named(tmp_path):
    call("locality", "-m", "oracle", *QUICK, "-o", tmp_path, "-q")
    path = tmp_path / "locality__oracle.csv"
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace(",right,0,", ",right,zz,")
    path.write_text("\n".join(lines) + "\n")
    assert "'question_masks' is zz in row 2, not a number" in fails("report", tmp_path)


@pytest.mark.usefixtures("undrawn")
def test_the_command_reads_beyond_the_context(tmp_path):
    line = "needle --model tiny-mdlm --lengths 1200 --depths 50 --limit 1 --baseline none"
    line = [*line.split(), "--output", str(tmp_path)]
    said = fails(*line)
    assert "1200 tokens are beyond its context of 1024; see --rope-scale" in said
    call(*line, "--rope-scale", "1.5")
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["needle__tiny-mdlm"]["model"]["context"] == 1536
    assert told["needle__tiny-mdlm"]["config"]["load"]["rope_scale"] == 1.5
