"""A forward pass of a batch: padded, guided or with keys and values kept, and read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.engine import reading, readouts
from mdlm_probe.engine.attention_readouts import Layers
from mdlm_probe.engine.queries import Answer, Query
from mdlm_probe.models._base import (
    AttendingModel,
    CachingModel,
    MaskScoring,
    Model,
    TwoStreamModel,
)
from mdlm_probe.models._device import on


def forward(model: Model, batch: Sequence[Query]) -> Callable[[], list[Answer]]:
    """Starts a pass of queries of one kind; what is returned waits for the answers."""
    ids, lengths = padded([query.ids for query in batch])
    places = [(row, p) for row, query in enumerate(batch) for p in query.positions]
    rows, positions = torch.tensor(places, dtype=torch.long).view(-1, 2).unbind(1)
    origins = origins_of(batch)
    layers = Layers(batch, model.device)
    with torch.inference_mode():
        if batch[0].kv_cache is not None:
            states = _states_with_cache(model, batch, ids, lengths, rows, positions, origins)
        elif batch[0].clean:
            states = _states_beside_clean(model, batch, ids, rows, positions, origins)
        elif batch[0].opens_attention:
            assert isinstance(model, AttendingModel), "no network"
            removed = [query.removed for query in batch]
            states = model.states_with_attention(
                *(on(model.device, ids), lengths, rows, positions, removed, layers.take), origins
            )
        else:
            states = model.states(on(model.device, ids), lengths, rows, positions, origins)
        if not places:  # what is computed was to be stored, or attention alone was to be read
            return layers.beside(lambda: [Answer() for _ in batch])
        guidances = [query.guidance for query in batch if query.guidance]
        counts = batch[0].count_mask
        score = _scoring(model, counts)
        if not guidances:
            own = partial(_without_mask, model.entry.mask_id, score) if counts else score
            return layers.beside(reading.read(model, batch, own, states))
        for row, guidance in enumerate(guidances):
            ids[row, list(guidance.hidden)] = model.entry.mask
        blind = model.states(on(model.device, ids), lengths, rows, positions, origins)
        scales = torch.tensor([[guidance.scale] for guidance in guidances])[rows]
        # in float32, which holds all of bfloat16 and the scales
        both = [states.float(), blind.float(), on(states.device, scales).float()]
        guided = partial(_guided, score, dtype=states.dtype)
        own = partial(_without_mask, model.entry.mask_id, guided) if counts else guided
        return reading.read(model, batch, own, torch.cat(both, dim=1))


def padded(
    texts: Sequence[tuple[int, ...]],
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, " batch"]]:
    """Ids, zero where no one looks, and how many of each row are real; on the host."""
    lengths = [len(text) for text in texts]
    ids = torch.zeros(len(texts), max(lengths), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    return ids, torch.tensor(lengths)


def origins_of(batch: Sequence[Query]) -> Int[Tensor, " batch"] | None:
    """Offsets of block boundaries, on the host; None where all are 0."""
    found = [query.origin for query in batch]
    return torch.tensor(found) if any(found) else None


def _states_with_cache(
    model: Model,
    batch: Sequence[Query],
    ids: Int[Tensor, "batch length"],
    lengths: Int[Tensor, " batch"],
    rows: Int[Tensor, " asked"],
    positions: Int[Tensor, " asked"],
    origins: Int[Tensor, " batch"] | None,
) -> Float[Tensor, "asked width"]:
    assert isinstance(model, CachingModel), "no keys and values to keep"
    computed = torch.tensor([query.computed for query in batch]) if batch[0].computed else None
    caches = [query.kv_cache for query in batch if query.kv_cache is not None]
    ids, read_only = on(model.device, ids), batch[0].read_only
    return model.states_with_cache(
        ids, lengths, computed, rows, positions, caches, origins, read_only
    )


def _states_beside_clean(
    model: Model,
    batch: Sequence[Query],
    ids: Int[Tensor, "batch length"],
    rows: Int[Tensor, " asked"],
    positions: Int[Tensor, " asked"],
    origins: Int[Tensor, " batch"] | None,
) -> Float[Tensor, "asked width"]:
    assert isinstance(model, TwoStreamModel), "no network"
    clean, lengths = padded([query.clean for query in batch])
    computed = torch.tensor([query.computed for query in batch])
    given = on(model.device, ids), on(model.device, clean), lengths, computed
    return model.states_beside_clean(*given, rows, positions, origins)


def _scoring(model: Model, count_mask: bool) -> reading.Score:
    """What makes rows of states; the mask's own logit counts where that is wanted and there is one:
    an exact model gives it no probability.
    """
    if count_mask and isinstance(model, MaskScoring):
        return model.masked_logprobs
    return model.logprobs


def _without_mask(
    mask: int | None, score: reading.Score, states: Float[Tensor, "asked width"]
) -> Float[Tensor, "asked vocab"]:
    """Rows in which the mask is never predicted, whatever it counted for."""
    rows = score(states)
    if mask is not None:
        rows[:, mask] = -torch.inf
    return rows


def _guided(
    score: reading.Score, both: Float[Tensor, "asked both"], dtype: torch.dtype
) -> Float[Tensor, "asked vocab"]:
    """Rows moved away from those that don't see the prompt; see `queries.Guidance`."""
    seeing, blind = both[:, :-1].to(dtype).chunk(2, dim=1)
    rows, without = score(seeing), score(blind)
    moved = without + (both[:, -1:] + 1) * (rows - without)
    return readouts.normalised(torch.where(rows.isneginf(), rows, moved))
