"""Memory: how large a batch may be, found by real passes; and when there is none left."""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import torch
from jaxtyping import Int
from torch import Tensor

from mdlm_probe.engine import gradients
from mdlm_probe.engine.limits import LARGEST, ROW_BYTES
from mdlm_probe.models._base import Model
from mdlm_probe.models._config import cached_numbers

MARGIN = 0.6
"""Share of the free memory that `--batch-tokens auto` may plan to use."""

SMALLEST = 512
"""The least budget; a longer prompt makes a batch of its own."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
    )


def free_memory() -> None:
    """Frees what only cycles hold, and gives cached device memory back.

    Looking for cycles takes a fifth of a second: this is for after models were put away.
    """
    gc.collect()
    _empty_cache()


def _empty_cache() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forward_pass(
    model: Model, ids: Int[Tensor, "batch length"], lengths: Int[Tensor, " batch"]
) -> None:
    """One batch of states, for measuring."""
    place = torch.tensor([[0, ids.shape[1] - 1]], device=ids.device)
    with torch.inference_mode():
        model.states(ids, lengths, place[:, 0], place[:, 1])


def gradient_pass(
    model: Model,
    ids: Int[Tensor, "batch length"],
    lengths: Int[Tensor, " batch"],
    checkpointing: bool = False,
) -> None:
    """One batch of gradients, for measuring."""
    gradients.attribute(model, ids, lengths, lengths - 1, checkpointing=checkpointing)


def find_batch_tokens(model: Model, run: Callable[..., None] = forward_pass) -> int:
    """The token budget of a batch: what memory allows by the growth that real passes show.

    Two passes of different sizes give the bytes a token takes. The budget is the largest power
    of two within `MARGIN` of what is free, between `SMALLEST` and `LARGEST` for the kind of device.
    Powers of two, so that equal machines find equal budgets.
    """
    device = torch.device(model.device)
    largest = LARGEST.get(device.type, LARGEST["cpu"])
    small, large = 512, 2048
    try:
        first = _peak(model, small, run)  # before the large one, whose memory may not come back
        growth = _peak(model, large, run) - first
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free_memory()
        return SMALLEST
    per_token = max(1.0, growth / (large - small))
    free = _free(device)
    fitting = max(1, int(MARGIN * (free - ROW_BYTES * 2) / per_token))
    power: int = 2 ** int(math.log2(fitting))
    return min(max(power, SMALLEST), largest)


KV_CACHE_SHARE = 0.3
"""Share of the free memory that keys and values kept between passes may take."""


def kv_cache_tokens(model: Model) -> int:
    """Tokens whose keys and values may be kept at a time, by the model's geometry; 1 at least."""
    size = torch.empty((), dtype=getattr(torch, model.facts["dtype"])).element_size()
    free = _free(torch.device(model.device))
    return max(1, int(KV_CACHE_SHARE * free / (cached_numbers(model.entry.geometry) * size)))


def _free(device: torch.device) -> int:
    if device.type == "cuda":  # what torch keeps for itself is free, too
        own = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + own
    return psutil.virtual_memory().available


def _peak(model: Model, tokens: int, run: Callable[..., None]) -> int:
    """Bytes allocated at the peak of one pass of `tokens` tokens."""
    length = min(tokens, 256)
    count = tokens // length
    device = torch.device(model.device)
    ids = torch.full((count, length), model.entry.mask_id or 0, device=device)
    lengths = torch.full((count,), length, device=device)
    _empty_cache()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        run(model, ids, lengths)
        return torch.cuda.max_memory_allocated(device)
    return _peak_on_cpu(lambda: run(model, ids, lengths))


def _peak_on_cpu(run: Callable[[], Any]) -> int:
    """Bytes of resident memory at the peak, where Linux tells; elsewhere 0, and `LARGEST` rules."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not (status.exists() and reset.exists()):
        return 0
    with suppress(OSError, AttributeError):
        # glibc keeps freed memory for itself: what a pass takes from there would not show
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    reset.write_text("5")  # makes the kernel forget the peak so far
    run()
    line = next(li for li in status.read_text().splitlines() if li.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
