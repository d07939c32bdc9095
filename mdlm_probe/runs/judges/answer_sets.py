"""Answers of models to prompts, of whatever run: each model's undisturbed ones are a set."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mdlm_probe.core import catalog
from mdlm_probe.core.csv_text import text_from
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import probe_of, read_run
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.judges import answer_pairs
from mdlm_probe.runs.judges.answer_pairs import SETTINGS, JudgedAnswer

GENERATE = "generate"


@dataclass(frozen=True)
class ModelAnswer:
    """An answer to a prompt, and what was asked.

    Attributes:
        seed: of what is drawn at random.
    """

    asked: Text
    seed: str
    answer: JudgedAnswer


@dataclass(frozen=True)
class AnswerSet:
    """The answers of a model, decoded in one way.

    Attributes:
        name: tells it from all others: the model's, with what else differs.
        model: the model's name.
        folder, measurement: where they are from: the run's folder, and the name in its run.json.
        settings: how they were decoded, where the measurement has several ways; else "".
        digest: a hash of the file that they are in.
        scorer: the name of who scored them; "" for none.
        answers: in the order of their file.
    """

    name: str
    model: str
    folder: Path
    measurement: str
    settings: str
    digest: str
    scorer: str
    answers: tuple[ModelAnswer, ...]


def load(folders: Sequence[Path]) -> list[AnswerSet]:
    """All answers of some runs of `generate` and of probes whose answers are judged.

    Raises:
        ProbeError: no such run, an unfinished or damaged one, or a folder that is named twice.
    """
    resolved = [folder.resolve() for folder in folders]
    if twice := [f for f, own in zip(folders, resolved, strict=True) if resolved.count(own) > 1]:
        raise ProbeError(f"{twice[0]} is named twice", expected="each run once")
    found = [one for folder in folders for one in _of_folder(folder)]
    return _named(found)


def _of_folder(folder: Path) -> Iterator[AnswerSet]:
    entries = read_run(folder) if folder.is_dir() else {}
    probes = (*catalog.judged(), GENERATE)
    known = {n: entry for n, entry in entries.items() if probe_of(n, entry) in probes}
    # further turns of a conversation answer what their own model said before: no same prompt
    known = {n: entry for n, entry in known.items() if "turn" not in entry.get("config", {})}
    if not known:
        written = " or ".join(f"`mdlm-probe {probe} --output FOLDER`" for probe in probes)
        raise ProbeError(
            f"no answers to judge in {folder}", expected=f"a folder that {written} wrote"
        )
    for name, entry in known.items():
        read = _generated if probe_of(name, entry) == GENERATE else _measured
        yield from read(folder, name, entry)


def _measured(folder: Path, name: str, entry: dict[str, Any]) -> Iterator[AnswerSet]:
    """The undisturbed answers of a probe's CSV."""
    path = folder / f"{name}.csv"
    rows, digest = answer_pairs.rows_of(path, entry)
    rows = [row for row in rows if row["intervention"] == NO_INTERVENTION]
    asked = answer_pairs.texts_of(entry["config"], path, (text_from(r["prompt"]) for r in rows))
    varying = [n for n in SETTINGS if rows and n in rows[0] and len({r[n] for r in rows}) > 1]
    ways: dict[tuple[str, str], list[ModelAnswer]] = {}
    scored = entry.get("scorer", {})
    scorer = " ".join(filter(None, (scored.get("name"), scored.get("weight_hash"))))
    for row in rows:
        at = text_from(row["model"]), " ".join(f"{n}={row[n]}" for n in varying)
        text = replace(asked[text_from(row["prompt"])], task=text_from(row["task"]))
        answer = replace(answer_pairs.answer_of(row), scorer=scorer)
        ways.setdefault(at, []).append(ModelAnswer(text, row["seed"], answer))
    for (model, settings), answers in ways.items():
        about = (settings, digest, scored.get("name", ""))
        yield AnswerSet(model, model, folder, name, *about, tuple(answers))


def _generated(folder: Path, name: str, entry: dict[str, Any]) -> Iterator[AnswerSet]:
    """The answers of a JSONL that `generate` wrote."""
    path = folder / f"{name}.jsonl"
    answer_pairs.check_finished(path, entry)
    records = _records(path)
    config = entry["config"]
    options = config.get("options", {})
    known: dict[str, Text] = {}
    named = options.get("prompts", ""), options.get("lexicon", "full")
    if not options.get("text") and named[0] != "-":
        with suppress(ProbeError):  # the file may be gone: the answers have the prompts' texts
            known = answer_pairs.asked_texts(*named)
    seed = str(options.get("seed", 0))
    answers = []
    for record in records:
        asked = Text(record["prompt"], record["task"], record["prompt_text"])
        own = known.get(asked.id)
        if own and asked.prompt.startswith(own.prompt):  # up to where a token ends, maybe
            asked = replace(own, task=asked.task)
        answers.append(ModelAnswer(asked, seed, JudgedAnswer(record["answer"])))
    model = str(config.get("model", name))
    digest = answer_pairs.file_digest(path)
    yield AnswerSet(model, model, folder, name, "", digest, "", tuple(answers))


def _records(path: Path) -> list[dict[str, str]]:
    """The texts of each line of a JSONL of answers; nothing is written, as a resuming run does.

    Raises:
        ProbeError: a line that is something else.
    """
    found = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
            found.append({n: record[n] for n in ("prompt", "task", "prompt_text", "answer")})
            if not all(isinstance(value, str) for value in found[-1].values()):
                raise TypeError
        except (ValueError, LookupError, TypeError, RecursionError):
            raise ProbeError(
                f"{path}, line {number}: no answer to a prompt",
                expected="lines as `mdlm-probe generate` writes them",
                hint="`mdlm-probe generate` with --fresh answers anew",
            ) from None
    return found


def _named(found: Sequence[AnswerSet]) -> list[AnswerSet]:
    """Sets with names of their own: the model's, and whatever else tells it from its like."""
    several = [one for one in found if sum(one.model == other.model for other in found) > 1]
    named = []
    for one in found:
        alike = [other for other in several if other.model == one.model]
        parts = []
        if len({other.settings for other in alike}) > 1:
            parts.append(one.settings)
        if len({(other.folder, other.measurement) for other in alike}) > 1:
            parts.append(_place(one, alike))
        told = ", ".join(filter(None, parts))
        named.append(replace(one, name=f"{one.model} ({told})" if told else one.model))
    names = [one.name for one in named]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ProbeError(
            f"two runs have the same answers' name, '{twice[0]}'",
            expected="models with names of their own: --model NAME=CHECKPOINT",
        )
    return named


def _place(one: AnswerSet, alike: Sequence[AnswerSet]) -> str:
    """The folder's name where that tells sets apart, else its path."""
    folders = {other.folder for other in alike}
    if len(folders) == 1:
        return one.measurement
    short = len({folder.name for folder in folders}) == len(folders)
    own = one.folder.name if short else str(one.folder)
    inside = {other.measurement for other in alike if other.folder == one.folder}
    return own if len(inside) == 1 else f"{own}, {one.measurement}"
