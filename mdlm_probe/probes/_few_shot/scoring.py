"""How answers to few-shot questions are scored: what every way of scoring does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from mdlm_probe.engine.queries import Answer, Asker, Query, Readout

if TYPE_CHECKING:
    from mdlm_probe.prompts.few_shot_sets import Example
    from mdlm_probe.prompts.prompt import Prompt

READOUTS = (Readout("entropy"), Readout("top_id"), Readout("top_logprob"))
"""What is read at every answer, besides the options' log-probabilities."""

Found = TypeVar("Found")


class ScoringQueries(NamedTuple):
    """What is asked to score a test point.

    Attributes:
        query: the test point's prompt with whatever is appended.
        queries: what is asked; just that one where a token answers.
        paths: for each choice of several tokens, where their log-probabilities are: the number of a
            query, and the place in its readout "chosen".
    """

    query: Query
    queries: tuple[Query, ...]
    paths: tuple[tuple[tuple[int, int], ...], ...] = ()


class Scoring(Protocol):
    """A way of scoring; `source` is a set that is scored in this way."""

    def query(
        self, asker: Asker, source: Any, example: Example, asked: Prompt, answer: str, name: str
    ) -> Query:
        """A prompt that asks for the first token of the answer.

        Args:
            asker: the engine.
            source, example: the set, and its test point.
            asked: the prompt.
            answer: "letter" or "word".
            name: the cell's key.
        """

    def spread(
        self, asker: Asker, source: Any, example: Example, query: Query, steps: int
    ) -> ScoringQueries:
        """All that is asked of a test point whose masks are filled in so many steps.

        Raises:
            ProbeError: what can't be scored in several steps.
        """

    def row(
        self,
        asker: Asker,
        source: Any,
        example: Example,
        asked: ScoringQueries,
        answers: Sequence[Answer],
        answer: str,
    ) -> dict[str, Any]:
        """The columns of an answered test point."""


def grouped(asks: Sequence[ScoringQueries], found: Sequence[Found]) -> Iterator[list[Found]]:
    """What was found for each test point's queries."""
    left = iter(found)
    for one in asks:
        yield list(islice(left, len(one.queries)))
