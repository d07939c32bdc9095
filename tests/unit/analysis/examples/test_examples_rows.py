"""Rows as text: what the CSV holds, not what a frame makes of it; and whether prompts are there."""

import dataclasses
import json

import pandas as pd
import pytest
import reference

from mdlm_probe.analysis import frames
from mdlm_probe.analysis.examples import parts
from mdlm_probe.analysis.examples.prompts import prompt
from mdlm_probe.analysis.examples.rows import Rows
from mdlm_probe.core import catalog
from mdlm_probe.core.csv_text import csv_of, lines_of, text_from
from mdlm_probe.core.run_folder import probe_of

PROBES = catalog.names("probe")


def write(folder, probe, model, rows, columns, **config):
    """A run folder with one more measurement of these rows."""
    name = f"{probe}__{model}"
    header = dict(zip(columns, columns, strict=True))
    (folder / f"{name}.csv").write_bytes(lines_of([header, *rows], columns))
    path = folder / "run.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    told = {"probe": probe, "model": model} | config
    path.write_text(json.dumps(known | {name: {"status": "finished", "config": told}}))


def read(folder, probe):
    frame = frames.frames(folder)[0][probe]
    return Rows(folder, probe, frame, json.loads((folder / "run.json").read_text()))


@pytest.fixture
def folder(tmp_path):
    """Two models; fields that a frame would take for numbers."""
    for model, answers in (("one", ["007", " 12", ""]), ("two", ["a\\n\n\r\0,\"'", "<b>", "1.50"])):
        rows = [{"model": model, "prompt": "1", "answer": answer} for answer in answers]
        write(tmp_path, "shift", model, rows, ("model", "prompt", "answer"))
    write(tmp_path, "locality", "one", [{"model": "one", "item": 3}], ("model", "item"))
    return tmp_path


def test_fields_are_read_as_they_were_written(folder):
    rows = read(folder, "shift")
    found = [rows.fields(at)["answer"] for at in range(6)]
    assert found == ["007", " 12", "", "a\\n\n\r\0,\"'", "<b>", "1.50"]
    assert rows.fields(4) == {"model": "two", "prompt": "1", "answer": "<b>"}
    assert read(folder, "locality").fields(0) == {"model": "one", "item": "3"}


@pytest.mark.parametrize("probe", PROBES)
def test_rows_of_the_committed_run_one_by_one_are_those_of_the_file(probe):
    folder = reference.FOLDER / probe
    rows, at = read(folder, probe), 0
    plain = catalog.columns_of_type(probe, list)
    for name, entry in rows.entries.items():
        if probe_of(name, entry) == probe:
            known = frames.read_texts(folder / f"{name}.csv").to_pylist()
            for place in range(0, len(known), 97):
                own = {n: text or "" for n, text in known[place].items()}
                own = {n: text if n in plain else text_from(text) for n, text in own.items()}
                assert rows.fields(at + place) == own
            at += len(known)
    assert at == len(rows.frame)


@pytest.mark.parametrize("lost", ["missing", "grown"])
def test_without_its_csvs_a_frame_gives_what_it_has(folder, lost):
    frame = frames.frames(folder)[0]["shift"]
    path = folder / "shift__one.csv"
    if lost == "missing":
        path.unlink()
    else:
        path.write_text(path.read_text() + "one,1,more\n")
    rows = Rows(folder, "shift", frame, json.loads((folder / "run.json").read_text()))
    found = [rows.fields(at) for at in range(6)]
    assert [row["model"] for row in found] == ["one"] * 3 + ["two"] * 3
    assert found[2]["answer"] == ""
    assert found[3]["answer"] == "a\\n\n\r\0,\"'"
    assert found[0]["prompt"] == "1"


def test_fields_longer_than_csv_reads_come_from_the_frame(tmp_path):
    long = "a " * 100_000
    write(tmp_path, "shift", "m", [{"model": "m", "answer": long}], ("model", "answer"))
    assert read(tmp_path, "shift").fields(0) == {"model": "m", "answer": long}


def test_whole_numbers_in_a_frame_are_written_whole(tmp_path):
    frame = pd.DataFrame({"model": ["m"], "item": [3.0], "share": [0.5]})
    row = Rows(tmp_path, "shift", frame, {}).fields(0)
    assert row == {"model": "m", "item": "3", "share": "0.5"}


@pytest.mark.parametrize("probe", PROBES)
def test_cells_are_made_again_from_rows(tmp_path, probe):
    module = catalog.load("probe", probe)
    cells = module.plan(limit=1)[:20]
    names = [field.name for field in dataclasses.fields(module.Cell)]
    rows = [{"model": "m", **dataclasses.asdict(cell)} for cell in cells]
    write(tmp_path, probe, "m", rows, ("model", *names))
    for other in [*catalog.csv_names(probe, f"{probe}__m").values()][1:]:
        (tmp_path / other).write_bytes(csv_of([], ("model", *names)))
    found = read(tmp_path, probe)
    assert [found.cell(at) for at in range(len(cells))] == list(cells)


# ---------------------------------------------------------------------- prompts


def shown(folder, **config):
    write(folder, "shift", "m", [{"model": "m", "seed": 0}], ("model", "seed"), **config)
    return prompt(read(folder, "shift"), "m", lambda: "the prompt")


def own(folder, text="a\n"):
    """Prompts of one's own, as a run's configuration names them."""
    path = folder / "own.txt"
    path.write_text(text)
    options = {"prompts": str(path), "lexicon": "full", "limit": 3, "tasks": ["all"]}
    probe = catalog.load("probe", "shift")
    return {"options": options, "sources": probe.sources(**options)}


def test_a_prompt_is_shown_where_its_files_are_as_they_were(tmp_path):
    assert shown(tmp_path, **own(tmp_path)) == parts.TextPart("prompt", "the prompt")


def test_a_chats_prompt_is_said_to_be_one(tmp_path):
    config = own(tmp_path)
    write(tmp_path, "shift", "m", [{"model": "m", "seed": 0}], ("model", "seed"), **config)
    rows = read(tmp_path, "shift")
    rows.entries["shift__m"]["model"] = {"entry": {"chat": True, "kind": "causal"}}
    assert "message of a chat" in prompt(rows, "m", lambda: "x").label
    assert rows.causal("m")
    assert not rows.causal("another")


def test_prompts_of_other_files_than_those_of_the_run_are_not_shown(tmp_path):
    config = own(tmp_path)
    found = shown(tmp_path, **{**config, "sources": {"prompts": "another"}})
    assert found.label == "no prompt"
    assert "not those of this run" in found.text
    config["options"]["prompts"] = str(tmp_path / "gone.txt")
    assert "cannot read" in shown(tmp_path, **config).text
    assert "can't be checked" in shown(tmp_path, options={}, sources={}).text
    assert shown(tmp_path).label == "no prompt"


def test_the_standard_input_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    config = {"options": {"prompts": "-", "lexicon": "full"}, "sources": {"prompts": "x"}}
    assert "standard input" in shown(tmp_path, **config).text


def test_a_prompt_that_can_not_be_found_says_so(tmp_path):
    config = own(tmp_path)
    write(tmp_path, "shift", "m", [{"model": "m", "seed": 0}], ("model", "seed"), **config)
    rows = read(tmp_path, "shift")

    def lost():
        raise KeyError("prose-99")

    assert prompt(rows, "m", lost) == parts.TextPart("no prompt", "not found: 'prose-99'")
