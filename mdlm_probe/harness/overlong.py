"""Documents whose contexts are longer than a model reads: what is left away, or what else is done.

lm-eval cuts them on the left, and says nothing of it; the rest is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.likelihood.settings import Overlength

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance

    from mdlm_probe.models._checkpoint import Checkpoint

SAID = {
    "cut": "cut on the left to the {0} tokens that it reads",
    "keep-start": "cut after the tokens that open them, to the {0} tokens that it reads",
    "skip": "longer than the {0} tokens that it reads: their documents are skipped",
}


class OverlongDocuments:
    """Documents of a model's requests that are longer than it reads, and what is done with them.

    Args:
        entry: of the model.
        rule: what is done.
    """

    def __init__(self, entry: Checkpoint, rule: Overlength = "cut") -> None:
        self.rule: Overlength = rule
        self._entry = entry
        self._cut: dict[tuple[Any, Any], int] = {}

    def add(self, request: Instance, cut: int, name: str) -> None:
        """Notes that so many tokens of a request's context have no room.

        Raises:
            ProbeError: where that is an error.
        """
        if not cut:
            return
        if self.rule == "error":
            raise ProbeError(
                f"{name} is {cut} tokens longer than '{self._entry.name}' reads",
                expected=f"at most {self._entry.context} tokens, with what is scored or written",
                hint="--overlength cut, keep-start or skip",
                option="overlength",
            )
        place = request.task_name, request.doc_id
        self._cut[place] = max(cut, self._cut.get(place, 0))

    def skips(self, request: Instance) -> bool:
        """Whether a request is of a document that is skipped."""
        return self.rule == "skip" and (request.task_name, request.doc_id) in self._cut

    def of(self, task: str) -> dict[int, int]:
        """The tokens that were left away of a task's documents, by their numbers."""
        return {number: cut for (name, number), cut in self._cut.items() if name == task}

    def leave_out(self, task: Any) -> None:
        """Makes a task of lm-eval pass by the documents that are skipped."""
        inner = task.doc_iterator

        def documents(**given: Any) -> Iterator[tuple[int, Any]]:
            skipped = self.of(task.config.task) if self.rule == "skip" else {}
            return ((number, doc) for number, doc in inner(**given) if number not in skipped)

        task.doc_iterator = documents

    def said(self) -> str:
        """What is done, in words."""
        return SAID[self.rule].format(self._entry.context)
