"""A sheet of several files: a cell is whole in all of them, or in none, whatever happens."""

import errno
import os
from dataclasses import dataclass

import pytest

from mdlm_probe.core.cell_ranges import cells_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.seal import SealLog, seal_path
from mdlm_probe.core.sheet import CellNames, Sheet


@dataclass(frozen=True)
class Cell:
    set: str
    item: int


HEAD = ("model", "set", "item")
COLUMNS = {"x.csv": (*HEAD, "value"), "x-parts.csv": (*HEAD, "part", "text"), "x-ends.csv": HEAD}
CELLS = CellNames(cells_of(Cell, ("set", "ab"), ("item", range(5))))
GROUP = 3


def rows_of(name):
    """A cell's rows of each file: none, one or two; every cell has some, no file has all cells."""
    letter, item = name[0], int(name[1])
    head = {"model": "m", "set": letter, "item": item}
    main = [head | {"value": n / 3} for n in range(item % 3)]
    parts = [head | {"part": n, "text": f'"{n}",\n{letter}é'} for n in range((item + 1) % 3)]
    return main, parts, [head] * (item % 2 == 0)


def opened(folder, columns=None, cells=CELLS):
    columns = columns or COLUMNS
    return Sheet({folder / name: heads for name, heads in columns.items()}, cells, GROUP)


def fill(folder, stop=10):
    """Writes what is missing, like the runner; `stop` ends after that many cells."""
    folder.mkdir(exist_ok=True)
    sheet = opened(folder)
    try:
        for start in range(sheet.done, stop, GROUP):
            cells = CELLS[start : start + GROUP]
            every = [[row for cell in cells for row in rows_of(cell)[n]] for n in range(3)]
            sheet.append(every, len(cells))
    finally:
        sheet.close()
    return contents(folder)


def contents(folder):
    return {name: (folder / name).read_bytes() for name in COLUMNS}


def counted(folder):
    """How many cells a sheet finds."""
    sheet = opened(folder)
    sheet.close()
    return sheet.done


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fill(tmp_path_factory.mktemp("whole") / "run")


def test_the_cells_are_spread_over_the_files(whole):
    assert all(len(data.splitlines()) > 3 for data in whole.values())
    found = [
        {tuple(row[n] for n in HEAD[1:]) for c in CELLS for row in rows_of(c)[k]} for k in (0, 1)
    ]
    assert found[0] - found[1]
    assert found[1] - found[0]


class Stopped(Exception):
    """What stands for kill -9: nobody cleans up after it."""


@pytest.mark.parametrize("written", ["nothing", "half", "all"])
def test_stopped_at_every_write_it_ends_as_if_never_stopped(tmp_path, monkeypatch, whole, written):
    """The k-th write of the process is its last: of nothing, half or all of the data."""
    from mdlm_probe.core import csv_file, files, seal

    count, last = 0, 0

    def cut(data):
        part = {"nothing": 0, "half": len(data) // 2, "all": len(data)}[written]
        return data[:part]

    def append_whole(file, data, end):
        nonlocal count
        count += 1
        if count < last:
            return files.append_whole(file, data, end)
        if count == last:
            file.write(cut(data))
        raise Stopped  # no more comes of this process

    def write_whole(path, data):
        nonlocal count
        count += 1
        if count < last:
            return files.write_whole(path, data)
        if count == last and written == "all":
            files.write_whole(path, data)
        raise Stopped

    def back(self, mark):
        if count < last:
            kept(self, mark)

    kept = csv_file.CsvFile.back
    for last in range(1, 100):
        folder, count = tmp_path / f"{last}", 0
        with monkeypatch.context() as patched:
            patched.setattr(csv_file, "append_whole", append_whole)
            patched.setattr(seal, "append_whole", append_whole)
            patched.setattr(seal, "write_whole", write_whole)
            patched.setattr(csv_file.CsvFile, "back", back)
            try:
                fill(folder)
                break
            except Stopped:
                pass
        done = counted(folder)
        assert done % GROUP == 0 or done == len(CELLS)
        assert fill(folder) == whole, last
    assert last == 3 + 1 + 4 * 4 + 1, "heads, seal, and in each of four groups files and seal"


@pytest.mark.parametrize("k", range(1, 20))
def test_a_full_disk_at_every_write(tmp_path, monkeypatch, whole, k):
    """Files are as they were before the group, and the run resumes: heads, then groups of cells."""
    count, fsync = 0, os.fsync

    def full(number):
        nonlocal count
        count += 1
        if count == k:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(number)

    folder = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ProbeError, match="No space left"):
            fill(folder)
    if k > 3:
        ends = [mark.end for mark in SealLog(seal_path(folder / "x.csv")).last.marks]
        at_seal = (k - 3) % 4 == 0  # then the rows are there, and are forgotten
        now = [len(data) for data in contents(folder).values()]
        assert all(map(int.__gt__, now, ends)) if at_seal else now == ends
    assert fill(folder) == whole


@pytest.mark.parametrize("stop", [0, 3, 9])
@pytest.mark.parametrize("name", COLUMNS)
def test_rows_of_a_cut_off_group_are_forgotten(tmp_path, whole, stop, name):
    kept = fill(tmp_path / "run", stop)
    longer = whole[name][: len(kept[name]) + (len(whole[name]) - len(kept[name])) // 3]
    next_group = {",".join(("m", *cell)) for cell in CELLS[stop : stop + GROUP]}
    lines = longer[len(kept[name]) :].splitlines(keepends=True)
    own = [
        line
        for line in lines
        if any(line.decode().startswith(n + ",") or line.decode() == n + "\n" for n in next_group)
    ]
    (tmp_path / "run" / name).write_bytes(kept[name] + b"".join(own))
    assert counted(tmp_path / "run") == stop
    assert contents(tmp_path / "run") == kept
    assert fill(tmp_path / "run") == whole


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.replace(b"m,a,2", b"m,b,2", 1), "changed rows"),
        (lambda data: data.replace(b"m,a,0", b"m,a,9", 1) + b"", "changed rows"),
        (lambda data: data[:-9], "bytes, [0-9]+ when it was left"),
        (lambda data: b"", "bytes, [0-9]+ when it was left"),
        (lambda data: data.replace(b"model", b"modle", 1), "other columns"),
        (lambda data: data + b"m,b,4\n", "isn't planned next|fields"),
    ],
)
def test_an_edited_file_is_refused_and_left_alone(tmp_path, name, change, said):
    kept = fill(tmp_path / "run", 6)
    edited = change(kept[name])
    if edited == kept[name]:
        pytest.skip("no such row in this file")
    (tmp_path / "run" / name).write_bytes(edited)
    with pytest.raises(ProbeError, match=said) as caught:
        counted(tmp_path / "run")
    assert str(tmp_path / "run" / name) in str(caught.value)
    assert "--fresh" in str(caught.value)
    assert contents(tmp_path / "run") == kept | {name: edited}


def test_a_missing_file_is_refused(tmp_path):
    fill(tmp_path / "run", 6)
    (tmp_path / "run" / "x-parts.csv").unlink()
    with pytest.raises(ProbeError, match=r"x-parts\.csv holds 0 bytes"):
        counted(tmp_path / "run")


@pytest.mark.parametrize("text", ["", "damaged\n", "3 1\n"])
def test_rows_without_a_whole_seal_are_refused(tmp_path, text):
    kept = fill(tmp_path / "run", 6)
    (tmp_path / "run" / "x.seal").write_text(text)
    with pytest.raises(ProbeError, match=r"x\.seal is missing or damaged|another plan"):
        counted(tmp_path / "run")
    assert contents(tmp_path / "run") == kept


def test_a_torn_last_line_of_the_seal_counts_for_nothing(tmp_path, whole):
    fill(tmp_path / "run", 6)
    seal = tmp_path / "run" / "x.seal"
    for cut in (1, 5, 20):
        seal.write_text(seal.read_text()[:-cut])
        assert counted(tmp_path / "run") == 3
        assert fill(tmp_path / "run", 6)
    assert fill(tmp_path / "run") == whole


def test_rows_of_another_plan_are_refused(tmp_path):
    fill(tmp_path / "run", 6)
    other = CellNames(cells_of(Cell, ("set", "ab"), ("item", range(6))))
    with pytest.raises(ProbeError, match="rows of another plan"):
        opened(tmp_path / "run", cells=other)


def test_a_plan_without_rows_has_every_file(tmp_path):
    fill(tmp_path / "run", 0)
    found = {name: data.decode() for name, data in contents(tmp_path / "run").items()}
    assert found == {name: ",".join(heads) + "\n" for name, heads in COLUMNS.items()}
