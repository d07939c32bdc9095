"""Judging by people: the page that is written for them, and the verdicts that come back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.judges import human_page, judged_pairs, judging
from mdlm_probe.runs.judges.answer_pairs import Choice
from mdlm_probe.runs.judges.human import HumanJudge
from mdlm_probe.runs.judges.judged_pairs import JudgedPairs
from mdlm_probe.runs.judges.model_pairs import ModelChoice, told_without
from mdlm_probe.runs.plan import Progress


def write_page(
    folders: Sequence[Path], target: Path, choice: Choice | ModelChoice, *, fresh: bool
) -> tuple[Path, Path]:
    """Writes the page of some pairs into a folder, and its key; returns both paths.

    Raises:
        ProbeError: there is nothing to judge, or a page of other pairs.
    """
    found = _pairs(folders, target, choice)
    name = _name(choice)
    page = human_page.write(target, name, found.pairs, fresh=fresh)
    return page, human_page.key_path(target, name)


def read_verdicts(
    folders: Sequence[Path],
    target: Path,
    choice: Choice | ModelChoice,
    files: Sequence[Path],
    progress: Progress,
) -> list[str]:
    """Writes the verdicts of each person into a CSV; returns whose aren't whole.

    Files are read anew each time, so that a later one of the same person takes the place of an
    earlier one.

    Raises:
        ProbeError: a file that is damaged, or of another page; two of one person.
    """
    key = human_page.read_key(human_page.key_path(target, _name(choice)))
    raters = [HumanJudge(path, key) for path in files]
    names = [rater.name for rater in raters]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ProbeError(
            f"two files are of {twice[0]}",
            expected="one file of each person, and names of their own",
            option="verdicts",
        )
    found = _pairs(folders, target, choice)
    for note in told_without(found.unpaired):
        progress.note(note)
    left = []
    for rater in raters:
        done = judging.judge_pairs(
            target, judging.name_of(rater, choice), found, rater, progress, fresh=True
        )
        if done.failed:
            left.append(f"{rater.name} didn't judge {done.failed} of {done.verdicts} pairs")
    return left


def _pairs(folders: Sequence[Path], target: Path, choice: Choice | ModelChoice) -> JudgedPairs:
    if isinstance(choice, ModelChoice):
        return judged_pairs.of_models(folders, choice, target)
    return judged_pairs.of_run(target, choice, prompts=True)


def _name(choice: Choice | ModelChoice) -> str:
    return "judge__models__human" if isinstance(choice, ModelChoice) else "judge__human"
