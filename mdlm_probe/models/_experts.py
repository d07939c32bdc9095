"""How experts are computed: together, as products of groups of rows, wherever that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def count(config: Any) -> int:
    """How many experts each layer has to choose from, by a transformers configuration; 0: none."""
    found: int = getattr(config, "num_local_experts", 0) or getattr(config, "num_experts", 0)
    return found


def implementation(config: Any, device: torch.device, quantize: str) -> str:
    """The name by which transformers knows how experts are to be computed; "" where there are none.

    Tokens are sorted by expert, and each expert multiplies all of its own at once. A token's row
    then differs by rounding alone with the others of its batch, as in every other layer (float32:
    1e-7 of its size); where two experts are as likely to within that, another may be chosen.

    Args:
        config: a transformers configuration.
        device: where the network is.
        quantize: the format of packed weights, or "".
    """
    if not count(config):
        return ""
    if quantize:
        return "packed"
    # torch has no grouped products for Apple's GPUs
    return "eager" if device.type == "mps" else "grouped_mm"


@contextmanager
def exact_targets(network: Any) -> Iterator[None]:
    """PEFT takes the layers that it is told, and no others.

    In a mixture of experts it would take the names of dense and shared layers for names of experts,
    which were layers in older releases of transformers.
    """
    config = network.config
    own = config.model_type
    config.model_type = ""
    try:
        yield
    finally:
        config.model_type = own
