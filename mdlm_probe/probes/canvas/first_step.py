"""What the first step says of ends of text, and what of them it commits."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mdlm_probe.engine.queries import Readout

if TYPE_CHECKING:
    from mdlm_probe.decoding.answers import Answer
    from mdlm_probe.engine.queries import Answer as Readings
    from mdlm_probe.models._checkpoint import Checkpoint


class EndWatcher:
    """Keeps the mass on ends of text that the first step's pass gives every mask.

    Args:
        entry: the model's.

    Attributes:
        wanted: see `Watcher`.
    """

    def __init__(self, entry: Checkpoint) -> None:
        self._mass = Readout("mass", entry.eos_ids)
        self._ends = entry.eos_ids
        self.wanted: tuple[Readout, ...] = (self._mass,)
        self._found: list[float] | None = None

    def see(self, tokens: Sequence[int], masks: Sequence[int], answer: Readings) -> None:
        """Takes the first step down; see `Watcher`."""
        if self._found is None:
            self._found = [float(value) for value in answer[self._mass]]

    def columns(self, answer: Answer) -> dict[str, Any]:
        """The columns of `columns.OF_CANVASES`, once the canvas is whole.

        Args:
            answer: what became of the canvas.
        """
        mass, decoded, size = self._found or [], answer.decoded, len(answer.ids)
        first = [place for place, step in enumerate(decoded.steps, 1) if step == 1]
        ends = [place for place in first if decoded.tokens[place - 1] in self._ends]
        own = [decoded.steps[place] for place in answer.places]
        end = next((i for i, token in enumerate(decoded.tokens) if token in self._ends), None)
        later = None if end is None or not size else fmean(s > decoded.steps[end] for s in own)
        return {
            "first_commits": len(first),
            "first_ends": len(ends),
            "first_end_place": min(ends, default=None),
            "end_first": later,
            "mean_end_mass": fmean(mass) if mass else None,
            "end_masses": " ".join(f"{value:.3g}" for value in mass),
            "unmasked": " ".join(map(str, decoded.steps)),
        }
