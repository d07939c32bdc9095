"""List tasks as canvases of a model, and what it made of their slots. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError, TooLong
from mdlm_probe.decoding import answers
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.layout import laid_out
from mdlm_probe.engine.batches import beyond
from mdlm_probe.probes.parallel.coordinates import Cell
from mdlm_probe.probes.parallel.optimum import optimum
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FOREIGN, RANDOM, ListTask

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border


@dataclass(frozen=True)
class AskedTask:
    """A task as a model reads it.

    Attributes:
        task: what is asked.
        words: the token of each of its words, by their numbers.
        canvas: the prompt, with a mask for each slot; a causal model's has none.
    """

    task: ListTask
    words: tuple[int, ...]
    canvas: Canvas


def asked_task(asker: Asker, cell: Cell) -> AskedTask:
    """A cell's task in a model's tokens.

    Raises:
        ProbeError: too few words are one token; the prompt spells a mask, or is too long.
    """
    border, entry = asker.border, asker.entry
    source = list_prompts.load(cell.lists, cell.lexicon)
    how = cell.family, cell.list_length, cell.item, cell.seed

    def known(word: str) -> bool:
        return _token(border, word) is not None

    task = source.task(*how, known)
    shots = [source.task(*how, known, shot) for shot in range(1, cell.shots + 1)]
    seed, masked = seed_of("list answers", *how), entry.kind == "masked"
    ids = border.encode(source.prompt(task, shots, seed, masked))
    places = tuple(at for at, token in enumerate(ids) if masked and token == entry.mask_id)
    if masked and len(places) != task.slots:
        raise ProbeError(
            f"the list tasks '{source.name}' spell the mask token of {entry.name}",
            expected="texts without it",
        )
    if (size := len(ids) + (0 if masked else task.slots)) > entry.context:
        raise TooLong(
            f"a list of {cell.list_length} words with {cell.shots} examples has {size} tokens",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            hint="lower --shots or --words",
            reason=beyond(entry),
        )
    words = tuple(_token(border, f" {word}") or 0 for word in task.all_words)
    canvas = laid_out(ids, places, entry, key(cell), "cut") if masked else Canvas(ids, ())
    return AskedTask(task, words, canvas)


@lru_cache(maxsize=4096)
def _token(border: Border, word: str) -> int | None:
    """The token of a word inside a text, with the space before it; None where it isn't one."""
    if border.is_rough:  # each word may be one token
        return border.pieces(word, inside=True)[0]
    try:
        token = border.token(word, inside=True)
    except ProbeError:
        return None
    return token if border.decode([token]) == word else None


def row(border: Border, cell: Cell, asked: AskedTask, decoded: Decoded) -> dict[str, Any]:
    """The columns of an answer."""
    task, entry = asked.task, border.entry
    numbers = {token: number for number, token in enumerate(asked.words)}
    found = [numbers.get(token, FOREIGN) for token in decoded.tokens]
    found += [FOREIGN] * (task.slots - len(found))  # a causal model may end before
    steps = max(decoded.steps, default=0)
    schedule = cell.schedule()
    free = bool(schedule.rule.measure) and task.family in RANDOM and entry.kind == "masked"
    best = None if free else optimum(task, _whole(decoded.steps, task.slots), cell.temperature)
    told = task.family.endswith("-index")
    return {
        "word_list": " ".join(task.words),
        "new_word": task.word,
        "list_place": task.place + 1 if told else None,
        "answer": answers.answer_of(border, entry, decoded).text,
        "arrangement": " ".join(_sign(task, number) for number in found),
        "correct": task.is_right(found),
        "fault": fault(task, found),
        "optimum": best,
        "logp_written": sum(decoded.logprobs),
        "per_step": len(decoded.tokens) / max(1, steps),
        "passes": decoded.passes,
        "unmasked": " ".join(map(str, decoded.steps)),
    }


def _whole(steps: Sequence[int], slots: int) -> list[int]:
    """The step of every slot; those that a causal model didn't come to have later ones."""
    return [*steps, *range(len(steps) + 1, slots + 1)]


def _sign(task: ListTask, number: int) -> str:
    if number == FOREIGN:
        return "?"
    return "+" if number == len(task.words) else str(number + 1)


def fault(task: ListTask, found: Sequence[int]) -> str:
    """Why an answer is wrong; empty where it is right.

    Steps of several slots make the second of these four; the others are mistakes at any pace.
    """
    if task.is_right(found):
        return ""
    if FOREIGN in found:
        return "foreign"
    if len(set(found)) < len(found):
        return "repeated"
    return "copied" if list(found) == list(range(len(task.words))) else "misplaced"
