"""Examples of a run: which probe's items can be shown, and what stands in their way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdlm_probe.analysis.examples.parts import ExampleItem
from mdlm_probe.analysis.observed import Observed, count
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError


def of(
    folder: Path,
    probe: str,
    frame: Observed,
    entries: dict[str, dict[str, Any]],
    limit: int = 8,
    note: Callable[[str], None] | None = None,
) -> list[ExampleItem]:
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
    from mdlm_probe.analysis.examples.rows import Rows

    if probe not in catalog.names("examples") or not count(frame) or limit < 1:
        return []
    try:
        module = catalog.load("examples", probe)
        found: list[ExampleItem] = module.of(Rows(folder, probe, frame, entries), limit)
    except (LookupError, TypeError, ValueError, OSError, ProbeError) as error:
        # rows of a version with other columns have a report all the same
        if note:
            note(f"{probe} has no examples: its rows can't be read as this version's: {error!r}")
        return []
    return found
