"""What leaves the device: together, and without waiting for what comes after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Shaped, UInt8
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np


class Copies:
    """Copies of tensors on their way to the host, in one transfer.

    Args:
        tensors: all on one device.
    """

    def __init__(self, tensors: Sequence[Shaped[Tensor, " ..."]]) -> None:
        self._tensors: Sequence[Tensor] = tensors
        self._forms = [(found.shape, found.dtype) for found in tensors]
        self._host: Tensor | None = None
        device = tensors[0].device.type
        if device == "cpu":
            return
        bytes_there = packed(tensors)
        self._tensors = ()
        if device != "cuda":
            self._host = bytes_there.cpu()
            return
        self._host = torch.empty(bytes_there.shape, dtype=torch.uint8, pin_memory=True)
        with torch.cuda.device(bytes_there.device):
            self._host.copy_(bytes_there, non_blocking=True)
            self._arrived = torch.cuda.Event()
            self._arrived.record()

    def arrays(self) -> list[np.ndarray]:
        """The tensors as arrays, once they are there."""
        if self._host is None:
            return [found.numpy() for found in self._tensors]
        if self._host.is_pinned():
            self._arrived.synchronize()
            self._host = self._host.clone()  # pinned memory is scarce
        return [found.numpy() for found in unpacked(self._host, self._forms)]


def packed(tensors: Sequence[Shaped[Tensor, " ..."]]) -> UInt8[Tensor, " bytes"]:
    """All tensors' bytes, those with the widest numbers first, so that each begins where it may."""
    order = _widest_first([found.dtype for found in tensors])
    return torch.cat([tensors[n].contiguous().view(-1).view(torch.uint8) for n in order])


def unpacked(
    found: UInt8[Tensor, " bytes"], forms: Sequence[tuple[torch.Size, torch.dtype]]
) -> list[Shaped[Tensor, " ..."]]:
    """The tensors that `packed` put together, by their shapes and types."""
    tensors: dict[int, Tensor] = {}
    begin = 0
    for n in _widest_first([dtype for _, dtype in forms]):
        shape, dtype = forms[n]
        end = begin + shape.numel() * dtype.itemsize
        tensors[n] = found[begin:end].view(dtype).view(shape)
        begin = end
    return [tensors[n] for n in range(len(forms))]


def _widest_first(dtypes: Sequence[torch.dtype]) -> list[int]:
    return sorted(range(len(dtypes)), key=lambda n: -dtypes[n].itemsize)
