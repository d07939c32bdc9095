"""Reading beyond a checkpoint's context: rotary positions slowed down by a factor. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError


def stretch(config: Any, factor: float, folder: Path) -> float:
    """Raises a configuration's rotary base, so that it reads `factor` times its context.

    NTK-aware scaling: theta' = theta * factor ** (d / (d - 2)), where d is the number of rotated
    dimensions of a head. The slowest of them then turns `factor` times more slowly, as under
    interpolation, and the fastest as it was trained. Factor 1 changes nothing.

    Args:
        config: of a transformers network; changed in place.
        factor: 1 or more.
        folder: the checkpoint's, for error messages.

    Returns:
        The base, theta'.

    Raises:
        ProbeError: positions that are scaled already, that differ by layer, or that aren't rotary.

    Source: bloc97, "NTK-Aware Scaled RoPE" (2023). arXiv 2506.14429, on masked models, takes the
    base from the dimension whose wave just fits the context, and so raises it more: for LLaDA-8B
    and twice the context 3.4 times, against 2.02 here. A larger factor does the same.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    theta: float | None = rope.get("rope_theta")
    if factor == 1:
        return theta or 0.0
    if rope.get("rope_type") != "default" or theta is None:
        raise ProbeError(
            f"{folder / 'config.json'}: --rope-scale can't stretch positions of type "
            f"'{rope.get('rope_type', 'unknown')}'",
            expected="plain rotary positions, the same in every layer",
            hint="a checkpoint that scales its positions itself reads its whole context without",
            option="rope_scale",
        )
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rotated = int(head * rope.get("partial_rotary_factor", 1.0))
    if rotated <= 2:
        raise ProbeError(
            f"{folder / 'config.json'}: heads rotate {rotated} dimensions",
            expected="4 or more, for --rope-scale to slow down",
        )
    stretched: float = theta * factor ** (rotated / (rotated - 2))
    config.rope_parameters = {**rope, "rope_theta": stretched}
    config.max_position_embeddings = int(config.max_position_embeddings * factor)
    return stretched
