"""Reports, comparisons and exports of a thousand to a million rows: seconds of CPU, and memory.

Rows are the committed run's: items and texts drawn again from its own, under new names, with other
measures. Half of them are of a masked model, half of another; six probes have as many each. Every
command is a process of its own, on one thread; `all columns` is pandas, which reads every CSV whole
and keeps it. The exponent is of the growth from the last size but one to the last: 1 is linear.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mdlm_probe.core import catalog
from mdlm_probe.core.columns import names

REFERENCE = Path(__file__).parents[1] / "results" / "reference"
MODELS = {
    **dict.fromkeys(("locality", "masks", "decay", "needle"), ("tiny-mdlm", "tiny-arlm")),
    **dict.fromkeys(("joint", "shift"), ("tiny-mdlm", "tiny-mdlm-adapted")),
}
ITEMS = ("item", "prompt")
"""What a probe's independent items are called."""
KIND = "kind of rows"
"""The column that says so while a probe's files are one."""
NOISE = 0.1
"""Share by which measures of a row differ from those of the row that it was drawn from."""
SIZES = (1_000, 10_000, 100_000, 1_000_000)
COMMANDS = {
    "report": "report {a}",
    "compare": "compare {a} {b}",
    "export parquet": "export {a} --to parquet",
    "export jsonl": "export {a} --to jsonl",
    "export csv": "export {a} --to csv",
    "export tables": "export {a} --to latex,markdown,card",
}
PLAIN = "all columns"
"""What reads all columns of all rows, and nothing else."""


# ---------------------------------------------------------------------- rows


def write(folder: Path, rows: int, seed: int) -> int:
    """Writes a finished run of about so many rows; returns how many they are.

    Of another seed it has the same items, with other measures.
    """
    folder.mkdir(parents=True)
    entries, count, noise = {}, 0, np.random.default_rng(seed)
    for probe, models in MODELS.items():
        known = json.loads((REFERENCE / probe / "run.json").read_text())
        for model in models:
            name = f"{probe}__{model}"
            files = catalog.csv_names(probe, name)
            frames = {
                kind: pd.read_csv(REFERENCE / probe / file, dtype=str, keep_default_na=False)
                for kind, file in files.items()
            }
            frame = pd.concat([f.assign(**{KIND: kind}) for kind, f in frames.items()]).fillna("")
            made = grown(frame, probe, rows // sum(map(len, MODELS.values())), noise)
            sizes = {}
            for kind, file in files.items():
                own = made.loc[made[KIND] == kind, [*frames[kind]]]
                own.to_csv(folder / file, index=False, lineterminator="\n")
                sizes[kind] = (folder / file).stat().st_size
            main, *_ = sizes
            entries[name] = known[name] | {"size": sizes.pop(main), "sizes": sizes}
            # prompts that aren't in the files of the committed run are not looked for there
            entries[name]["config"]["sources"] = {"rows": "made"}
            count += len(made)
    (folder / "run.json").write_text(json.dumps(entries))
    return count


def grown(frame: pd.DataFrame, probe: str, rows: int, noise: np.random.Generator) -> pd.DataFrame:
    """About so many rows: all those of items drawn from a measurement's, each under a new name."""
    rng = np.random.default_rng(0)
    (item,) = (name for name in ITEMS if name in frame)
    part = next(
        (name for name in ("set", "context_length") if item == "item" and name in frame), item
    )
    codes = frame.groupby([part, item], sort=False).ngroup().to_numpy()
    places = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    count = max(1, round(rows * len(places) / len(frame)))
    order, new = rng.permutation(len(places)), max(0, count - len(places))
    drawn = np.concatenate([order[:count], rng.integers(0, len(places), new)])
    made = frame.iloc[np.concatenate([places[code] for code in drawn])].reset_index(drop=True)
    again = np.repeat(
        np.maximum(0, np.arange(count) - len(places) + 1), [len(places[c]) for c in drawn]
    )
    if item == "item":
        made[item] = (made[item].astype(int) + again * 10_000).astype(str)
    for name in {"prompt", "beside"} & {*made}:
        named = made[name] + "-" + again.astype(str)
        made[name] = made[name].where((again == 0) | (made[name] == ""), named)
    return made.assign(**noisy(made.drop(columns=[*names(catalog.coordinates(probe))]), noise))


def noisy(frame: pd.DataFrame, noise: np.random.Generator) -> dict[str, np.ndarray]:
    """Columns of fractions as text, each value a little larger or smaller, within their range."""
    found = {}
    for name, column in frame.items():
        values = pd.to_numeric(column, errors="coerce")
        known = values.notna()
        if not (known == (column != "")).all() or (values[known] % 1 == 0).all():
            continue
        other = values * (1 + NOISE * noise.uniform(-1, 1, len(values)))
        ends = (0 if values.min() >= 0 else None, {0: 0, 1: 1}.get(math.ceil(values.max())))
        texts = other.clip(*ends).map("{:.6g}".format)
        found[str(name)] = column.where(~known, texts).to_numpy()
    return found


# ---------------------------------------------------------------------- measuring


def measured(command: str) -> tuple[float, float]:
    """Seconds of CPU and the most megabytes of a command, from the start of its process on."""
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    words = [sys.executable, "-m", "bench.size_reports", "--child", command]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    seconds, most = map(float, done.stdout.split()[-2:])
    return seconds, most


def child(command: str) -> None:
    """Runs a command here, and prints its seconds of CPU and its megabytes."""
    with contextlib.redirect_stdout(io.StringIO()):
        if command.startswith(PLAIN):
            folder = Path(command.removeprefix(PLAIN).strip())
            kept = [pd.read_csv(path) for path in folder.glob("*__*.csv")]
            assert kept
        else:
            from mdlm_probe.cli import main

            main(command.split(), standalone_mode=False)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.process_time(), most)


def exponent(counts: list[int], values: list[float]) -> float:
    """How a value grows from the last count but one to the last."""
    return math.log(values[-1] / values[-2]) / math.log(counts[-1] / counts[-2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows, two or more")
    given = parser.parse_args()
    if given.child:
        child(given.child)
        return
    counts: list[int] = []
    found: dict[str, list[tuple[float, float]]] = {}
    for rows in given.sizes:
        with tempfile.TemporaryDirectory() as home:
            a, b = Path(home) / "a", Path(home) / "b"
            counts.append(write(a, rows, 0))
            write(b, rows, 1)
            for name, command in (COMMANDS | {PLAIN: PLAIN + " {a}"}).items():
                found.setdefault(name, []).append(measured(command.format(a=a, b=b)))
    heads = "".join(f"{f'{count:,} rows':>22}" for count in counts)
    print(f"{'seconds of CPU, MB':20}{heads}{'exponents':>16}")
    for name, each in found.items():
        cells = "".join(f"{f'{seconds:.1f} s, {most:,.0f} MB':>22}" for seconds, most in each)
        grows = [exponent(counts, list(values)) for values in zip(*each, strict=True)]
        print(f"{name:20}{cells}{', '.join(f'{g:.2f}' for g in grows):>16}")


if __name__ == "__main__":
    main()
