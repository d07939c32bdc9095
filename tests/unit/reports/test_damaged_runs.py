"""Damaged runs: what is damaged is named and left out, whatever reads it; the rest goes on."""

import json
import re

import made_runs
import pytest
import reference
from simulations import cases, simulation

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.reports import exports, html
from mdlm_probe.reports.compare import compare

pytestmark = pytest.mark.slow

BAD, GOOD = "needle__tiny-mdlm", "needle__tiny-arlm"


def shortest(row):
    """Of one context length alone, and of few needles: a report makes tables of each length."""
    return [row] if row["context_length"] == "128" and int(row["item"]) < 6 else []


@pytest.fixture
def run(tmp_path):
    reference.run(tmp_path, "needle", "tiny-mdlm", "tiny-arlm")
    for name in (BAD, GOOD):
        made_runs.changed(tmp_path, name, shortest, lengths=[128], limit=6)
    return tmp_path


def entry(run, change):
    path = run / "run.json"
    entries = json.loads(path.read_text())
    entries[BAD] = change(entries[BAD])
    path.write_text(json.dumps(entries))


def cells(run, column, value, row=3):
    path = run / f"{BAD}.csv"
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index(column)
    fields = lines[row].split(",")
    fields[at] = value
    lines[row] = ",".join(fields)
    path.write_text("\n".join(lines) + "\n")


def told(**fields):
    return lambda run: entry(run, lambda old: old | fields)


def config(**fields):
    return lambda run: entry(run, lambda old: old | {"config": old["config"] | fields})


def cell(column, value):
    return lambda run: cells(run, column, value)


def text(content):
    return lambda run: (run / f"{BAD}.csv").write_bytes(content)


DAMAGE = {
    "an entry that is none": (lambda run: entry(run, lambda old: 7), "its entry is '7'"),
    "a config that is a list": (told(config=[]), "config is"),
    "no config at all": (told(config=None), "config is"),
    "a model that is a number": (config(model=7), r"config\.model is '7', not a text"),
    "options that are a text": (config(options="x"), r"config\.options is 'x'"),
    "sessions of texts": (told(sessions=["x"]), r"sessions\[0\] is 'x', not a mapping"),
    "parameters as a text": (told(model={"parameters": "8B"}), r"model\.parameters is '8B'"),
    "seven right answers": (cell("correct", "7"), "'correct' is 7.* in row 3"),
    "a positive log-probability": (cell("logp_right", "0.5"), "'logp_right' is 0.5"),
    "an infinite one": (cell("logp_right", "-inf"), "'logp_right' is -inf"),
    "a probability of 2": (cell("top1_prob", "2"), "'top1_prob' is 2"),
    "half a token": (cell("tokens", "7.5"), "'tokens' is 7.5 in row 3"),
    "a word for a number": (cell("tokens", "many"), "'tokens' is many in row 3"),
    "a number without an end": (cell("tokens", "9" * 400), "'tokens' is 9999"),
    "a field too many": (text(b"model,item\nm,1\nm,1,1\n"), "cannot read"),
    "no text at all": (text(b"\xff\xfe\x00\n\x80,\n"), "cannot read"),
}


@simulation
@pytest.mark.parametrize("kind", cases(DAMAGE, every=2))
def test_the_rest_goes_on(run, tmp_path_factory, kind):
    damage, said = DAMAGE[kind]
    damage(run)
    (read,) = html.read(run)
    assert set(read.made["needle"].frame["model"]) == {"tiny-arlm"}
    assert [note for note in read.notes if re.search(f"{BAD} is left out: .*{said}", note)]
    assert "left out" in html.page(run, [read])
    runs, notes = exports.load(run)
    assert list(runs[0].entries) == [GOOD]
    assert notes
    request = exports.ExportRequest(folder=tmp_path_factory.mktemp("export"))
    assert exports.export(run, ["jsonl", "parquet", "markdown"], request)
    found, notes = compare.compare(run, run)
    assert [one.first.model for one in found] == ["tiny-arlm"]
    assert [note for note in notes if BAD in note]


def test_a_whole_run_that_is_damaged_is_an_error_by_itself_and_a_note_in_a_study(tmp_path):
    reference.run(tmp_path / "good", "needle", "tiny-arlm")
    made_runs.changed(tmp_path / "good", GOOD, shortest, lengths=[128], limit=6)
    (tmp_path / "bad").mkdir()
    for content in ("[" * 100_000, "{", '{"a": ', "[]", "\xff"):
        (tmp_path / "bad" / "run.json").write_text(content, encoding="latin-1")
        with pytest.raises(ProbeError, match=r"bad.run\.json"):
            html.read(tmp_path / "bad")
        bad, good = html.read(tmp_path)
        assert (list(bad.made), list(good.made)) == ([], ["needle"])
        assert "run.json" in bad.notes[0]


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "x\0y", ".hidden", "x" * 300])
def test_names_that_reach_outside_the_folder_are_refused(run, name):
    path = run / "run.json"
    entries = json.loads(path.read_text())
    entries[name] = entries[BAD]
    path.write_text(json.dumps(entries))
    (read,) = html.read(run)
    assert [note for note in read.notes if "its name can't be a file's" in note]


def test_a_damaged_measurement_is_not_resumed_and_those_beside_it_are(run):
    entry(run, lambda old: old | {"config": []})
    before = json.loads((run / "run.json").read_text())
    with RunFolder.locked(run, BAD) as folder:
        with pytest.raises(ProbeError, match=r"is damaged: of 'needle__tiny-mdlm', config is"):
            folder.begin(BAD, {"config": {}})
        folder.begin("needle__other", {"config": {}})
    after = json.loads((run / "run.json").read_text())
    assert {name: after[name] for name in before} == before
    with RunFolder.locked(run, BAD, fresh=True) as folder:
        folder.begin(BAD, {"config": {}})
