"""The dry run: an engine without a network, which counts what it is asked."""

from __future__ import annotations

from collections.abc import Sequence

from mdlm_probe.engine import gradients
from mdlm_probe.engine.batches import check
from mdlm_probe.engine.engine import Answer, Attribution
from mdlm_probe.engine.queries import Query
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint


class DryRun:
    """An engine without a network: takes queries, counts them, and answers none of them.

    Attributes:
        lengths, asked: tokens of each query so far, and positions asked in all of them.
        largest: most tokens that were asked at once.
        passes: forward passes that a query costs about.
        calls: how often something was asked.
    """

    def __init__(self, entry: Checkpoint, border: Border) -> None:
        self.entry, self.border = entry, border
        self.lengths: list[int] = []
        self.asked = self.largest = self.calls = 0
        self.passes = 1
        self.scorer = None

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Counts the queries, after the checks that a real engine makes."""
        for query in queries:
            check(query, self.entry)
            self.lengths.append(query.fed)
            self.asked += len(query.positions)
        self.calls += 1
        self.largest = max(self.largest, sum(len(query.ids) for query in queries))
        return []

    @property
    def holds(self) -> bool:
        """Whether keys and values can be kept: whether it is a network."""
        return self.entry.gradients

    def repeat(self, queries: Sequence[Query], times: Sequence[int]) -> None:
        """Counts each query so many times more: the further steps of known courses."""
        for query, number in zip(queries, times, strict=True):
            self.lengths += [query.fed] * number
            self.asked += number * len(query.positions)
        self.calls += max(times, default=0)

    def attribute(
        self, queries: Sequence[Query], method: gradients.Method = "grad-norm", ig_steps: int = 32
    ) -> list[Attribution]:
        """Counts and checks the queries likewise; each takes a way back too, or many (`passes`)."""
        self.ask(queries)
        # weights collect no gradients: the way back costs about as much as the way there
        self.passes = 2 * (ig_steps if method == "integrated-gradients" else 1)
        return []
