"""Everything that needs a GPU, in one script of at most eight minutes: results as JSON and a table.

The shape is LLaDA-8B's, with random weights: no checkpoint is needed, and no network. What fails or
finds no time left is said, and the rest goes on. Without a GPU, `--device cpu --tiny` tries it out.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from bench._gpu_sections import SECTIONS, Row, Setting, tiny, whole
from mdlm_probe.core import machine
from mdlm_probe.engine.memory import free_memory
from mdlm_probe.models._load import pick_device

MINUTES = 8.0


def show(row: Row) -> str:
    """A row as text."""
    goal = ""
    if row.goal is not None:
        goal = f"   goal {row.goal:g}: {'met' if row.value >= row.goal else 'not met'}"
    return f"{row.section:34} {row.what:46} {row.value:>12.4g} {row.unit:9}{goal}".rstrip()


def measure(setting: Setting, minutes: float, wanted: list[str]) -> dict[str, object]:
    """Runs sections one after another; prints every number at once."""
    began, rows = time.perf_counter(), []
    faults: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name in wanted:
        if time.perf_counter() - began > 60 * minutes * 0.9:
            faults[name] = "no time was left"
            print(f"{name}: {faults[name]}", flush=True)
            continue
        start = time.perf_counter()
        try:
            for row in SECTIONS[name](setting):
                rows.append(row)
                print(show(row), flush=True)
        except Exception as error:
            faults[name] = f"{type(error).__name__}: {error}"
            print(f"{name}: {faults[name]}", flush=True)
        free_memory()
        seconds[name] = round(time.perf_counter() - start, 1)
    return {
        "machine": machine.facts(),
        "setting": asdict(setting),
        "rows": [asdict(row) for row in rows],
        "faults": faults,
        "seconds": time.perf_counter() - began,
        "sections": seconds,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measures and writes; 1 where a section failed."""
    parser = argparse.ArgumentParser(prog="bench.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="a small model, in seconds")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="none begins later")
    parser.add_argument("--only", default="", help=f"some of: {','.join(SECTIONS)}")
    parser.add_argument("--output", default="bench-gpu.json")
    given = parser.parse_args(arguments)
    device = str(pick_device(given.device))
    if device == "cpu" and not given.tiny:
        print("no GPU here: --device cpu --tiny tries the script out")
        return 0
    setting = tiny(device) if given.tiny else whole(device)
    found = measure(setting, given.minutes, given.only.split(",") if given.only else [*SECTIONS])
    Path(given.output).write_text(json.dumps(found, indent=1) + "\n")
    print(f"{given.output}: {len(found['rows'])} numbers in {found['seconds']:.0f} s")
    return 1 if found["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
