"""Which training a checkpoint is of, and after how many of its steps it was saved."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._json import read_json

WORDS = r"global[_-]?steps?|steps?|iters?|iterations?|checkpoints?|ckpts?|updates?"
STEP = re.compile(
    rf"(?P<before>.*?)(?<![a-z])(?:{WORDS})[-_=. ]?(?P<number>\d+)(?P<times>[km])?(?![a-z\d.])"
    r"(?P<after>.*)",
    re.IGNORECASE,
)
"""A folder's name that says a step: checkpoint-500, step_1000, global_step2000, iter-0010, ..."""
TIMES = {"": 1, "k": 1000, "m": 1_000_000}
ALSO = re.compile(
    rf"(?:epochs?|tokens?)[-_=]?\d[\d.]*[a-z]?|\w+=[\d.]+|(?:{WORDS})[-_=. ]*$", re.IGNORECASE
)
"""What else such a name says of the checkpoint, and not of its training."""
INNER = ("actor", "hf", "hf_model", "huggingface", "model", "weights")
"""Folders within a checkpoint's in which some trainers put the model."""
STATE = "trainer_state.json"
"""What Hugging Face's Trainer writes beside a checkpoint."""


@dataclass(frozen=True)
class TrainingStep:
    """Where in a training a checkpoint was saved.

    Attributes:
        training: the path of the folder that holds its checkpoints, and what their names have in
            common where several trainings share it.
        step: steps of the optimiser until then.
    """

    training: str
    step: int


def training_step(source: str) -> TrainingStep | None:
    """The training and the step of a checkpoint's folder; None where neither its name says a step
    nor Trainer's `trainer_state.json` in it does.

    Args:
        source: a folder, or a hub id, of which nothing is known.
    """
    given = Path(source).expanduser()
    if not source or not given.is_dir():
        return None
    folder = given.resolve()
    named = folder
    while named.name in INNER:
        named = named.parent
    if found := STEP.fullmatch(named.name):
        times = TIMES[(found["times"] or "").lower()]
        name = _apart(found["before"] + found["after"])
        return TrainingStep(str(named.parent / name), int(found["number"]) * times)
    step = _state(folder)
    if step is None:
        return None
    return TrainingStep(str(folder if step_folders(folder) else folder.parent), step)


def is_step(folder: Path) -> bool:
    """Whether a folder's name says a training step."""
    return STEP.fullmatch(folder.name) is not None


def step_folders(folder: Path) -> list[Path]:
    """The checkpoints of a training within its own folder, where Trainer leaves the last one."""
    return [path for path in folder.iterdir() if is_step(path) and path.is_dir()]


def _apart(rest: str) -> str:
    """What a name says beside its step of the training, if several are in one folder."""
    return ALSO.sub("", rest).strip("-_=. ")


def _state(folder: Path) -> int | None:
    """The step that Trainer's own file says; None where there is no such file, or a damaged one."""
    try:
        step = read_json(folder / STATE).get("global_step")
    except ProbeError:
        return None
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None
