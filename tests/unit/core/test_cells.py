"""Names and seeds of cells."""

import subprocess
import sys
from dataclasses import dataclass

from mdlm_probe.core.cells import key, seed


@dataclass(frozen=True)
class Cell:
    set: str
    position: int


def test_key_names_every_coordinate():
    assert key(Cell("a", 3)) == '{"position":3,"set":"a"}'
    assert key("x", Cell("a", 3)) == '["x",{"position":3,"set":"a"}]'


def test_seeds_are_the_same_in_every_process_and_differ_between_cells():
    code = "from mdlm_probe.core.cells import seed; print(seed('examples', 'set', 0))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": str(n)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for n in (1, 2)
    }
    assert found == {str(seed("examples", "set", 0))}
    # pinned: changing the hash would silently change every suite
    assert seed("examples", "set", 0) == 1736866348393986696
    assert len({seed(Cell("a", n)) for n in range(1000)}) == 1000
