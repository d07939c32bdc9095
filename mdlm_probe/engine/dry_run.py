"""The dry run: an engine without a network, which counts what it is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.batches import distinct
from mdlm_probe.engine.likely_answers import LikelyAnswers
from mdlm_probe.engine.multi_step import Found, Pass, Work
from mdlm_probe.engine.queries import Answer, Attribution, Query
from mdlm_probe.models._border import Border
from mdlm_probe.models._checkpoint import Checkpoint

if TYPE_CHECKING:
    from mdlm_probe.core.errors import TooLong
    from mdlm_probe.engine.gradients import Method


class FirstAsked(Exception):
    """A dry run has seen the first thing that was asked, and no more was wanted."""


class DryRun:
    """An engine without a network: counts queries, and answers with arrays of the right shapes.

    Args:
        entry, border: the model's.
        sharing: whether queries that one pass answers are counted once, as an engine asks them.
        lenient: whether queries longer than the context are answered, and noted, not refused.
        first_only: whether it ends at the first thing asked, with `FirstAsked`: a masked model's
            sequences are as long in every later pass.

    Attributes:
        lengths: tokens through the network, of each query so far.
        asked: positions asked in all of them.
        largest: most tokens of sequences that were asked at once.
        longest: most tokens of one sequence.
        sizes: most tokens of a query, by its name.
        too_long: queries longer than the context, by name, where `lenient`.
        passes: forward passes that a query costs about.
        calls: how often something was asked.
        keeps_kv: whether keys and values are kept between passes.
        scorer: None: what a scorer costs is counted from its answers' lengths.
    """

    def __init__(
        self,
        entry: Checkpoint,
        border: Border,
        *,
        sharing: bool = True,
        lenient: bool = False,
        first_only: bool = False,
    ) -> None:
        self._first_only = first_only
        self.entry, self.border, self._sharing = entry, border, sharing
        self.lengths: list[int] = []
        self.asked = self.largest = self.longest = self.calls = 0
        self.passes = 1
        self.keeps_kv = False
        self.scorer = None
        self._likely = LikelyAnswers(entry, border)
        self.sizes = self._likely.sizes
        self.too_long: dict[str, TooLong] = {}
        if lenient:
            self._likely.too_long = self.too_long

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Counts the queries after the checks that a real engine makes, and answers them.

        Raises:
            ProbeError: a query longer than the context, or a block of too many rows.
        """
        answers = self._likely.ask(queries)
        self.longest = max([self.longest, *(len(query.ids) for query in queries)])
        self._send(distinct(queries, self.entry)[0] if self._sharing else queries)
        if self._first_only:
            raise FirstAsked
        return answers

    def attribute(
        self, queries: Sequence[Query], method: Method = "grad-norm", ig_steps: int = 32
    ) -> list[Attribution]:
        """Counts and checks the queries likewise; each takes a way back too, or many (`passes`)."""
        self._likely.ask(queries)
        self._send(queries)
        # weights collect no gradients: the way back costs about as much as the way there
        integrated = method == "integrated-gradients"
        self.passes = 2 * (ig_steps if integrated else 1)
        gap = 0.0 if integrated else None
        return [
            Attribution(np.ones(len(query.ids), dtype=np.float32), self._likely.token, 0.0, gap)
            for query in queries
        ]

    def run(self, works: Sequence[Work[Found]], beside: Sequence[Work[Found]] = ()) -> list[Found]:
        """Counts as many passes as the works may take, and finds likely results in fewer.

        Works `beside` them aren't counted: they are cells of their own elsewhere in the plan.
        """
        self.keeps_kv = self.keeps_kv or any(work.kv_cache_tokens for work in works)
        steps = zip_longest(*(work.passes() for work in works), fillvalue=())
        for number, step in enumerate(steps):
            self._count([one for passes in step for one in passes], begins=not number)
        brief = [work.brief() for work in (*works, *beside)]
        if self._first_only:
            self._likely.ask(next(multi_step.side_by_side(brief), []))
            raise FirstAsked
        return multi_step.run(self._likely, brief)

    @property
    def has_kv_cache(self) -> bool:
        """Whether keys and values can be kept: whether it is a network."""
        return self.entry.gradients

    @property
    def kv_cache_tokens(self) -> int:
        """As many as are asked for."""
        return sys.maxsize

    def _send(self, queries: Sequence[Query]) -> None:
        self._count([_pass(query) for query in queries], begins=True)

    def _count(self, passes: Sequence[Pass], begins: bool) -> None:
        self.calls += 1
        self.lengths += [one.network_tokens for one in passes]
        self.asked += sum(one.asked for one in passes)
        self.longest = max([self.longest, *(one.tokens for one in passes)])
        if begins:
            self.largest = max(self.largest, sum(one.tokens for one in passes))


def _pass(query: Query) -> Pass:
    return Pass(len(query.ids), query.network_tokens, len(query.positions))
