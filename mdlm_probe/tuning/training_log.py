"""training.csv: a row for each optimiser step, cut back to where a training resumes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from mdlm_probe.core.columns import Column
from mdlm_probe.core.csv_text import csv_of, lines_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable, write_whole

NAME = "training.csv"
PARTS = (
    Column("loss", float, "nats", "what is minimised, mean over the samples of the step"),
    Column("ce", float, "nats", "cross-entropy of the masked tokens"),
    Column("ctc", float, "nats", "negative log-likelihood over all placements of the tokens"),
    Column("l1", float, "", "L1 distance of the predictions under two numbers of masks"),
)
"""The loss and what objectives say of it; each has its own."""
COLUMNS = (
    Column("step", int, "steps", "optimiser step, from 1"),
    *PARTS,
    Column("rate", float, "", "learning rate"),
    Column("trained_tokens", int, "tokens", "tokens through the network, padding apart"),
    Column("seconds", float, "seconds", "since the training began, its earlier runs included"),
)
"""Columns of the log; an objective without a part has no column of it."""


class TrainingLog:
    """The log of one training.

    Args:
        path: the file.
        step: rows of later steps are forgotten.

    Attributes:
        seconds: spent until that step.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.seconds = path, 0.0
        self._columns: tuple[str, ...] = ()
        if not path.exists():
            return
        try:
            with path.open(newline="", encoding="utf-8") as file:
                heads, *rows = list(csv.reader(file))
            kept = [row for row in rows if len(row) == len(heads) and int(row[0]) <= step]
        except (OSError, ValueError) as error:
            raise ProbeError(
                f"{path} is no log of a training: {error}", hint="--fresh starts over"
            ) from None
        if kept:
            self._columns, self.seconds = tuple(heads), float(kept[-1][-1])
            lines = [dict(zip(heads, row, strict=True)) for row in kept]
            write_whole(path, csv_of(lines, heads))
        else:
            path.unlink()

    def append(
        self, step: int, parts: Mapping[str, float], rate: float, tokens: int, seconds: float
    ) -> None:
        """Adds the row of a step.

        Args:
            step: from 1.
            parts: the loss and its parts, means over the samples of the step.
            rate: learning rate.
            tokens: that went through the network, padding apart.
            seconds: since the training began, its earlier runs included.

        Raises:
            ProbeError: the file can't be written.
        """
        row = {"step": step, **parts, "rate": rate, "trained_tokens": tokens, "seconds": seconds}
        if not self._columns:
            self._columns = tuple(row)
            write_whole(self.path, csv_of([], self._columns))
        try:
            with self.path.open("ab") as file:
                file.write(lines_of([row], self._columns))
        except OSError as error:
            raise unusable(self.path, error) from error
