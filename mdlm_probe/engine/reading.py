"""Reading a batch: asked states are scored chunk by chunk, and each chunk is reduced while there.

So a position's distribution never travels as a whole unless it is asked for, and what is read of a
batch leaves the device together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import memory, readouts
from mdlm_probe.engine.batches import check_blocks
from mdlm_probe.engine.queries import Answer, Attribution, Block, Query, Readout
from mdlm_probe.engine.transfer import Copies
from mdlm_probe.models._device import on

if TYPE_CHECKING:
    from mdlm_probe.engine.gradients import Attributed
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


class _Read(NamedTuple):
    """What one readout or block gave, on the device, and whose it is: query and rows, in order."""

    asked: Readout | Block
    values: Tensor
    whose: list[tuple[int, int]]


def read(
    model: Model, batch: Sequence[Query], score: Score, states: Float[Tensor, "asked width"]
) -> Callable[[], list[Answer]]:
    """Starts reading; what is returned waits for the answers to a batch's queries.

    Args:
        model: whose states they are.
        batch: the queries.
        score: makes rows of states.
        states: of all asked positions, query by query.

    Raises:
        ProbeError: a block of too many rows; and, when waited for, a logit that is no finite
            number.
    """
    chunk = max(1, memory.ROW_BYTES // (4 * model.vocab))
    owners = [(i, place) for i, query in enumerate(batch) for place in query.positions]
    sums: list[Tensor] = []
    found: list[_Read] = []
    for start in range(0, len(owners), chunk):
        rows = score(states[start : start + chunk])
        sums.append(_sums(rows, model.entry.mask_id))
        found += _reduced(rows, batch, owners[start : start + chunk])
    found += _read_blocks(model, batch, score, states)
    copies = Copies([torch.cat(sums), *(one.values for one in found)])
    whose = [(one.asked, one.whose) for one in found]
    doubts = partial(_check_doubtful, model.entry, batch, owners, score, states)
    return partial(_answers, batch, copies, whose, doubts)


def _answers(
    batch: Sequence[Query],
    copies: Copies,
    whose: Sequence[tuple[Readout | Block, list[tuple[int, int]]]],
    check_doubtful: Callable[[np.ndarray], None],
) -> list[Answer]:
    sums, *arrays = copies.arrays()
    check_doubtful(np.flatnonzero(~np.isfinite(sums)))
    pieces: list[dict[Readout | Block, list[np.ndarray]]] = [{} for _ in batch]
    for query, own in zip(batch, pieces, strict=True):  # in the order asked
        own.update({readout: [] for readout in query.readouts})
        own.update({block: [] for block in query.blocks})
    for (asked, owners), values in zip(whose, arrays, strict=True):
        begin = 0
        for number, rows in owners:
            pieces[number][asked].append(values[begin : begin + rows])
            begin += rows
    # an answer's own: a view would keep the whole batch in memory
    return [
        Answer((asked, np.concatenate(parts)) for asked, parts in own.items()) for own in pieces
    ]


def _read_blocks(
    model: Model, batch: Sequence[Query], score: Score, states: Float[Tensor, "asked width"]
) -> Iterator[_Read]:
    """Scores a block's rows once more, for themselves: chunks may cut through a query."""
    own = states.split([len(query.positions) for query in batch])
    for number, (query, part) in enumerate(zip(batch, own, strict=True)):
        for block in query.blocks:
            check_blocks(query, model.vocab)
            rows = score(part[on(part.device, block.places)])
            values = getattr(readouts, block.name)(rows, *block.args)
            yield _Read(block, values, [(number, len(values))])


def _reduced(
    rows: Float[Tensor, "asked vocab"], batch: Sequence[Query], owners: Sequence[Owner]
) -> Iterator[_Read]:
    """Applies each readout once to all rows that want it, not once a query."""
    takers: dict[Readout, list[_Taker]] = {}
    first = 0
    for number, part in groupby(owners, key=itemgetter(0)):
        last = first + len(list(part))
        for readout in batch[number].readouts:
            takers.setdefault(readout, []).append(_Taker(first, last, number))
        first = last
    alike: dict[tuple[_Taker, ...], list[Readout]] = {}
    for readout, own in takers.items():
        alike.setdefault(tuple(own), []).append(readout)
    for takers_of_all, asked in alike.items():
        taken, places = _taken(rows, owners, takers_of_all)
        whose = [(taker.query, taker.last - taker.first) for taker in takers_of_all]
        for readout in asked:
            args = (places, *readout.args) if readout.name in readouts.PLACED else readout.args
            values = getattr(readouts, readout.name)(taken, *args)
            if values is taken and len(taken) < len(rows):
                values = values.clone()  # a view would keep the whole chunk in memory
            yield _Read(readout, values, whose)


def _taken(
    rows: Float[Tensor, "asked vocab"], owners: Sequence[Owner], takers: Sequence[_Taker]
) -> tuple[Float[Tensor, "taken vocab"], Int[Tensor, " taken"]]:
    """Some rows of a chunk and their positions; without a copy where they stand together."""
    wanted = [i for taker in takers for i in range(taker.first, taker.last)]
    first, last = takers[0].first, takers[-1].last
    places = on(rows.device, [owners[i][1] for i in wanted])
    if len(wanted) == last - first:
        return rows[first:last], places
    return rows[on(rows.device, wanted)], places


def _sums(rows: Float[Tensor, "asked vocab"], mask: int | None) -> Float[Tensor, " asked"]:
    """Sums of all but the mask's column: no number where a number is none, or where it overflows.

    On a CPU this takes a fortieth of the time that counting finite numbers does.
    """
    if mask is None:
        return rows.sum(-1)
    return rows[:, :mask].sum(-1) + rows[:, mask + 1 :].sum(-1)


def _check_doubtful(
    entry: Checkpoint,
    batch: Sequence[Query],
    owners: Sequence[Owner],
    score: Score,
    states: Float[Tensor, "asked width"],
    doubtful: np.ndarray,
) -> None:
    """Refuses rows with other than finite numbers, but for the mask's; makes the rows again."""
    impossible = 0 if entry.mask_id is None else 1
    for place in doubtful.tolist():
        with torch.inference_mode():
            row = score(states[place : place + 1])
        if int(row.isfinite().sum()) < row.shape[-1] - impossible:
            raise _no_number("logit", batch[owners[place][0]], entry)


def explained(batch: Sequence[Query], entry: Checkpoint, found: Attributed) -> list[Attribution]:
    """The attributions of a batch's queries.

    Raises:
        ProbeError: a gradient that is no finite number.
    """
    tensors = [found.scores.float(), found.tokens, found.logits]
    tensors += [] if found.gaps is None else [found.gaps]
    scores, tokens, logits, *gaps = Copies(tensors).arrays()
    bad = ~(np.isfinite(scores).all(-1) & np.isfinite(logits))
    if bad.any():
        raise _no_number("gradient", batch[int(bad.nonzero()[0][0])], entry)
    return [
        Attribution(row[: len(query.ids)], token, logit, gap)
        for query, row, token, logit, gap in zip(
            *(batch, scores, tokens.tolist(), logits.tolist()),
            gaps[0].tolist() if gaps else [None] * len(batch),
            strict=True,
        )
    ]


def _no_number(what: str, query: Query, entry: Checkpoint) -> ProbeError:
    """The error for a logit or gradient that is no finite number."""
    return ProbeError(
        f"'{entry.name}' gave a {what} that is no finite number, in cell {query.name}",
        expected=f"finite {what}s",
        hint="try --dtype float32; if that fails too, the weights are damaged",
    )
