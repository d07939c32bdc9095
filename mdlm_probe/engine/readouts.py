"""Pure tensor functions. Those that take `rows`, log-probabilities by position, are readouts.

Readouts that give one value a row serve `queries.Readout`; those that put all rows of a query
together (`divergences`, `mean`) serve `queries.Block`.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

NOISE = 2**22
"""Random numbers in float64 that are there at a time."""


def entropy(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, " asked"]:
    """Shannon entropy of every row, in nats; impossible tokens add nothing."""
    return -torch.where(rows.isneginf(), 0.0, rows.exp() * rows).sum(-1)


def top_id(rows: Float[Tensor, "asked vocab"]) -> Int[Tensor, " asked"]:
    """The most probable token of every row; the lowest id among equals."""
    return rows.argmax(-1)


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
    return rows[:, list(ids)]


def mass(rows: Float[Tensor, "asked vocab"], *ids: int) -> Float[Tensor, " asked"]:
    """Probability that the token is one of a set, between 0 and 1."""
    return rows[:, list(dict.fromkeys(ids))].exp().sum(-1)


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

PLACED = ("own", "candidates", "other")
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
    tokens = torch.tensor(ids).to(rows.device)[at]
    return rows.gather(1, tokens[:, None])[:, 0]


def candidates(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    measure: Confidence = "probability",
    temperature: float = 0.0,
    seed: int = 0,
    never: tuple[int, ...] = (),
    last: tuple[int, ...] = (),
    tempered: bool = False,
) -> Float[Tensor, "asked 3"]:
    """What would be committed at every position: token, its log-probability, its confidence.

    Args:
        rows: log-probabilities.
        positions: of the rows, for the noise.
        measure: confidence as the token's log-probability (nats), the largest probability minus the
            second largest, or minus the entropy (nats).
        temperature: 0 takes the most probable token; T samples from the T-th root of the
            distribution, by Gumbel noise in float64.
        seed: of the noise; a position's noise depends on nothing else.
        never: tokens that are not predicted, as if they had no probability.
        last: tokens whose confidence is minus infinity; the others' is as if those had no
            probability (what the published loop does at temperature 0, here at any).
        tempered: whether confidence is that of the distribution at this temperature (as Dream has
            it), not of the model's own (as LLaDA has it).
    """
    rows = without(rows, never)
    tokens = top_id(rows) if temperature == 0 else _drawn(rows, positions, temperature, seed)
    logps = rows.gather(1, tokens[:, None])[:, 0]
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
        ends = torch.isin(tokens, torch.tensor(last).to(rows.device))
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
    index = torch.tensor(never).to(rows.device)
    return normalised(rows.index_fill(1, index, -torch.inf))


def normalised(rows: Float[Tensor, "asked vocab"]) -> Float[Tensor, "asked vocab"]:
    """Rows that sum to one again."""
    return torch.log_softmax(rows, dim=-1)


def _drawn(
    rows: Float[Tensor, "asked vocab"],
    positions: Int[Tensor, " asked"],
    temperature: float,
    seed: int,
) -> Int[Tensor, " asked"]:
    """The token whose log-probability plus temperature times Gumbel noise is largest: a sample."""
    home = rows.device
    if home.type == "mps":  # it has no float64
        rows, positions = rows.cpu(), positions.cpu()
    size = max(1, NOISE // rows.shape[1])
    found = []
    for part, places in zip(rows.split(size), positions.split(size), strict=True):
        shares = uniform(seed, places, rows.shape[1])
        found.append((part.double() - temperature * (-shares.log()).log()).argmax(-1))
    return torch.cat(found).to(home)


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
    for begin in range(0, rows.shape[-1], columns):
        shares = rows[:, begin : begin + columns].exp()
        for first in range(0, len(pairs), some):
            p, q = (shares[list(side)] for side in zip(*pairs[first : first + some], strict=True))
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


GOLDEN = 0x9E3779B97F4A7C15
MIXERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
LAST = 31
DIGITS = 52
"""Bits of a random number: with half a step added, float64 holds them all, and never 0 or 1."""


def uniform(
    seed: int, positions: Int[Tensor, " places"], count: int
) -> Float[Tensor, "places count"]:
    """Evenly random float64 numbers between 0 and 1, both excluded, a row for each position."""
    start = _mixed(positions.long() * _signed(GOLDEN) + _signed(seed))
    counts = torch.arange(1, count + 1, device=positions.device) * _signed(GOLDEN)
    bits = _shifted(_mixed(start[:, None] + counts), 64 - DIGITS)
    return (bits.double() + 0.5) * 2.0**-DIGITS


def _mixed(numbers: Int[Tensor, ...]) -> Int[Tensor, ...]:
    for shift, factor in MIXERS:
        numbers = (numbers ^ _shifted(numbers, shift)) * _signed(factor)
    return numbers ^ _shifted(numbers, LAST)


def _shifted(numbers: Int[Tensor, ...], places: int) -> Int[Tensor, ...]:
    """To the right without the sign, which torch keeps."""
    return (numbers >> places) & ((1 << (64 - places)) - 1)


def _signed(number: int) -> int:
    """The lowest 64 bits as torch holds them."""
    number &= 2**64 - 1
    return number - 2**64 if number >= 2**63 else number
