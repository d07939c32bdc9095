"""Executors: who works on groups of cells, prompts or calls. Results come in the groups' order.

A group goes through one engine, whoever owns it, and the groups and the budgets of their batches
are settled before: files are the same bytes for any executor and any number of workers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

Item = TypeVar("Item")
Found = TypeVar("Found")

Note = Callable[[str], None]
"""Told what a person should know."""


@dataclass(frozen=True)
class EngineRequest:
    """What an engine is made of.

    Attributes:
        entry, load: the model.
        options: the probe's; they name the scorer.
        batch: budgets of batches that are known already, as run.json has them.
        gradients: whether gradients are taken.
    """

    entry: Checkpoint
    load: LoadOptions
    options: dict[str, Any] = field(default_factory=dict)
    batch: dict[str, Any] = field(default_factory=dict)
    gradients: bool = False


@dataclass(frozen=True)
class GroupResult(Generic[Found]):
    """What came of a group.

    Attributes:
        found: what the work returned.
        events: what happened on the way that a reader of the results should know.
        batch: budgets of batches, as they are now.
        busy: seconds in forward passes and their readouts.
    """

    found: Found
    events: tuple[str, ...]
    batch: dict[str, Any]
    busy: float


class Session(Protocol):
    """Engines over the same model, ready to work."""

    @property
    def facts(self) -> dict[str, dict[str, Any]]:
        """What run.json records of the model and its scorer, by these names."""

    @property
    def batch(self) -> dict[str, Any]:
        """Budgets of batches, as run.json has them."""

    @property
    def workers(self) -> Sequence[dict[str, Any]]:
        """The machine and device of each engine; none in process."""

    def results(
        self,
        work: Callable[[Engine, Sequence[Item]], Found],
        groups: Iterable[Sequence[Item]],
        watch: Callable[[int], None],
    ) -> Iterator[GroupResult[Found]]:
        """What comes of each group, in their order; groups are taken as engines become free.

        Args:
            work: done with a group by one engine; a function of a module, or a partial of one.
            groups: what is worked on.
            watch: told of tokens that went through a network.

        Raises:
            ProbeError: as `work`; and engines that can't be had any more.
            KeyboardInterrupt: Ctrl-C.
        """


class Executor(Protocol):
    """Opens sessions; models are kept from one to the next."""

    def border(self, entry: Checkpoint, load: LoadOptions) -> Any:
        """A checkpoint's tokenizer.

        Raises:
            ProbeError: as `models.load_border`.
        """

    def open(self, request: EngineRequest, note: Note) -> Session:
        """Loads what a request names, and puts away what it doesn't.

        Raises:
            ProbeError: as `models.load`.
        """

    def parts(self, number: int) -> Sequence[Executor]:
        """Executors for as many models at once, or for fewer; the first ones have most workers."""

    def help(self, others: Sequence[Executor]) -> None:
        """Ends this part's workers, and gives their places to other parts that are at work."""

    def close(self) -> None:
        """Puts all models away, and ends what was started."""
