"""What is judged: pairs of a run or of models, where they are from, and how they were chosen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mdlm_probe.core.run_folder import read_run
from mdlm_probe.runs.judges import answer_pairs, answer_sets, model_pairs
from mdlm_probe.runs.judges.answer_pairs import AnswerPair, Choice
from mdlm_probe.runs.judges.answer_sets import AnswerSet
from mdlm_probe.runs.judges.columns import NAMES, OWN_NAMES
from mdlm_probe.runs.judges.model_pairs import ModelChoice


@dataclass(frozen=True)
class JudgedPairs:
    """What is judged: pairs, where they are from, and the columns of their verdicts.

    Attributes:
        digests: of the files of answers, by measurement.
        options: which pairs were chosen.
        scorers: of the models, by name; "" for none.
        unpaired: what has no partner.
        compared: names of the models that are compared with each other; (): each with itself.
    """

    pairs: list[AnswerPair]
    digests: dict[str, str]
    options: dict[str, Any]
    scorers: dict[str, str]
    columns: tuple[str, ...]
    unpaired: dict[str, dict[str, int]] = field(default_factory=dict)
    compared: tuple[str, ...] = ()


def of_run(folder: Path, choice: Choice, *, prompts: bool) -> JudgedPairs:
    """Shifted answers of a run beside the unshifted ones; see `answer_pairs.load`."""
    pairs, digests = answer_pairs.load(folder, choice, prompts=prompts)
    entries = read_run(folder)
    scorers = {
        entries[n]["config"]["model"]: entries[n].get("scorer", {}).get("name", "") for n in digests
    }
    return JudgedPairs(pairs, digests, asdict(choice), scorers, OWN_NAMES)


def of_models(folders: Sequence[Path], choice: ModelChoice, output: Path) -> JudgedPairs:
    """Answers of models beside each other's; see `model_pairs.pairs_of`.

    Args:
        folders: runs of `generate`, and of probes whose undisturbed answers are judged.
        choice: which answers.
        output: the folder of the verdicts, from where ways to other folders are told.
    """
    sets = answer_sets.load(folders)
    pairs, without = model_pairs.pairs_of(sets, choice)
    used = {name for pair in pairs for name in (pair.model, pair.against)}
    digests = {place_of(one, output): one.digest for one in sets if one.name in used}
    scorers = {one.model: one.scorer for one in sets if one.name in used}
    compared = tuple(one.name for one in sets if one.name in used)
    return JudgedPairs(pairs, digests, asdict(choice), scorers, NAMES, without, compared)


def place_of(one: AnswerSet, output: Path) -> str:
    """A set's measurement as run.json names it, behind the way to its folder, if it is another."""
    here = one.folder.resolve() == output.resolve()
    way = os.path.relpath(one.folder.resolve(), output.resolve())
    return one.measurement if here else f"{way}/{one.measurement}"
