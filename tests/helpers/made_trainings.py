"""Runs of checkpoints of a training: committed rows under other names, with what run.json says."""

import json

import made_runs
import reference


def checkpoints(folder, training, steps, probe="locality", model="tiny-mdlm", change=None):
    """A run folder with a checkpoint for each step.

    Args:
        folder: of the run; other trainings' checkpoints in it stay.
        training: the path that run.json has.
        steps: of the checkpoints.
        probe, model: whose committed rows they are.
        change: maps a row and the step to the row of the checkpoint; None: as they are.
    """
    run = folder / "run.json"
    found = json.loads(run.read_text()) if run.exists() else {}
    for step in steps:
        reference.run(folder, probe, model)
        old, name = f"{probe}__{model}", f"{training.rpartition('/')[2]}-{step}"
        made_runs.changed(folder, old, _renamed(name, step, change))
        (entry,) = (e for n, e in json.loads(run.read_text()).items() if n == old)
        entry["config"]["model"] = name
        entry["training"] = {"training": training, "step": step}
        (folder / f"{old}.csv").rename(folder / f"{probe}__{name}.csv")
        found[f"{probe}__{name}"] = entry
    run.write_text(json.dumps(found, sort_keys=True))
    return folder


def _renamed(name, step, change):
    def renamed(row):
        return [(change(row, step) if change else row) | {"model": name}]

    return renamed
