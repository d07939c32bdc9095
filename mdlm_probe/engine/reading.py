"""Reading a batch: asked states are scored chunk by chunk, and each chunk is reduced while there.

So a position's distribution never travels as a whole unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import memory, readouts
from mdlm_probe.engine.batches import check_blocks
from mdlm_probe.engine.queries import Answer, Block, Query, Readout

if TYPE_CHECKING:
    import numpy as np

    from mdlm_probe.models._base import Model
    from mdlm_probe.models._checkpoint import Checkpoint

Score = Callable[[Tensor], Tensor]
"""States [asked, width] in, rows of log-probabilities [asked, vocabulary] out."""

Owner = tuple[int, int]
"""Whose a row is: the number of its query in the batch, and its position."""


class _Taker(NamedTuple):
    """Rows of a chunk, from `first` to before `last`, that one query wants reduced."""

    first: int
    last: int
    query: int


Pieces = list[dict[Readout, list[Tensor]]]
"""Of each query, what its readouts gave so far, chunk by chunk."""


def read(
    model: Model, batch: Sequence[Query], score: Score, states: Float[Tensor, "asked width"]
) -> list[Answer]:
    """The answers to a batch's queries.

    Args:
        model: whose states they are.
        batch: the queries.
        score: makes rows of states.
        states: of all asked positions, query by query.

    Raises:
        ProbeError: a logit that is no finite number, or a block of too many rows.
    """
    chunk = max(1, memory.ROW_BYTES // (4 * model.vocab))
    owners = [(i, place) for i, query in enumerate(batch) for place in query.positions]
    pieces: Pieces = [{readout: [] for readout in query.readouts} for query in batch]
    for start in range(0, len(owners), chunk):
        rows = score(states[start : start + chunk])
        part = owners[start : start + chunk]
        _check_numbers(rows, batch, part, model.entry)
        _reduce(rows, batch, part, pieces)
    own = states.split([len(query.positions) for query in batch])
    return [
        Answer(
            {readout: torch.cat(parts).cpu().numpy() for readout, parts in found.items()}
            | _read_blocks(model, query, score, part)
        )
        for query, found, part in zip(batch, pieces, own, strict=True)
    ]


def _read_blocks(
    model: Model, query: Query, score: Score, states: Float[Tensor, "asked width"]
) -> dict[Block, np.ndarray]:
    """Scores a block's rows once more, for themselves: chunks may cut through a query."""
    found = {}
    for block in query.blocks:
        check_blocks(query, model.vocab)
        rows = score(states[list(block.places)])
        found[block] = getattr(readouts, block.name)(rows, *block.args).cpu().numpy()
    return found


def _reduce(
    rows: Float[Tensor, "asked vocab"],
    batch: Sequence[Query],
    owners: Sequence[Owner],
    pieces: Pieces,
) -> None:
    """Applies each readout once to all rows that want it, not once a query."""
    takers: dict[Readout, list[_Taker]] = {}
    first = 0
    for number, part in groupby(owners, key=itemgetter(0)):
        last = first + len(list(part))
        for readout in pieces[number]:
            takers.setdefault(readout, []).append(_Taker(first, last, number))
        first = last
    for readout, own in takers.items():
        wanted = [i for taker in own for i in range(taker.first, taker.last)]
        args = readout.args
        if readout.name in readouts.PLACED:
            places = torch.tensor([owners[i][1] for i in wanted]).to(rows.device)
            args = (places, *args)
        taken = rows if len(wanted) == len(rows) else rows[wanted]
        values = getattr(readouts, readout.name)(taken, *args)
        sizes = [taker.last - taker.first for taker in own]
        for taker, piece in zip(own, values.split(sizes), strict=True):
            pieces[taker.query][readout].append(piece)


def _check_numbers(
    rows: Float[Tensor, "asked vocab"],
    batch: Sequence[Query],
    owners: Sequence[Owner],
    entry: Checkpoint,
) -> None:
    """Refuses rows with other than finite numbers, but for the mask's."""
    impossible = 0 if entry.mask_id is None else 1
    bad = rows.isfinite().sum(-1) < rows.shape[-1] - impossible
    if bad.any():
        raise no_number("logit", batch[owners[int(bad.nonzero()[0])][0]], entry)


def no_number(what: str, query: Query, entry: Checkpoint) -> ProbeError:
    """The error for a logit or gradient that is no finite number."""
    return ProbeError(
        f"'{entry.name}' gave a {what} that is no finite number, in cell {query.name}",
        expected=f"finite {what}s",
        hint="try --dtype float32; if that fails too, the weights are damaged",
    )
