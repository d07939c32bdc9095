"""Canvases: texts with masks to be filled in, what a step may do to them, and what became of them.

No torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from mdlm_probe.engine.queries import Query

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Answer, Readout

NO_INTERVENTION = "none"
"""What rows say of an answer that nothing was done to while it was written."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """A text with a window of masks to be filled in.

    Attributes:
        ids: token ids, masks in the window.
        places: positions of the window, left to right; other masks are left as they are.
        name: the cell's key, for error messages.
        origin: where blocks begin; see `Query.origin`.
        extra: masks of the window beyond those that were asked for; see `layout.laid_out`.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    name: str = ""
    origin: int = 0
    extra: int = 0

    def filled(self, tokens: dict[int, int]) -> tuple[int, ...]:
        """The ids with these tokens, by their number in the window."""
        ids = list(self.ids)
        for number, token in tokens.items():
            ids[self.places[number]] = token
        return tuple(ids)

    def query(
        self, tokens: dict[int, int], asked: Iterable[int], readouts: tuple[Readout, ...]
    ) -> Query:
        """Asks of masks, by their number in the window, where these tokens are filled in."""
        places = tuple(self.places[number] for number in asked)
        return Query(self.filled(tokens), places, readouts, self.name, origin=self.origin)


class Step(NamedTuple):
    """A step between choice and commit. Masks are named by their number in the window.

    Attributes:
        number: of the step, from 1.
        chosen: the masks about to be committed and their tokens, left to right.
        logprobs: of these tokens, in nats.
        masked: all masks of the window as they are before the step.
        asked: the masks that were asked, left to right.
        answer: what was read of them, the intervention's own readouts included.
        edits: written places whose tokens are about to be replaced, and the new ones: these were
            asked, too, and no intervention has a say in them.
    """

    number: int
    chosen: dict[int, int]
    logprobs: dict[int, float]
    masked: frozenset[int]
    asked: Sequence[int]
    answer: Answer
    edits: Mapping[int, int] = {}

    def at(self, mask: int) -> int:
        """The number of an asked mask in the answer's arrays."""
        return self.asked.index(mask)


class Intervention(Protocol):
    """What is called in every step between choice and commit."""

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        """What it wants to know of the masks asked in the step of this number."""

    def write(self, step: Step) -> dict[int, int] | None:
        """The tokens to write, by mask; masks of the window only, none twice. None: no more."""


class Watcher(Protocol):
    """What is told in every step what the pass says of all masks that are left; changes nothing.

    Orders that are known beforehand ask of the next masks only, and blocks of their own: a watcher
    has the others read in the same pass. Of masks that the pass doesn't compute (behind a block,
    under block-causal attention or where keys and values are kept) it is told nothing.

    Attributes:
        wanted: the readouts.
    """

    wanted: tuple[Readout, ...]

    def see(self, tokens: Sequence[int], masks: Sequence[int], answer: Answer) -> None:
        """What a step found, before it commits anything.

        Args:
            tokens: of the window as the pass saw it, the mask's id where one is left.
            masks: those that were read, left to right, by their number in the window.
            answer: the readouts' values, a row for each of these.
        """


class Observer:
    """An intervention that asks for nothing."""

    def readouts(self, number: int, asked: Sequence[int]) -> tuple[Readout, ...]:
        """Nothing."""
        return ()


class Edit(NamedTuple):
    """A written token that was replaced.

    Attributes:
        step: that replaced it.
        mask: its number in the window.
        token: that stood there.
        since: the step that had written that one.
    """

    step: int
    mask: int
    token: int
    since: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """A canvas after the loop. All but the counts have a value for each mask.

    Attributes:
        canvas: as it was given.
        tokens: what was written; the mask's id where nothing was.
        steps: the step that wrote it, from 1, the last one where it was edited; 0 where none did.
        candidates: the token predicted there when it was last chosen; -1 where it never was.
        logprobs: that token's log-probability in its step, in nats; NaN where there was none.
        confidences: its confidence by the order's measure; NaN where there was none.
        passes: through the network.
        decided: passes after which the text before the first end of text was whole.
        network_tokens: tokens that went through the network, in all passes.
        edits: written tokens that were replaced, in order.
    """

    canvas: Canvas
    tokens: tuple[int, ...]
    steps: tuple[int, ...]
    candidates: tuple[int, ...]
    logprobs: tuple[float, ...]
    confidences: tuple[float, ...]
    passes: int
    decided: int
    network_tokens: int
    edits: tuple[Edit, ...] = ()

    def at(self, step: int) -> tuple[int, ...]:
        """The ids of the whole canvas after a step; 0 is before the first."""
        known = dict(enumerate(zip(self.tokens, self.steps, strict=True)))
        for edit in reversed(self.edits):
            if edit.step > step:
                known[edit.mask] = (edit.token, edit.since)
        return self.canvas.filled(
            {i: token for i, (token, made) in known.items() if 0 < made <= step}
        )
