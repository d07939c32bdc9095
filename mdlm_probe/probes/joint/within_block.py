"""Joints within a block: over tokens of two blocks, only one order is a block-causal model's own.

What stands in a later block is unseen: two orders over it don't factorise one distribution, and a
circulation or a mutual information of such a pair would speak of attention, not of dependence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import Refusal

if TYPE_CHECKING:
    from mdlm_probe.models._checkpoint import Checkpoint

PAIRS, LENGTH = 16, 32
"""Masks of a window of pairs, and tokens to score or to write, unless a block has fewer."""


def suited(entry: Checkpoint) -> dict[str, Any]:
    """Block-causal models: windows that a block holds."""
    if not entry.block:
        return {}
    holds = 1 + entry.block_rest
    return {"masks": min(PAIRS, holds), "length": min(LENGTH, holds)}


def refused(cell: Any, entry: Checkpoint) -> str:
    """Why a joint's cell reaches beyond a block; empty if it doesn't."""
    option = {"pairs": "masks", "sets": ""}.get(cell.measure, "length")
    needed = cell.masks
    if cell.layout == "holes":
        option, needed = "spacing", 1 + max(map(int, cell.spacing.split()))
    sequential = cell.measure == "orders" and cell.reveal_order == "left_to_right"
    if not entry.block or sequential or needed <= 1 + entry.block_rest:
        return ""
    found = f"{needed} tokens reach beyond a block of {entry.block}, which sees no later one"
    return Refusal.of(found, option) if option else found
