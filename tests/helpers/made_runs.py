"""Runs to export: small real ones, and rows written by hand."""

import csv
import json
from pathlib import Path

from commands import call

from mdlm_probe.core.sheet import lines_of

SMALL = "--tasks verb-smallest,verb-largest --limit 2 --shots 2 --distractors 4".split()
FILES = "parquet,jsonl,latex,markdown,card"
MASKS = ["masks", *SMALL, "--masks", "0,5,50%", "--filler", "mask,dot"]
LOCALITY = ["locality", *SMALL, "--positions", "0,4", "--masks", "0,7", "--model", "tiny-mdlm"]


def measured(folder):
    """A folder with masks of both bundled models, and locality of one under masks."""
    call(*MASKS, "-q", "--output", folder)
    call(*LOCALITY, "-q", "--output", folder)
    return folder


def written(folder, probe, rows, model="m"):
    """A finished run of rows written by hand, as the sink writes them."""
    columns = list(rows[0])
    path = folder / f"{probe}__{model}.csv"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines_of([{name: name for name in columns}, *rows], columns))
    entry = {"status": "finished", "config": {"probe": probe, "model": model, "options": {}}}
    (folder / "run.json").write_text(json.dumps({f"{probe}__{model}": entry}))
    return path


def fields(folder, probe):
    """The fields of a probe's CSVs as text, in the order of run.json."""
    names = [n for n in json.loads((folder / "run.json").read_text()) if n.startswith(f"{probe}__")]
    found = []
    for name in names:
        with (Path(folder) / f"{name}.csv").open(newline="") as file:
            found += list(csv.DictReader(file))
    return found
