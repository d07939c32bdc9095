"""What goes to the device: without waiting for what it still computes."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor


def on(device: torch.device | str, values: Any) -> Shaped[Tensor, " ..."]:
    """Values, or a tensor, on a device."""
    made = torch.as_tensor(values)
    if made.device.type != "cpu" or torch.device(device).type != "cuda":
        return made.to(device)
    # from memory that may be swapped, a copy waits for all that was started before it
    return made.pin_memory().to(device, non_blocking=True)
