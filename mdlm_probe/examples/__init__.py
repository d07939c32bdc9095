"""Examples: single items of a run as a person reads them: what was asked, what came back.

One file a probe, with `of(rows, limit)`, which picks rows and shows them; a probe without a file
has no examples. Prompts are made again from the rows' coordinates, without torch or a tokenizer.
Which items are shown, and how, is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mdlm_probe import catalog
from mdlm_probe.errors import ProbeError


@dataclass(frozen=True)
class Text:
    """A text under a label, such as the prompt or the answer."""

    label: str
    text: str


@dataclass(frozen=True)
class Differences:
    """A text beside the one it came from; pieces in reading order.

    Attributes:
        label: what it is, such as "shifted answer".
        pieces: ("same", text) stands in both, ("gone", text) in the first, ("new", text) in this.
    """

    label: str
    pieces: tuple[tuple[Literal["same", "gone", "new"], str], ...]


@dataclass(frozen=True)
class Filling:
    """A canvas filling in.

    Attributes:
        label: what it is.
        places: for each place, left to right, the step that wrote it (from 1; 0: never) and its
            text ("" where nothing was written).
    """

    label: str
    places: tuple[tuple[int, str], ...]


@dataclass(frozen=True)
class Example:
    """One item.

    Attributes:
        title: what tells it from others, such as "verb-smallest, test point 3, position 20".
        model, task: what the page's filters pick by; `task` may be "".
        parts: to show, in order.
    """

    title: str
    model: str
    task: str
    parts: tuple[Text | Differences | Filling, ...]


def of(
    folder: Path,
    probe: str,
    frame: pd.DataFrame,
    entries: dict[str, dict[str, Any]],
    limit: int = 8,
    note: Callable[[str], None] | None = None,
) -> list[Example]:
    """A few items of a probe's rows, the same for every model; none where no row can be read.

    They are chosen by what was measured, such as the answers with the largest damage, and never by
    chance. Where the files that a prompt was made of have changed since, the example says so.

    Args:
        folder: the run folder.
        probe: of which probe, or "judge".
        frame: its rows, of all models, as `reports.make` reads them.
        entries: of run.json, see `sink.read_run`.
        limit: most examples of a model.
        note: is told why, where rows can't be read.
    """
    from mdlm_probe.examples._rows import Rows

    if probe not in catalog.names("examples") or frame.empty or limit < 1:
        return []
    try:
        return catalog.load("examples", probe).of(Rows(folder, probe, frame, entries), limit)
    except (LookupError, TypeError, ValueError, OSError, ProbeError) as error:
        # rows of a version with other columns have a report all the same
        if note:
            note(f"{probe} has no examples: its rows can't be read as this version's: {error!r}")
        return []
