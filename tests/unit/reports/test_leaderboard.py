"""The leaderboard: rows of models, their order, notes on what can't be compared, and its files."""

import csv
import hashlib
import json
import re
import shutil
from functools import partial
from html.parser import HTMLParser

import made_runs
import pytest
import reference
from commands import call

from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import leaderboard, leaderboard_files

INDEX = "locality index"


def names(made):
    return [row.name for row in made.rows]


def locality(folder, *models, **entry):
    """A committed run of locality, with changes of what run.json says."""
    reference.run(folder, "locality", *models)
    entries = json.loads((folder / "run.json").read_text())
    for one in entries.values():
        for name, change in entry.items():
            one[name] |= change
    (folder / "run.json").write_text(json.dumps(entries))
    return folder


@pytest.fixture(scope="module", autouse=True)
def tables_once():
    """Reports make the tables of equal rows once: leaderboards differ in what they do with them."""
    made = {}

    def of_rows(tables, frame):
        key = hashlib.sha256(frame.to_csv().encode()).digest()
        if key not in made:
            made[key] = tables(frame)
        return dict(made[key])

    with pytest.MonkeyPatch.context() as patched:
        for report in (catalog.load("report", probe) for probe in ("locality", "masks")):
            patched.setattr(report, "tables", partial(of_rows, report.tables))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The leaderboard of locality of three models and masks of two, in folders of their own."""
    home = tmp_path_factory.mktemp("runs")
    reference.run(home / "places", "locality", "tiny-mdlm", "oracle-biased", "oracle")
    reference.run(home / "masks", "masks", "tiny-mdlm", "tiny-arlm")
    return leaderboard.make([home / "places", home / "masks"])


@pytest.mark.slow
def test_a_row_is_a_model_whatever_folders_it_is_in(made):
    assert names(made) == ["oracle", "oracle-biased", "tiny-mdlm", "tiny-arlm"]
    by_name = {row.name: row.values for row in made.rows}
    assert set(by_name["tiny-mdlm"]) == {INDEX, "distraction", "distraction p_right"}
    assert set(by_name["oracle"]) == {INDEX}
    assert by_name["oracle-biased"][INDEX].value == pytest.approx(65)
    assert by_name["tiny-mdlm"][INDEX].low == pytest.approx(-5.49564, rel=1e-4)


def test_what_can_not_be_told_is_a_dash_with_a_reason(made):
    assert any("distraction: tiny-arlm has none: no masks" in note for note in made.notes)
    cells = {row[0]: row[1:] for row in leaderboard_files.text(made).rows}
    assert cells["tiny-arlm"] == ("-", "-", "-")
    assert cells["oracle"] == ("0 (-2.47 to 2.47), n 80", "-", "-")
    assert cells["oracle-biased"][0] == "65 (51.6 to 78.4), n 8"


def test_rows_are_sorted_best_first_and_those_without_last(made):
    order = {h.name: leaderboard.ordered(made.rows, h) for _, h in made.columns}
    assert [row.name for row in order[INDEX]][:2] == ["oracle-biased", "tiny-mdlm"]
    assert order[INDEX][-1].name == "tiny-arlm"
    fewer_lost = [row.name for row in order["distraction p_right"]]
    assert fewer_lost[0] == "tiny-mdlm"


@pytest.mark.slow
def test_less_is_better_sorts_upwards(tmp_path):
    reference.run(tmp_path, "masks", "oracle-biased", "oracle")
    found = leaderboard.make([tmp_path], by="distraction p_right")
    assert names(found) == ["oracle", "oracle-biased"]
    with pytest.raises(ProbeError, match="unknown column 'distraktion'") as error:
        leaderboard.make([tmp_path], by="distraktion")
    assert "did you mean 'distraction'" in str(error.value)


# ---------------------------------------------------------------------- rows of a model


def test_other_weights_have_a_row_of_their_own(tmp_path):
    base = locality(tmp_path / "base", "tiny-mdlm")
    adapter = {"model": {"adapter": {"hash": "abc", "name": "x"}}}
    tuned = locality(tmp_path / "tuned", "tiny-mdlm", **adapter)
    masks = reference.run(tmp_path / "masks", "masks", "tiny-mdlm")
    found = leaderboard.make([base, tuned, masks])
    assert names(found) == [f"tiny-mdlm ({base}, {masks})", f"tiny-mdlm ({tuned})"]
    assert [len(row.values) for row in found.rows] == [3, 1]


def test_the_same_probe_twice_has_two_rows_and_other_options_a_note(tmp_path):
    first = locality(tmp_path / "first", "tiny-mdlm")
    again = locality(tmp_path / "again", "tiny-mdlm")
    found = leaderboard.make([first, again])
    assert names(found) == [f"tiny-mdlm ({first})", f"tiny-mdlm ({again})"]
    assert not found.notes
    other = tmp_path / "other"
    locality(other, "tiny-mdlm")
    entries = json.loads((other / "run.json").read_text())
    entries["locality__tiny-mdlm"]["config"]["options"]["answer"] = "letter"
    (other / "run.json").write_text(json.dumps(entries))
    (note,) = leaderboard.make([first, other]).notes
    assert "can't be compared" in note
    assert 'options.answer: "word" -> "letter"' in note
    assert f"tiny-mdlm ({other})" in note


def test_a_folder_named_twice_counts_once(tmp_path):
    folder = locality(tmp_path / "a", "oracle")
    assert names(leaderboard.make([folder, folder / ".." / "a"])) == ["oracle"]


def test_a_run_of_a_study_is_named_by_its_folder(tmp_path):
    for run in ("one", "two"):
        locality(tmp_path / run, "oracle")
    assert names(leaderboard.make([tmp_path])) == [
        f"oracle ({tmp_path / run})" for run in ("one", "two")
    ]


def test_rows_that_can_not_be_read_are_a_note_beside_the_others(tmp_path):
    reference.run(tmp_path / "a", "locality", "oracle")
    reference.run(tmp_path / "b", "masks", "oracle")
    made_runs.changed(
        *(tmp_path / "b", "masks__oracle"),
        lambda row: [{name: v for name, v in row.items() if name != "filler"} | {"filler": ""}],
    )
    found = leaderboard.make([tmp_path / "a", tmp_path / "b"])
    assert found.rows[0].values[INDEX].value == 0
    assert any("masks" in note for note in found.notes)


def test_a_planted_effect_is_in_the_table(tmp_path):
    """Far from the question nothing is found, but by one task in one of ten cases."""
    reference.run(tmp_path, "locality", "tiny-mdlm")

    def change(row):
        near = row["position"] != "0" or (row["task"] == "country" and row["item"] == "0")
        return [row | {"correct": str(int(near))}]

    made_runs.changed(tmp_path, "locality__tiny-mdlm", change)
    (row,) = leaderboard_files.text(leaderboard.make([tmp_path])).rows
    value, low, high = map(float, re.findall(r"-?[\d.]+", row[1])[:3])
    assert low < value < high
    assert value > 95
    assert low > 90


# ---------------------------------------------------------------------- files


class Cells(HTMLParser):
    """The cells of a page's table."""

    def __init__(self):
        super().__init__()
        self.rows, self._open = [], False

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        self._open = tag in ("td", "th")

    def handle_data(self, data):
        if self._open:
            self.rows[-1].append(data)
            self._open = False


def test_all_files_hold_the_same_cells(made, tmp_path):
    paths = leaderboard_files.save(tmp_path, made, ("csv", "markdown", "latex", "html"))
    assert [path.name for path in paths] == [
        f"leaderboard.{end}" for end in ("csv", "md", "tex", "html")
    ]
    text = leaderboard_files.text(made)
    with paths[0].open(newline="") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    assert lines["oracle-biased"]["locality_index"] == "65"
    assert lines["oracle-biased"]["locality_index_n"] == "8"
    assert lines["oracle-biased"]["distraction"] == ""
    markdown = paths[1].read_text()
    latex = paths[2].read_text()
    for row in text.rows:
        assert all(cell in markdown for cell in row)
        assert " & ".join(cell.replace("-", "$-$") for cell in row[1:2])[:3] in latex
    assert r"\label{tab:leaderboard}" in latex
    parser = Cells()
    parser.feed(paths[3].read_text())
    assert parser.rows == [list(text.heads), *map(list, text.rows)]
    for path in paths[1:]:
        assert "no masks were appended" in path.read_text()


def test_a_name_from_a_run_can_not_become_markup(tmp_path):
    reference.run(tmp_path / "<b>&", "locality", "oracle")
    shutil.copytree(tmp_path / "<b>&", tmp_path / "again")
    found = leaderboard.make([tmp_path / "<b>&", tmp_path / "again"])
    (path,) = leaderboard_files.save(tmp_path, found, ["html"])
    assert "<b>" not in path.read_text()
    assert "&lt;b&gt;&amp;" in path.read_text()


# ---------------------------------------------------------------------- the command


def test_the_command_prints_within_80_columns_and_writes_what_is_asked(tmp_path):
    reference.run(tmp_path / "run", "locality", "oracle-biased", "tiny-mdlm", "oracle")
    said = call("leaderboard", tmp_path / "run", "--by", INDEX, "--to", "csv,html").stdout
    lines = said.splitlines()
    assert max(len(line) for line in lines if "wrote" not in line) <= 80
    order = [line.split()[0] for line in lines if line.startswith(("oracle", "tiny"))]
    assert order[-3:] == ["oracle-biased", "tiny-mdlm", "oracle"]
    assert sorted(path.name for path in (tmp_path / "run").glob("leaderboard.*")) == [
        "leaderboard.csv",
        "leaderboard.html",
    ]
    said = call("leaderboard", tmp_path / "run").stdout
    assert "wrote" not in said
    call("leaderboard", tmp_path / "run", "-o", tmp_path / "all")
    assert len(list((tmp_path / "all").iterdir())) == 4


def test_the_command_says_what_is_wrong(tmp_path):
    assert "no run in" in call("leaderboard", tmp_path, code=1).stderr
    reference.run(tmp_path, "locality", "oracle")
    assert (
        "did you mean 'locality'" in call("leaderboard", tmp_path, "-p", "lokality", code=1).stderr
    )
    assert "locality index" in call("leaderboard", tmp_path, "--by", "x", code=1).stderr
