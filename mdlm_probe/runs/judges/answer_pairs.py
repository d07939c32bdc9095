"""Pairs of answers: each shifted one beside the unshifted one that it began as."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mdlm_probe.core import catalog
from mdlm_probe.core.cells import key
from mdlm_probe.core.csv_text import text_from
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import read_run
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.prompt import Text

SETTINGS = (
    *("length", "steps", "block", "order", "threshold", "temperature", "guidance", "eos"),
    "cache",
)
"""Columns that say how an answer was decoded: equal within a pair."""

MATCHED = ("model", "prompts", "lexicon", "prompt", *SETTINGS, "seed")
NEEDED = ("model", "prompt", "task", "seed", "intervention", "frac", "answer")

Row = Mapping[str, str]


@dataclass(frozen=True)
class JudgedAnswer:
    """A text that a model wrote.

    Attributes:
        text: what it wrote.
        nll: total nats under the run's scorer; None where it gave none.
        tokens: of the text, by the scorer's tokenizer; None where there was no scorer.
        scorer: the scorer's name and weights, where answers of several runs are compared.
    """

    text: str
    nll: float | None = None
    tokens: int | None = None
    scorer: str = ""


@dataclass(frozen=True)
class AnswerPair:
    """An answer, and the one that it is compared with, to the same prompt.

    Attributes:
        id: its name: all coordinates; different from all others of the run.
        settings: how it was decoded, where a model of the run has several ways; else "".
        answer: what `model` wrote, shifted where it is compared with itself.
        other: the same model's unshifted answer; or what the model `against` wrote.
        against: the other model; "" where a model is compared with itself.
        asked: the text of the prompt; "" where only its id is known.
        right: the right answer, where the prompt is a question of the small language.
    """

    id: str
    model: str
    prompt: str
    task: str
    settings: str
    seed: str
    intervention: str
    frac: str
    answer: JudgedAnswer
    other: JudgedAnswer
    asked: str = ""
    right: str = ""
    against: str = ""

    @property
    def text(self) -> Text:
        """The prompt, as judges that need no model know it."""
        return Text(self.prompt, self.task, self.asked, answer=self.right)

    @property
    def identical(self) -> bool:
        """Whether both are the same text."""
        return self.answer.text == self.other.text


@dataclass(frozen=True)
class Choice:
    """Which pairs of a run are judged.

    Attributes:
        limit: prompts of each task, the first ones; None: all.
        interventions, fracs: those named; (): all.
    """

    limit: int | None = None
    interventions: tuple[str, ...] = ()
    fracs: tuple[float, ...] = ()


def load(folder: Path, choice: Choice, *, prompts: bool) -> tuple[list[AnswerPair], dict[str, str]]:
    """The pairs of a run folder in the order of its rows, and a hash of each CSV they come from.

    Args:
        folder: a run of a probe whose answers are judged.
        choice: which pairs.
        prompts: whether the prompts' texts are needed.

    Raises:
        ProbeError: no such run, an unfinished one, rows without a partner, nothing chosen.
    """
    entries = read_run(folder) if folder.is_dir() else {}
    probes = catalog.judged()
    judged = {n: e for n, e in entries.items() if e.get("config", {}).get("probe") in probes}
    if not judged:
        written = " or ".join(f"`mdlm-probe {probe} --output FOLDER`" for probe in probes)
        raise ProbeError(
            f"no answers to judge in {folder}", expected=f"a folder that {written} wrote"
        )
    pairs: list[AnswerPair] = []
    digests = {}
    for name, entry in judged.items():
        path = folder / f"{name}.csv"
        rows, digests[name] = rows_of(path, entry)
        found = _paired(rows, path)
        pairs += _asked(found, entry["config"], path) if prompts else found
    return _chosen(pairs, choice, folder), digests


def rows_of(path: Path, entry: dict[str, Any]) -> tuple[list[Row], str]:
    """The rows of a finished CSV as text, and a hash of the file.

    Raises:
        ProbeError: it is unfinished, or has no answers.
    """
    from mdlm_probe.analysis.frames import read_texts  # pandas: not for every command

    command = f"`mdlm-probe {entry['config']['probe']}`"
    check_finished(path, entry)
    table = read_texts(path)
    if missing := [name for name in NEEDED if name not in table.column_names]:
        raise ProbeError(
            f"{path} has no column '{missing[0]}'",
            expected=", ".join(NEEDED),
            hint=f"{command} with --fresh measures anew",
        )
    rows: list[Row] = [
        {name: text or "" for name, text in row.items()} for row in table.to_pylist()
    ]
    return rows, file_digest(path)


def check_finished(path: Path, entry: dict[str, Any]) -> None:
    """Refuses rows of a run that isn't finished.

    Raises:
        ProbeError: it isn't.
    """
    if entry.get("status") != "finished":
        command = f"`mdlm-probe {entry['config']['probe']}`"
        raise ProbeError(f"{path} is unfinished", hint=f"let {command} finish first")


def file_digest(path: Path) -> str:
    """A hash of a file."""
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()


def _paired(rows: Sequence[Row], path: Path) -> list[AnswerPair]:
    matched = [name for name in MATCHED if rows and name in rows[0]]
    varying = [n for n in SETTINGS if n in matched and len({row[n] for row in rows}) > 1]
    plain: dict[tuple[str, ...], Row] = {}
    for row in rows:
        if row["intervention"] == NO_INTERVENTION:
            at = tuple(row[name] for name in matched)
            if plain.setdefault(at, row)["answer"] != row["answer"]:
                raise ProbeError(
                    f"{path} has two unshifted answers of prompt '{row['prompt']}',"
                    f" seed {row['seed']}",
                    expected=f"one for each {', '.join(matched)}",
                )
    pairs: list[AnswerPair] = []
    seen: dict[str, int] = {}
    for row in rows:
        if row["intervention"] == NO_INTERVENTION:
            continue
        partner = plain.get(tuple(row[name] for name in matched))
        if partner is None:
            raise ProbeError(
                f"{path}: no unshifted answer beside '{row['intervention']}' of prompt"
                f" '{row['prompt']}', seed {row['seed']}",
                expected=f"a row of intervention '{NO_INTERVENTION}' with the same"
                f" {', '.join(matched)}",
            )
        name = key({n: row[n] for n in (*matched, "intervention", "frac")})
        seen[name] = number = seen.get(name, 0) + 1
        name += f"#{number}" if number > 1 else ""
        settings = " ".join(f"{n}={row[n]}" for n in varying)
        about = (text_from(row["model"]), text_from(row["prompt"]), text_from(row["task"]))
        coordinates = (row["seed"], row["intervention"], row["frac"])
        pairs.append(
            AnswerPair(name, *about, settings, *coordinates, answer_of(row), answer_of(partner))
        )
    return pairs


def answer_of(row: Row) -> JudgedAnswer:
    """The answer of a row of a CSV."""
    nll, tokens = row.get("nll") or "", row.get("scorer_tokens") or ""
    value = float(nll) if nll else None
    if value is not None and not math.isfinite(value):
        value = None
    return JudgedAnswer(text_from(row["answer"]), value, int(float(tokens)) if tokens else None)


def _asked(pairs: Iterable[AnswerPair], config: dict[str, Any], path: Path) -> list[AnswerPair]:
    """The pairs with the texts of their prompts."""
    pairs = list(pairs)
    by_id = texts_of(config, path, [pair.prompt for pair in pairs])
    found = [(pair, by_id[pair.prompt]) for pair in pairs]
    return [replace(pair, asked=text.conversation, right=text.answer) for pair, text in found]


def texts_of(config: dict[str, Any], path: Path, prompts: Iterable[str]) -> dict[str, Text]:
    """The texts of a run's prompts by id, as they were when it was measured.

    Args:
        config: of the run, as run.json has it.
        path: its rows.
        prompts: ids that it holds.

    Raises:
        ProbeError: they are gone, or others now.
    """
    options = config.get("options", {})
    named = options.get("prompts", "decay"), options.get("lexicon", "full")
    known = config.get("sources", {}).get("prompts")
    if named[0] == "-":
        raise ProbeError(
            f"the prompts of {path} came from stdin, and are gone",
            expected="prompts in a file, for a judge that reads them",
            hint="--judge-by nll needs none, but takes a likelihood, which repetition wins",
        )
    if known and known != texts.digest(*named):
        raise ProbeError(
            f"the prompts '{named[0]}' are not those that {path} answers",
            expected="the prompts as they were",
            hint=f"`mdlm-probe {config['probe']}` with --fresh answers the present ones",
        )
    by_id = asked_texts(*named)
    if unknown := [prompt for prompt in prompts if prompt not in by_id]:
        raise ProbeError(
            f"{path} answers prompt '{unknown[0]}', which '{named[0]}' doesn't hold",
            expected="the prompts as they were",
        )
    return by_id


def asked_texts(prompts: str, lexicon: str) -> dict[str, Text]:
    """The texts of a run's prompts by id; right answers only where the small language asks."""
    small = texts.is_small(prompts, lexicon)
    found = texts.load(prompts, lexicon)
    return {text.id: text if small else replace(text, answer="") for text in found}


def _chosen(pairs: Sequence[AnswerPair], choice: Choice, folder: Path) -> list[AnswerPair]:
    present = list(dict.fromkeys(pair.intervention for pair in pairs))
    fracs = sorted({float(pair.frac) for pair in pairs if pair.frac})
    for option, wanted, there in (
        ("intervention", choice.interventions, present),
        ("frac", choice.fracs, fracs),
    ):
        if missing := [value for value in wanted if value not in there]:
            raise ProbeError(
                f"--{option} names {missing[0]}, which {folder} doesn't hold",
                expected="one of " + ", ".join(map(str, there)),
                option=option,
            )
    places: dict[tuple[str, str], dict[str, int]] = {}
    out = []
    for pair in pairs:
        listed = places.setdefault((pair.model, pair.task), {})
        place = listed.setdefault(pair.prompt, len(listed))
        first = choice.limit is None or place < choice.limit
        named = not choice.interventions or pair.intervention in choice.interventions
        near = not choice.fracs or (pair.frac != "" and float(pair.frac) in choice.fracs)
        if first and named and near:
            out.append(pair)
    if not out:
        raise ProbeError(
            f"no pairs to judge in {folder}",
            expected="shifted answers beside unshifted ones",
            hint="choose other --intervention and --frac" if pairs else "",
        )
    return out
