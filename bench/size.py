"""How plans and resuming grow: the papers' study, and sheets of up to a million finished rows.

The plain ways hold every cell in a list, every cell's name beside it, and read a sheet row by row.
"""

from __future__ import annotations

import csv
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from mdlm_probe.cli import study_file
from mdlm_probe.core.csv_text import text_of
from mdlm_probe.core.sheet import CellNames, Sheet
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.runs.plan import Job, prepare

SIZES = (10**3, 10**4, 10**5, 10**6)
GROUP = 1000
READ = {"tokens": 512, "correct": True, "logp_right": -0.123456, "entropy": 1.5}
COLUMNS = ("model", *locality.Cell.__dataclass_fields__, *READ)


def child(*command: str) -> tuple[float, float]:
    """CPU seconds and peak MiB of a command and what it starts."""
    quiet = {"stdout": subprocess.DEVNULL, "env": os.environ | {"HF_HUB_OFFLINE": "1"}}
    process = subprocess.Popen([sys.executable, *command], **quiet)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, command
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 2**10


def listed() -> None:
    """The cells of the papers' study in lists, each looked at once."""
    study, _ = study_file.load("papers")
    held = [list(plan.cells) for part in study.parts for plan in part.plans]
    assert sum(hasattr(cell, "seed") for cells in held for cell in cells) > 10**6


def cells_of(number: int) -> Sequence[locality.Cell]:
    """A plan of so many cells."""
    options = {"limit": number // 10, "tasks": ("verb-smallest",), "positions": tuple(range(10))}
    return prepare(Job("locality", "llada-8b", options)).cells


def written(path: Path, cells: Sequence[locality.Cell]) -> None:
    """A sheet in which all cells are done, and one that isn't planned yet is awaited."""
    sheet = Sheet({path: COLUMNS}, CellNames(cells), GROUP)
    names = locality.Cell.__dataclass_fields__
    for start in range(0, len(cells), GROUP):
        group = cells[start : start + GROUP]
        rows = [{"model": "m", **{n: getattr(c, n) for n in names}, **READ} for c in group]
        sheet.append([rows], len(group))
    sheet.close()


def reopened(path: Path, cells: Sequence[locality.Cell]) -> int:
    """Cells that a sheet finds done."""
    sheet = Sheet({path: COLUMNS}, CellNames(cells), GROUP)
    sheet.close()
    return sheet.done


def read_by_row(path: Path, cells: Sequence[locality.Cell]) -> int:
    """The same in the plain way: every name in a list, every row held against it."""
    names = [tuple(text_of(getattr(c, n)) for n in c.__dataclass_fields__) for c in cells]
    done = 0
    with path.open("rb") as file:
        next(file)
        for line in file:
            fields = next(csv.reader([line.decode()]))
            assert tuple(fields[1 : 1 + len(names[0])]) == names[done]
            done += 1
    return done


def timed(do: Callable[[], object]) -> float:
    """CPU seconds."""
    start = time.process_time()
    do()
    return time.process_time() - start


def exponent(seconds: Sequence[float]) -> float:
    """Of the straight line through the last decade of `SIZES`, in logarithms: 1 is linear."""
    return math.log10(max(seconds[-1], 1e-4) / max(seconds[-2], 1e-4))


def curve(what: str, seconds: Sequence[float]) -> None:
    """Prints seconds by size, and how they grow from the last size but one to the last."""
    shown = "  ".join(f"{value:9.4f}" for value in seconds)
    print(f"  {what:<34} {shown}   {exponent(seconds):5.2f}", flush=True)


def main() -> None:
    """The study once in either way, then the curves."""
    ours, plain = child("-m", "mdlm_probe", "plan", "papers"), child("-m", "bench.size", "listed")
    on_card = child("-m", "mdlm_probe", "plan", "papers", "--gpu", "h100")
    print("plan papers, 6 million cells: CPU seconds and peak MiB of the largest process")
    print(f"  as it is: {ours[0]:.1f} s, {ours[1]:.0f} MiB")
    print(f"  with --gpu, which times no layer: {on_card[0]:.1f} s, {on_card[1]:.0f} MiB")
    print(
        f"  its cells in lists, and no more than that: {plain[0]:.1f} s, {plain[1]:.0f} MiB", end=""
    )
    print(f": {plain[1] / on_card[1]:.1f}x the memory")
    plans, fast, slow = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            plans.append(timed(lambda size=size: cells_of(size)))
            cells, path = cells_of(size), Path(folder) / f"{size}.csv"
            written(path, cells)
            assert reopened(path, cells) == read_by_row(path, cells) == size
            fast.append(timed(lambda path=path, cells=cells: reopened(path, cells)))
            slow.append(timed(lambda path=path, cells=cells: read_by_row(path, cells)))
    heads = "  ".join(f"{size:9}" for size in SIZES)
    print(f"CPU seconds by cells, of a row each        {heads}   exponent of the last tenfold")
    curve("making the plan", plans)
    curve("reopening a sheet of finished rows", fast)
    curve("the same, row by row", slow)
    print(f"  at {SIZES[-1]} rows: {slow[-1] / fast[-1]:.0f}x")


if __name__ == "__main__":
    listed() if sys.argv[1:] == ["listed"] else main()
