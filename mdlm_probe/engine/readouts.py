"""Pure tensor functions. Those that take `rows`, log-probabilities by position, are readouts.

Readouts that give one value a row serve `queries.Readout`; those that put all rows of a query
together (`divergences`, `mean`) serve `queries.Block`.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.engine.noise import gumbel
from mdlm_probe.models._device import on

GROUP = 1024
"""Tokens of a group. What is wanted of a whole row is found group by group, then in one of them."""

PART = {"cpu": 2**22, "cuda": 2**26}
"""Probabilities that a draw makes at a time."""


def entropy(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " asked"]:
    """Shannon entropy of every row, in nats; impossible tokens add nothing."""
    return -torch.where(rows.isneginf(), 0.0, rows.exp() * rows).sum(-1)


def top_id(rows: Float[Tensor, "asked vocab"]) -> Int[Tensor, " asked"]:
    """The most probable token of every row; the lowest id among equals."""
    if rows.shape[-1] <= GROUP:
        return rows.argmax(-1)
    # the largest of a group takes a quarter of the time that its place does, on a CPU
    largest = torch.cat([part.amax(-1) for part in _groups(rows)], dim=-1)
    group = largest.argmax(-1)
    return group * GROUP + _of_group(rows, group).argmax(-1)


def top_logprob(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " asked"]:
    """Log-probability of the most probable token of every row, in nats."""
    return rows.amax(-1)


def top_ids(rows: Float[Tensor, "asked vocab"], count: int) -> Int[Tensor, "asked count"]:
    """The most probable tokens of every row, most probable first; all, of a small vocabulary."""
    return rows.topk(min(count, rows.shape[-1])).indices


def top_logprobs(rows: Float[Tensor, "asked vocab"], count: int) -> Float[Tensor, "asked count"]:
    """Log-probabilities of the most probable tokens of every row, in nats, largest first."""
    return rows.topk(min(count, rows.shape[-1])).values


def chosen(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, "asked chosen"]:
    """Log-probabilities of the chosen tokens, in nats."""
    return rows[:, _columns(rows, ids)]


def mass(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, " asked"]:
    """Probability that the token is one of a set, between 0 and 1."""
    return rows[:, _columns(rows, tuple(dict.fromkeys(ids)))].exp().sum(-1)


def drawn(rows: Float[Tensor, "asked vocab"], share: float) -> Int[Tensor, " asked"]:
    """The token at a share (0 to 1) of every row's cumulative probability, in the order of ids.

    With an evenly random share, a sample of the row.
    """
    cumulative = rows.exp().cumsum(-1)
    # a share that float32 rounds to 1 would fall behind the last token
    at = cumulative[:, -1:] * min(share, 1 - 2**-23)
    return torch.searchsorted(cumulative, at, right=True)[:, 0].clamp(max=rows.shape[-1] - 1)


def whole(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
    """The rows themselves: vocabulary-sized, so ask for few."""
    return rows


# ---------------------------------------------------------------------- rows with their positions

PLACED = ("own", "own_tokens", "candidates", "other")
"""Readouts that are told the position of every row, too."""

Confidence = Literal["probability", "margin", "entropy"]


def own(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    first: int,
    *ids: int,
) -> Float[Tensor, " asked"]:
    """Log-probability of every position's own token, in nats: `ids` are those from `first` on.

    Positions beyond are another query's that shares the sequence; nobody looks at what they get.
    """
    at = (positions - first).clamp(0, len(ids) - 1)
    tokens = _columns(rows, ids)[at]
    return rows.gather(1, tokens[:, None])[:, 0]


def own_tokens(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    first: int,
    *ids: tuple[int, ...],
) -> Float[Tensor, "asked tokens"]:
    """Log-probabilities of several tokens of every position's own, in nats; `first` as in `own`."""
    table = on(rows.device, torch.tensor(ids, dtype=torch.long))
    return rows.gather(1, table[(positions - first).clamp(0, len(ids) - 1)])


def candidates(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    measure: Confidence = "probability",
    temperature: float = 0.0,
    seed: int = 0,
    never: tuple[int, ...] = (),
    last: tuple[int, ...] = (),
    tempered: bool = False,
    top_p: float = 1.0,
    top_k: int = 0,
    top_p_first: bool = False,
) -> Float[Tensor, "asked 3"]:
    """What would be committed at every position: token, its log-probability, its confidence.

    Args:
        rows: log-probabilities.
        positions: of the rows, for the noise.
        measure: confidence as the token's log-probability (nats), the largest probability minus the
            second largest, or minus the entropy (nats).
        temperature: 0 takes the most probable token; T samples from the T-th root of the
            distribution, by Gumbel noise.
        seed: of the noise, which depends on it, the position and the token (or its group) alone.
        never: tokens that are not predicted, as if they had no probability.
        last: tokens whose confidence is minus infinity; the others' is as if those had no
            probability (what the published loop does at temperature 0, here at any).
        tempered: whether confidence is that of the distribution at this temperature (as Dream has
            it), not of the model's own (as LLaDA has it).
        top_p, top_k, top_p_first: see `truncated`, at this temperature. Tokens and confidence are
            of what is kept; the log-probability is the model's own.
    """
    rows = own = without(rows, never)
    if top_p < 1 or top_k:
        rows = truncated(rows, temperature or 1.0, top_p, top_k, top_p_first)
    tokens = top_id(rows) if temperature == 0 else _drawn(rows, positions, temperature, seed)
    logps = own.gather(1, tokens[:, None])[:, 0]
    known = normalised(rows / temperature) if tempered and temperature > 0 else rows
    known = without(known, last)
    if measure == "probability":
        confidence = known.gather(1, tokens[:, None])[:, 0]
    elif measure == "margin":
        first, second = known.topk(2).values.exp().unbind(1)
        confidence = first - second
    else:
        confidence = -entropy(known)
    if last:
        ends = torch.isin(tokens, _columns(rows, last))
        confidence = confidence.masked_fill(ends, -torch.inf)
    # ids of any vocabulary are exact in float32
    return torch.stack([tokens.float(), logps.float(), confidence.float()], dim=1)


def other(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    seed: int,
    never: tuple[int, ...] = (),
) -> Int[Tensor, " asked"]:
    """A sample of every row from all tokens but the most probable one."""
    rows = without(rows, never)
    return _drawn(rows.scatter(1, rows.argmax(-1, keepdim=True), -torch.inf), positions, 1.0, seed)


def without(
    rows: Float[Tensor, "asked vocab"], never: tuple[int, ...]
) -> Float[Tensor, "asked vocab"]:
    """Rows as if some tokens had no probability; the same rows if there are none."""
    if not never:
        return rows
    index = _columns(rows, never)
    return normalised(rows.index_fill(1, index, -torch.inf))


def truncated(
    rows: Float[Tensor, "asked vocab"],
    temperature: float,
    top_p: float,
    top_k: int,
    top_p_first: bool = False,
) -> Float[Tensor, "asked vocab"]:
    """Rows as if all but their most probable tokens had no probability.

    Args:
        rows: log-probabilities.
        temperature: at which shares are counted.
        top_p: the fewest most probable tokens whose shares exceed it together are kept, the lowest
            ids among equals; 1: all.
        top_k: so many are kept, and what equals the last of them; 0: all.
        top_p_first: whether `top_p` is of the whole distribution, as Dream has it, not of what
            `top_k` leaves, as SDAR has it.
    """
    for name in ("p", "k") if top_p_first else ("k", "p"):
        if name == "k" and 0 < top_k < rows.shape[-1]:
            least = rows.topk(top_k).values[:, -1:]
            rows = rows.masked_fill(rows < least, -torch.inf)
        if name == "p" and top_p < 1:
            values, ids = rows.div(temperature).sort(dim=-1, descending=True, stable=True)
            beyond = values.softmax(-1).cumsum(-1).roll(1, dims=-1) > top_p
            beyond[:, 0] = False
            rows = rows.masked_fill(torch.zeros_like(beyond).scatter(1, ids, beyond), -torch.inf)
    return normalised(rows)


def normalised(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
    """Rows that sum to one again."""
    return torch.log_softmax(rows, dim=-1)


def _drawn(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    temperature: float,
    seed: int,
) -> Int[Tensor, " asked"]:
    """A sample of every row at a temperature: a group of tokens first, then one of its tokens.

    Each time that whose log-probability plus Gumbel noise is largest. A row takes noise for its
    groups and for one group's tokens, not for the whole vocabulary; where logits change a little,
    so do few draws. A vocabulary of one group takes noise for its tokens, as it would anyhow.
    """
    size = max(1, PART.get(rows.device.type, PART["cpu"]) // rows.shape[1])
    parts = zip(rows.split(size), positions.split(size), strict=True)
    return torch.cat([_drawn_part(part, places, temperature, seed) for part, places in parts])


def _drawn_part(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    temperature: float,
    seed: int,
) -> Int[Tensor, " asked"]:
    # Apple's GPUs have no float64
    wide = "cpu" if rows.device.type == "mps" else rows.device
    positions, count = positions.to(wide), rows.shape[1]
    group = torch.zeros_like(positions)
    if count > GROUP:
        shares = rows.sub(rows.amax(-1, keepdim=True)).div_(temperature).exp_()
        sums = torch.cat([part.sum(-1) for part in _groups(shares)], dim=-1).to(wide).double()
        # behind those of the tokens: no number is used twice
        group = (sums.log() + gumbel(seed, positions, sums.shape[1], count)).argmax(-1)
    own = _of_group(rows, group.to(rows.device)).to(wide).double()
    noise = gumbel(seed, positions, own.shape[1], group * GROUP)
    return (group * GROUP + (own + temperature * noise).argmax(-1)).to(rows.device)


def _columns(rows: Float[Tensor, "asked vocab"], ids: tuple[int, ...]) -> Int[Tensor, " ids"]:
    return on(rows.device, torch.tensor(ids, dtype=torch.long))  # of no ids, too


def _groups(rows: Float[Tensor, "asked vocab"]) -> list[Float[Tensor, "asked groups tokens"]]:
    """All whole groups of tokens, and what is left as one more."""
    whole = rows.shape[-1] // GROUP * GROUP
    parts = [rows[:, :whole].unflatten(1, (-1, GROUP)), rows[:, None, whole:]]
    return [part for part in parts if part.shape[1] and part.shape[2]]


def _of_group(
    rows: Float[Tensor, "asked vocab"], group: Int[Tensor, " asked"]
) -> Float[Tensor, "asked tokens"]:
    """One group of each row; minus infinity behind the vocabulary's end."""
    count = rows.shape[-1]
    tokens = group[:, None] * GROUP + torch.arange(min(GROUP, count), device=rows.device)
    found = rows.gather(1, tokens.clamp(max=count - 1))
    return found.masked_fill(tokens >= count, -torch.inf)


# ---------------------------------------------------------------------- rows together


TEMPORARIES = 20
"""Tensors of pairs x columns that `divergences` holds at a time, at most; measured on a CPU."""


def mean(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " vocab"]:
    """Probabilities (no logarithms) of the rows' even mixture."""
    return rows.exp().mean(0)


def divergences(
    rows: Float[Tensor, "asked vocab"], pairs: tuple[tuple[int, int], ...], memory: int
) -> Float[Tensor, "pairs 2"]:
    """Jensen-Shannon divergence (nats) and total variation (0 to 1) of pairs of rows.

    With m = (p + q) / 2 and t = (p - q) / 2m, a token adds m/2 ((1+t) ln(1+t) + (1-t) ln(1-t)) to
    the first and m |t| to the second: nothing large cancels where p and q are close.

    Args:
        rows: log-probabilities.
        pairs: places of two rows each.
        memory: bytes that intermediate results may take. Pairs x vocabulary is done in pieces.
    """
    found = rows.new_zeros(len(pairs), 2)
    fitting = max(1, memory // (TEMPORARIES * rows.element_size()))
    some = min(len(pairs), fitting)
    columns = max(1, fitting // (some + len(rows)))
    sides = [_columns(rows, side) for side in zip(*pairs, strict=True)]
    for begin in range(0, rows.shape[-1], columns):
        shares = rows[:, begin : begin + columns].exp()
        for first in range(0, len(pairs), some):
            p, q = (shares[side[first : first + some]] for side in sides)
            middle, gap = (p + q) / 2, (p - q) / 2
            tilt = gap / middle.clamp(min=torch.finfo(middle.dtype).tiny)
            logs = _xlogx(1 + tilt, tilt) + _xlogx(1 - tilt, -tilt)
            part = torch.stack([(middle * logs).sum(-1) / 2, gap.abs().sum(-1)], dim=-1)
            found[first : first + some] += part
    return found


def _xlogx(
    value: Float[Tensor, "pairs columns"], less: Float[Tensor, "pairs columns"]
) -> Float[Tensor, "pairs columns"]:
    """x ln x of x = 1 + less, 0 at 0."""
    return torch.where(value > 0, value * torch.log1p(less.clamp(min=-1 + 2**-24)), 0.0)
