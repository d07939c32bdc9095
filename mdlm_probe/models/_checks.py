"""Self-tests of a freshly loaded model: is it the network that its family says it is?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.models._hf import NativeModel

LENGTH = 8
"""Tokens of a text, where attention has no blocks."""

UNMOVED, MOVED = 1e-3, 1e-6
"""Shares of the largest state: what rounding may move, and what a token that is seen does at least.
"""


def self_test(model: NativeModel) -> None:
    """Runs all self-tests: a few forward passes over eight tokens, or two blocks of attention.

    Raises:
        ProbeError: naming the test that failed.
    """
    numbers(model)
    attention(model)
    output_layer(model)


def numbers(model: NativeModel) -> None:
    """Ordinary tokens give finite states.

    Raises:
        ProbeError: when they aren't; the other tests would then be misleading.
    """
    if not _states(model, _text(model, LENGTH)).isfinite().all():
        raise ProbeError(
            f"self-test of {model.entry.name}: its states are not finite in {model.facts['dtype']}",
            hint="try --dtype float32; if that fails too, the weights are damaged",
        )


def attention(model: NativeModel) -> None:
    """Tokens are changed one by one: they move the states that see them, and none that don't.

    With attention in both directions the last token moves the first state; with causal attention it
    moves none before its own; with block-causal attention a token moves its own block from the
    first position on, and later blocks, but nothing before its block. Releases of transformers that
    ignore `config.is_causal` or a mask would otherwise make a masked model causal silently.

    Raises:
        ProbeError: when attention is another one, with what was found.
    """
    entry = model.entry
    length, first_seen, origin = _expected(entry)
    base = _text(model, length)
    texts = torch.cat([base, *(_changed(model, base, place) for place in first_seen)])
    states = _states(model, texts, origin)
    moved = (states[1:] - states[0]).abs().amax(dim=-1).tolist()
    scale = states[0].abs().amax().item()
    found = {}
    for (place, first), own in zip(first_seen.items(), moved, strict=True):
        rows = [row for row, change in enumerate(own) if change > UNMOVED * scale]
        early = any(row < first for row in rows)
        sees = all(change > MOVED * scale for change in (own[first], own[-1]))
        found[place] = min(rows, default=place) if early or not sees else first
    if found == first_seen:
        return
    kind, how = _described(found)
    raise ProbeError(
        f"self-test of {entry.name}: its attention is not {_declared(entry, origin)}, but {kind}:"
        f" {how}",
        expected="the attention that family and checkpoint declare",
        hint=_versions(),
    )


def _expected(entry: Checkpoint) -> tuple[int, dict[int, int], int]:
    """Tokens of the text, the first state that sees each of some places, the origin of blocks."""
    if entry.attention != "block-causal":
        last = LENGTH - 1
        return LENGTH, {last: last if entry.kind == "causal" else 0}, 0
    origin = entry.block // 2 if entry.origin == "prompt" else 0
    begin, end = entry.block_span(origin + entry.block, origin)
    return end + 1, {begin: begin, end - 1: begin, end: end}, origin


def _described(found: dict[int, int]) -> tuple[str, str]:
    """The kind of attention by the first state that each changed token moved, and why, in words."""
    place = max(found, key=lambda one: one - found[one])
    how = f"position {found[place]} is the first to see the token at position {place}"
    if all(first == place for place, first in found.items()):
        return "causal", how
    if not any(found.values()):
        return "bidirectional", how
    return "block-causal", how


def _declared(entry: Checkpoint, origin: int) -> str:
    blocks = f" in blocks of {entry.block} tokens from position {origin} on"
    return entry.attention + (blocks if entry.block else "")


def output_layer(model: NativeModel) -> None:
    """Scoring the asked states gives what the network's own forward pass gives.

    Architectures that scale or cap their logits after the output layer would fail here.

    Raises:
        ProbeError: when the two differ.
    """
    ids = _text(model, LENGTH)
    mask = model.mask(ids, torch.tensor([LENGTH]))
    with torch.no_grad():
        whole = model.network(input_ids=ids, attention_mask=mask, use_cache=False).logits[0].float()
        head = model.network.get_output_embeddings()
        ours = head(_states(model, ids)[0]).float().to(whole.device)
    scale = whole.abs().amax().item()
    if not (whole - ours).abs().amax() <= 2e-2 * scale:
        raise ProbeError(
            f"self-test of {model.entry.name}: its output layer does not give the logits that the "
            "whole network gives",
            hint="this architecture scales or caps its logits, which is not supported",
        )


def _text(model: NativeModel, length: int) -> Int[Tensor, "1 length"]:
    """Ordinary tokens, over and over."""
    usable = _usable(model)
    text = [usable[n % len(usable)] for n in range(length)]
    return torch.tensor([text], device=model.device)


def _changed(
    model: NativeModel, text: Int[Tensor, "1 length"], place: int
) -> Int[Tensor, "1 length"]:
    """The text with another token at one place."""
    usable = _usable(model)
    found = text.clone()
    found[0, place] = usable[(usable.index(int(text[0, place])) + len(usable) // 2) % len(usable)]
    return found


def _usable(model: NativeModel) -> list[int]:
    return [i for i in range(min(model.vocab, 64)) if i != model.entry.mask_id]


def _states(
    model: NativeModel, texts: Int[Tensor, "batch length"], origin: int = 0
) -> Float[Tensor, "batch length width"]:
    """The states of all of the network's rows, whatever they score."""
    count, length = texts.shape
    at = torch.arange(count * length)
    lengths, origins = torch.full((count,), length), torch.full((count,), origin)
    asked = (at // length, at % length + model.shift)
    states = model.states(texts, lengths, *asked, origins)
    return states.view(count, length, -1)


def _versions() -> str:
    import transformers

    return f"transformers {transformers.__version__}; this tool is tested with 5.23"
