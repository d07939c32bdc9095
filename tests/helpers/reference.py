"""The committed run of the study `smoke`: what tests read instead of measuring it again."""

import csv
import json
import shutil
from pathlib import Path

from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import probe_of

FOLDER = Path(__file__).parents[2] / "results" / "reference"
"""Not to be written to: take a copy."""


def study(target):
    """A copy of the whole study: its rows, and what run.json and study.json say of them."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / "study.json", target)
    for path in FOLDER.glob("*/run.json"):
        run(target / path.parent.name, path.parent.name)
    return target


def run(target, name, *models):
    """A copy of one run's rows and run.json, of all its models or of these (and its verdicts)."""
    target.mkdir(parents=True, exist_ok=True)
    entries = json.loads((FOLDER / name / "run.json").read_text())
    kept = {
        name: entry
        for name, entry in entries.items()
        if not models or entry["config"].get("model") in (None, *models)
    }
    for one, entry in kept.items():
        for file in catalog.csv_names(probe_of(one, entry), one).values():
            if (FOLDER / name / file).exists():  # not of kinds of rows that came later
                shutil.copy(FOLDER / name / file, target)
        if models and "model" not in entry["config"]:  # verdicts, of all models' answers
            _keep(target / f"{one}.csv", models)
    (target / "run.json").write_text(json.dumps(kept))
    return target


def _keep(path, models):
    """Leaves the rows of these models in a file."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        found = [row for row in reader if row["model"] in models]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, reader.fieldnames, lineterminator="\n")
        writer.writeheader()
        writer.writerows(found)


def rows(name, model, probe="", kind=""):
    """The rows of a run's model as they are written: texts by column; of one kind, or the main."""
    files = catalog.csv_names(probe or name, f"{probe or name}__{model}")
    path = FOLDER / name / files.get(kind, next(iter(files.values())))
    if not path.exists():  # a kind of rows that came later
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def kind_of(stem):
    """The probe and the kind of rows of a CSV, by its name without the ending."""
    head, _, model = stem.partition("__")
    probe = head if head in (*catalog.names("probe"), catalog.JUDGE) else head.partition("-")[0]
    names = catalog.csv_names(probe, f"{probe}__{model}")
    return probe, {file: kind for kind, file in names.items()}[f"{stem}.csv"]


def entry(name, model, probe=""):
    """What run.json says of a run's model."""
    return json.loads((FOLDER / name / "run.json").read_text())[f"{probe or name}__{model}"]


def runs():
    """Every probe and model that was measured."""
    return [
        (path.parent.name, path.stem.partition("__")[2])
        for path in sorted(FOLDER.glob("*/*__*.csv"))
        if path.stem.startswith(f"{path.parent.name}__")
    ]


def options(entry):
    """A run's options as a command gives them: lists are tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in entry["config"]["options"].items()
    }
