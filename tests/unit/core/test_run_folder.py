"""The sink: whole groups of cells, whatever happens."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import zlib
from dataclasses import dataclass

import pytest
from forked import forked
from hypothesis import given
from hypothesis import strategies as st
from simulations import cases, simulation

from mdlm_probe.core.cell_ranges import cells_of
from mdlm_probe.core.csv_text import text_from, text_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder, differences, read_run
from mdlm_probe.core.sheet import CellNames, Sheet


@dataclass(frozen=True)
class Cell:
    set: str
    item: int


COLUMNS = ("model", "set", "item", "value", "text")
CELLS = CellNames(cells_of(Cell, ("set", "ab"), ("item", range(5))))


def rows_of(cell):
    """One to three rows a cell, some with awkward text."""
    name, item = cell
    return [
        {"model": "m", "set": name, "item": item, "value": n / 3, "text": f'say "{n}",\n\\{name}é'}
        for n in range(1 + int(item) % 3)
    ]


def fill(path, group=3, stop=None):
    """Writes what is missing, like the runner; `stop` ends after that many cells."""
    sheet = Sheet({path: COLUMNS}, CELLS, group)
    for start in range(sheet.done, len(CELLS) if stop is None else stop, group):
        cells = CELLS[start : start + group]
        sheet.append([[row for cell in cells for row in rows_of(cell)]], len(cells))
    sheet.close()
    return path.read_bytes()


def test_values_as_text():
    assert [text_of(v) for v in (None, True, 1 / 3, 1e-9, 3, "a\nb\\", -0.5)] == [
        *("", "1", "0.333333", "1e-09", "3", "a\\nb\\\\", "-0.5")
    ]


@simulation
@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.slow
def test_resume_at_every_cut_equals_never_having_stopped(tmp_path, sealed):
    whole = fill(tmp_path / "whole.csv")
    for stop in (3, 6, 9):
        path = tmp_path / "part.csv"
        path.unlink(missing_ok=True)
        path.with_suffix(".seal").unlink(missing_ok=True)
        part = fill(path, stop=stop)
        seal = path.with_suffix(".seal").read_text()
        ends = {at + 1 for at, byte in enumerate(part) if byte == ord("\n")}
        for cut in sorted({0, *ends, *cases(range(len(part) + 1), every=4)}):
            path.write_bytes(part[:cut])
            path.with_suffix(".seal").write_text(seal if sealed else "")
            assert fill(path) == whole, cut


def test_a_seal_saves_the_last_group(tmp_path):
    path = tmp_path / "x.csv"
    fill(path, stop=6)
    for done in (6, 3):
        if done == 3:
            path.with_suffix(".seal").unlink()
        sheet = Sheet({path: COLUMNS}, CELLS, 3)
        assert sheet.done == done
        sheet.close()


def test_rows_written_after_the_seal_are_measured_again(tmp_path):
    path = tmp_path / "x.csv"
    part = fill(path, stop=6)
    path.write_bytes(part + b"m,b,1,0.5,torn\n")
    sheet = Sheet({path: COLUMNS}, CELLS, 3)
    assert sheet.done == 6
    sheet.close()
    assert path.read_bytes() == part


def opened(path, columns=COLUMNS, cells=CELLS):
    """How many cells a sheet finds."""
    sheet = Sheet({path: columns}, cells, 3)
    sheet.close()
    return sheet.done


def test_rows_that_are_as_sealed_are_not_read_one_by_one(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    fill(path, stop=9)
    read = []
    monkeypatch.setattr(csv, "reader", lambda lines: read.append(lines) or iter([[]]))
    assert opened(path) == 9
    assert not read
    with pytest.raises(ProbeError, match="0 fields"):  # a plan of no digest, or of another one
        opened(path, cells=list(CELLS))
    with pytest.raises(ProbeError, match="0 fields"):
        opened(path, cells=CellNames(cells_of(Cell, ("set", "ab"), ("item", [*range(5)]))))
    assert len(read) == 2


def test_seals_of_versions_without_checksums_count(tmp_path):
    path = tmp_path / "x.csv"
    part = fill(path, stop=6)
    path.with_suffix(".seal").write_text(f"6 {len(part)}\n")
    assert opened(path) == 6
    whole = fill(tmp_path / "whole.csv")
    assert fill(path) == whole
    fill(path.with_name("y.csv"), stop=6)
    path.with_name("y.seal").write_text("6 1\n")
    assert opened(path.with_name("y.csv")) == 3


def test_a_resumed_sheet_carries_its_checksum_on(tmp_path):
    path = tmp_path / "x.csv"
    fill(path, stop=3)
    *_, sealed = path.with_suffix(".seal").read_text().splitlines()
    fill(path, stop=9)
    lines = [line.split() for line in path.with_suffix(".seal").read_text().splitlines()]
    assert [done for done, *_ in lines] == ["0", "3", "6", "9"]
    seal = lines[-1]
    assert seal == [
        "9",
        str(path.stat().st_size),
        str(zlib.crc32(path.read_bytes())),
        sealed.split()[3],
    ]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"m,a,1", b"m,a,4", "a cell that isn't planned next: a, 4"),
        (b"m,a,1,0,", b"m,a,1,7,", 6),  # what a row says of its cell is not checked
        (b"m,b,0", b"m,b", "4 fields"),
        (b"model,set,item,value", b"model,set,item,other", "other columns"),
    ],
)
def test_changed_rows_are_held_against_the_plan(tmp_path, old, new, found):
    path = tmp_path / "x.csv"
    part = fill(path, stop=6)
    changed = part.replace(old, new, 1)
    assert changed != part
    path.write_bytes(changed)
    if isinstance(found, int):
        assert opened(path) == found
        return
    with pytest.raises(ProbeError, match=found):
        opened(path)
    assert path.read_bytes() == changed


def test_rows_of_others_after_sealed_ones_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    part = fill(path, stop=6)
    path.write_bytes(part + b"m,b,4,0.5,skips three\n")
    with pytest.raises(ProbeError, match="isn't planned next: b, 4"):
        opened(path)


def test_other_columns_than_the_sealed_ones_are_refused(tmp_path):
    path = tmp_path / "x.csv"
    fill(path, stop=6)
    with pytest.raises(ProbeError, match="other columns"):
        opened(path, columns=(*COLUMNS[:-1], "words"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"other,columns\n", "other columns"),
        (b"model,set,item,value,text\nm,a,1,0,x\nm,a,2,0,x\n", "isn't planned next"),
        (b"model,set,item,value,text\nm,a\n", "2 fields"),
        (b"\xff\xfe\x00binary\n", "other columns"),
    ],
)
def test_foreign_files_are_refused(tmp_path, data, what):
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(ProbeError, match=what):
        Sheet({tmp_path / "x.csv": COLUMNS}, CELLS, 3)
    assert (tmp_path / "x.csv").read_bytes() == data


def test_a_full_disk_leaves_a_valid_file(tmp_path):
    """Files that may not grow stand for a full disk: the system says no in mid-write."""
    path = tmp_path / "x.csv"

    def work():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
        with pytest.raises(ProbeError, match="cannot use"):
            fill(path)
        return 7

    assert os.waitstatus_to_exitcode(os.waitpid(forked(work), 0)[1]) == 7
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 200
    assert 0 < len(path.read_bytes()) <= 200
    assert fill(path) == fill(tmp_path / "whole.csv")


def test_a_path_that_is_no_file(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(ProbeError, match="cannot use"):
        Sheet({tmp_path / "x.csv": COLUMNS}, CELLS, 3)


def test_run_json_refuses_another_configuration_and_shows_the_difference(tmp_path):
    with RunFolder.locked(tmp_path / "run", "p__m") as run:
        run.begin("p__m", {"config": {"limit": 5, "load": {"dtype": "float32"}}})
        run.path("p__m").write_text("rows")
    with RunFolder.locked(tmp_path / "run", "p__m") as run:
        assert run.begin("p__m", {"config": {"limit": 5, "load": {"dtype": "float32"}}})
        with pytest.raises(ProbeError) as caught:
            run.begin("p__m", {"config": {"limit": 6, "load": {"dtype": "bfloat16"}}})
        assert "limit: 5 -> 6" in str(caught.value)
        assert 'load.dtype: "float32" -> "bfloat16"' in str(caught.value)
        run.begin("p__other", {"config": {"limit": 6}})
    assert set(read_run(tmp_path / "run")) == {"p__m", "p__other"}


def test_fresh_forgets_one_measurement_only(tmp_path):
    with RunFolder.locked(tmp_path, "a") as run:
        run.begin("a", {"config": 1})
        run.begin("b", {"config": 1})
        for name in "ab":
            run.path(name).write_text("rows")
    with RunFolder.locked(tmp_path, "a", fresh=True) as run:
        assert run.begin("a", {"config": 2})["config"] == 2
    assert not (tmp_path / "a.csv").exists()
    assert (tmp_path / "b.csv").exists()


def test_a_second_process_is_refused(tmp_path):
    code = f"""
        from pathlib import Path
        from mdlm_probe.core.run_folder import RunFolder
        with RunFolder.locked(Path({str(tmp_path)!r}), "a"):
            pass
    """
    with RunFolder.locked(tmp_path, "a"):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "another process is writing" in done.stderr
    with RunFolder.locked(tmp_path, "a"):
        pass  # free again


def test_two_measurements_of_a_folder_at_a_time(tmp_path):
    with RunFolder.locked(tmp_path, "a") as one, RunFolder.locked(tmp_path, "b") as two:
        one.begin("a", {"config": {"limit": 1}})
        two.begin("b", {"config": {"limit": 2}})
        one.update("a", cells=3)
        two.update("b", cells=4)
        one.update("a", status="finished")
    found = read_run(tmp_path)
    assert {name: (entry["cells"], entry["status"]) for name, entry in found.items()} == {
        "a": (3, "finished"),
        "b": (4, "started"),
    }


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}'])
def test_an_unreadable_run_json(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ProbeError, match=r"run\.json"), RunFolder.locked(tmp_path, "a"):
        pass
    if text != "{":  # valid, so another program's
        with (
            pytest.raises(ProbeError, match=r"not a run"),
            RunFolder.locked(tmp_path, "a", fresh=True),
        ):
            pass
        return
    with RunFolder.locked(tmp_path, "a", fresh=True) as run:
        run.begin("a", {"config": 1})
    assert json.loads((tmp_path / "run.json").read_text())["a"]["status"] == "started"


def test_output_that_is_a_file(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(ProbeError, match="cannot use"), RunFolder.locked(tmp_path / "f", "a"):
        pass


def test_differences_names_nested_settings():
    assert differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "d": 3}}) == [
        "a.d: null -> 3",
        "c: 2 -> null",
    ]
    assert differences({"a": [1, 2]}, {"a": (1, 2)}) == []


def test_run_folders_of_a_run_and_of_a_study(tmp_path):
    from mdlm_probe.core.run_folder import RUN, STUDY, run_folders

    with pytest.raises(ProbeError, match="no run in"):
        run_folders(tmp_path)
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / RUN).write_text("{}")
    assert list(run_folders(tmp_path)) == ["a", "b", "c"]
    (tmp_path / STUDY).write_text('{"runs": {"c": {}, "a": {}}}')
    assert list(run_folders(tmp_path)) == ["c", "a", "b"]
    assert run_folders(tmp_path / "b") == {"": tmp_path / "b"}


def test_a_field_may_be_as_long_as_a_canvas(tmp_path):
    for _ in range(2):  # the second time it is read again
        sheet = Sheet({tmp_path / "r.csv": ("model", "x", "canvas")}, [("1",), ("2",)], 1)
        if not sheet.done:
            sheet.append([[{"model": "m", "x": 1, "canvas": "a" * 300_000}]], 1)
        sheet.close()
    assert sheet.done == 1


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_escapes_are_undone(text):
    assert text_from(text_of(text)) == text
