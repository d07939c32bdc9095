"""Runs to export: the committed ones, and rows written by hand."""

import csv
import json
from pathlib import Path

import reference

from mdlm_probe.core.csv_text import lines_of

FILES = "parquet,jsonl,latex,markdown,card"


SETS = [f"{word}-{size}" for word in ("verb", "animal") for size in ("smallest", "largest")]


def committed(folder):
    """Masks of both bundled models, and locality of one, of some sets of the committed study.

    So that there is more to tell, 800 masks are called half a prompt, and locality has rows of
    seven masks: those of none again, with other answers.
    """

    def halved(row):
        return [row | {"amount": row["amount"].replace("800", "50%")}] if row["set"] in SETS else []

    def doubled(row):
        again = row | {"question_masks": "7", "correct": row["item"]}
        return [row, again] if row["set"] in SETS and row["item"] < "2" else []

    reference.run(folder, "masks", "tiny-mdlm", "tiny-arlm")
    for name in ("masks__tiny-mdlm", "masks__tiny-arlm"):
        changed(folder, name, halved, masks=["0", "50", "200", "400", "50%"], tasks=SETS)
    entries = json.loads((folder / "run.json").read_text())
    reference.run(folder, "locality", "tiny-mdlm")
    changed(folder, "locality__tiny-mdlm", doubled, masks=[0, 7], tasks=SETS, limit=2)
    entries |= json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(entries))
    return folder


def changed(folder, name, change, **options):
    """Puts the rows that `change` makes of each row in its place, and changes options."""
    path, run = folder / f"{name}.csv", folder / "run.json"
    with path.open(newline="") as file:
        columns, *lines = csv.reader(file)
    rows = [row for line in lines for row in change(dict(zip(columns, line, strict=True)))]
    path.write_bytes(lines_of([{column: column for column in columns}, *rows], columns))
    entries = json.loads(run.read_text())
    entries[name] |= {"size": path.stat().st_size, "cells": len(rows)}
    entries[name]["config"]["options"] |= options
    run.write_text(json.dumps(entries))


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
