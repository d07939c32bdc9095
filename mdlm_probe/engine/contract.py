"""What probes may ask of an engine, whether a network answers or a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from mdlm_probe.engine.multi_step import Answering, Found, Work
from mdlm_probe.engine.queries import Asker, Attribution, Query

if TYPE_CHECKING:
    from mdlm_probe.engine.gradients import Method


class AskingEngine(Asker, Answering, Protocol):
    """Whatever answers queries about a checkpoint."""

    @property
    def has_kv_cache(self) -> bool:
        """Whether keys and values can be kept between passes: whether it is a network."""

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens whose keys and values may be kept at a time, where they can be."""


class AnyEngine(AskingEngine, Protocol):
    """An engine over a network, or a dry run: both answer alike, and no probe asks which it is."""

    @property
    def scorer(self) -> AnyEngine | None:
        """An engine over a causal model that scores what this one writes, or None."""

    def attribute(
        self, queries: Sequence[Query], method: Method = "grad-norm", ig_steps: int = 32
    ) -> list[Attribution]:
        """Scores of every token of each query, in the order asked."""

    def run(self, works: Sequence[Work[Found]], beside: Sequence[Work[Found]] = ()) -> list[Found]:
        """The results of multi-step works, and then of those that are needed `beside` them.

        A plan counts a sample of cells: what is needed beside them is a cell of its own elsewhere.
        """
