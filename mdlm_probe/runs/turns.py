"""Turns of conversations whose later questions follow the model's own answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.prompts.prompt import Text


def turn_path(path: Path, turn: int) -> Path:
    """Where the answers of a turn are, from 1: `path` is the first turn's."""
    return path if turn == 1 else path.with_name(f"{path.stem}__turn-{turn}{path.suffix}")


def continued(asked: Sequence[Text], path: Path) -> tuple[Text, ...]:
    """What users say next, after the answers in a file; of those that say something more.

    Raises:
        ProbeError: the file is damaged.
    """
    records = JsonLines(path, "answer to a prompt", ("prompt", "answer")).records
    answers = {record["prompt"]: record["answer"] for record in records}
    return tuple(
        replace(
            text,
            prompt=text.then[0],
            history=(*text.history, (text.prompt, answers[text.id])),
            then=text.then[1:],
        )
        for text in asked
        if text.then and text.id in answers
    )
