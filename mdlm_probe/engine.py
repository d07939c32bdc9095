"""The engine: queries in, readouts out, in the order asked. The only caller of the network.

Queries are sorted by length, packed into batches under a token budget, padded where no one looks,
and reduced on the device, so that a position's distribution never travels as a whole unless asked.
Results don't depend on the batch a query travelled in.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from jaxtyping import Float
from torch import Tensor

from mdlm_probe import maths
from mdlm_probe.errors import ProbeError
from mdlm_probe.models._base import Entry, Model
from mdlm_probe.models._text import Border
from mdlm_probe.queries import Query

ROW_BYTES = 256 * 2**20
"""Most memory that rows of the output layer take at a time; more rows are done in turns."""

MARGIN = 0.6
"""Share of the free memory that `--batch-tokens auto` may plan to use."""

SMALLEST = 512
"""The least budget; a longer prompt makes a batch of its own."""

LARGEST = {"cpu": 8192, "cuda": 131072}
"""Where larger batches stop paying; measured in bench/engine.py for the CPU."""

Answer = tuple[np.ndarray, ...]


class Counter:
    """An engine without a network: takes queries, counts them, and answers none of them."""

    def __init__(self, entry: Entry, border: Border) -> None:
        self.entry, self.border = entry, border
        self.lengths: list[int] = []
        self.asked = 0

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Counts the queries, after the checks that a real engine makes."""
        for query in queries:
            check(query, self.entry)
            self.lengths.append(len(query.ids))
            self.asked += len(query.positions)
        return []


class Engine:
    """Runs queries through a model.

    Args:
        model: anything that keeps the Model protocol.
        batch_tokens: padded tokens of a batch; None finds it by real forward passes.

    Attributes:
        entry, border: the model's, for probes.
        tokens: real tokens that went through the network so far.
        busy: seconds spent in forward passes and their readouts so far.
        events: what happened on the way that a reader of the results should know.
    """

    def __init__(self, model: Model, *, batch_tokens: int | None = None) -> None:
        self.model, self.entry, self.border = model, model.entry, model.border
        self.events: list[str] = []
        self.batch_tokens = batch_tokens or find_batch_tokens(model)
        self.tokens = 0
        self.busy = 0.0

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Answers in the order asked: for each query one array a readout, [asked positions, ...].

        Raises:
            ProbeError: a query longer than the context, a logit that is no number, or no memory
                for a single query; each names the cell.
        """
        for query in queries:
            check(query, self.entry)
        answers: list[Answer] = [()] * len(queries)
        order = sorted(range(len(queries)), key=lambda i: len(queries[i].ids))
        waiting = pack([len(queries[i].ids) for i in order], self.batch_tokens)[::-1]
        while waiting:
            span = waiting.pop()
            batch = [queries[i] for i in order[span]]
            try:
                found = self._forward(batch)
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                waiting += self._back_off(error, batch, span)[::-1]
                continue
            for i, answer in zip(order[span], found, strict=True):
                answers[i] = answer
            self.tokens += sum(len(query.ids) for query in batch)
        return answers

    def _forward(self, batch: Sequence[Query]) -> list[Answer]:
        longest = max(len(query.ids) for query in batch)
        ids = torch.zeros(len(batch), longest, dtype=torch.long)
        for row, query in enumerate(batch):
            ids[row, : len(query.ids)] = torch.tensor(query.ids)
        places = [(row, p) for row, query in enumerate(batch) for p in query.positions]
        rows, positions = torch.tensor(places).to(self.model.device).unbind(1)
        began = time.perf_counter()
        with torch.inference_mode():
            states = self.model.states(
                ids.to(self.model.device),
                torch.tensor([len(query.ids) for query in batch]).to(self.model.device),
                rows,
                positions,
            )
            chunk = max(1, ROW_BYTES // (4 * self.model.vocab))
            found = self._read(batch, states, chunk)  # ends in host memory, so nothing still runs
        self.busy += time.perf_counter() - began
        return found

    def _read(
        self, batch: Sequence[Query], states: Float[Tensor, "asked width"], chunk: int
    ) -> list[Answer]:
        """Scores the asked states chunk by chunk, and reduces each chunk while it is there."""
        owners = [i for i, query in enumerate(batch) for _ in query.positions]
        pieces: list[list[list[Tensor]]] = [[[] for _ in query.readouts] for query in batch]
        for start in range(0, len(owners), chunk):
            scored = self.model.logprobs(states[start : start + chunk])
            part = owners[start : start + chunk]
            self._check_numbers(scored, batch, part)
            self._reduce(batch, scored, part, pieces)
        return [tuple(torch.cat(parts).cpu().numpy() for parts in readouts) for readouts in pieces]

    @staticmethod
    def _reduce(
        batch: Sequence[Query],
        scored: Float[Tensor, "asked vocab"],
        owners: Sequence[int],
        pieces: list[list[list[Tensor]]],
    ) -> None:
        """Applies each readout once to all rows that want it, not once a query."""
        users: dict[Any, list[tuple[int, int, int]]] = {}
        for place, owner in enumerate(owners):
            for slot, readout in enumerate(batch[owner].readouts):
                users.setdefault(readout, []).append((place, owner, slot))
        for readout, takers in users.items():
            places = [place for place, _, _ in takers]
            everyone = len(places) == len(scored)
            value = getattr(maths, readout.name)(
                scored if everyone else scored[places], *readout.args
            )
            for n, (_, owner, slot) in enumerate(takers):
                pieces[owner][slot].append(value[n : n + 1])

    def _check_numbers(
        self, scored: Float[Tensor, "asked vocab"], batch: Sequence[Query], owners: Sequence[int]
    ) -> None:
        impossible = 0 if self.entry.mask_id is None else 1
        bad = scored.isfinite().sum(-1) < scored.shape[-1] - impossible
        if bad.any():
            query = batch[owners[int(bad.nonzero()[0])]]
            raise ProbeError(
                f"'{self.entry.name}' gave a logit that is no finite number, in cell {query.name}",
                expected="finite logits",
                hint="try --dtype float32; if that fails too, the weights are damaged",
            )

    def _back_off(self, error: BaseException, batch: Sequence[Query], span: slice) -> list[slice]:
        if not is_out_of_memory(error):
            raise error
        free_memory()
        longest = max(len(query.ids) for query in batch)
        if len(batch) == 1:
            raise ProbeError(
                f"not enough memory for one prompt of {longest} tokens, in cell {batch[0].name}",
                hint="try --quantize 4bit, --dtype bfloat16, or a shorter prompt",
            ) from error
        self.batch_tokens = max(longest, math.ceil(len(batch) * longest / 2))
        self.events.append(f"out of memory: batch tokens halved to {self.batch_tokens}")
        half = (span.start + span.stop) // 2
        return [slice(span.start, half), slice(half, span.stop)]


def check(query: Query, entry: Entry) -> None:
    """Refuses a query that the model can't answer: too long, or asked where it predicts nothing."""
    length = len(query.ids)
    if length > entry.context:
        raise ProbeError(
            f"a prompt has {length} tokens, in cell {query.name}",
            expected=f"at most {entry.context}, the context of '{entry.name}'",
            hint="lower the number of shots or of masks",
        )
    low, high = (1, length) if entry.kind == "causal" else (0, length - 1)
    assert all(low <= p <= high for p in query.positions), f"position outside {low}..{high}"


def pack(lengths: Sequence[int], budget: int) -> list[slice]:
    """Cuts sorted lengths into as few runs as fit the budget when padded, of about equal cost.

    A run is never empty; a single length above the budget makes a run of its own.
    """
    runs = _greedy(lengths, budget)
    low, high = max(lengths, default=1), budget
    # the smallest budget that needs no more runs spreads the work evenly: no tiny last batch
    while low < high:
        middle = (low + high) // 2
        if len(_greedy(lengths, middle)) <= len(runs):
            high = middle
        else:
            low = middle + 1
    return _greedy(lengths, high) if runs and high >= low else runs


def _greedy(lengths: Sequence[int], budget: int) -> list[slice]:
    runs, start = [], 0
    for i, length in enumerate(lengths):
        if i > start and length * (i + 1 - start) > budget:
            runs.append(slice(start, i))
            start = i
    if len(lengths) > start:
        runs.append(slice(start, len(lengths)))
    return runs


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    words = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)
    )


def free_memory() -> None:
    """Gives cached device memory back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def find_batch_tokens(model: Model) -> int:
    """The token budget of a batch: what memory allows by the growth that real forwards show.

    Two forwards of different sizes give the bytes a token takes. The budget is the largest power
    of two within `MARGIN` of what is free, between `SMALLEST` and `LARGEST` for the kind of device.
    Powers of two, so that equal machines find equal budgets.
    """
    device = torch.device(model.device)
    largest = LARGEST.get(device.type, LARGEST["cpu"])
    small, large = 512, 2048
    try:
        growth = _peak(model, large) - _peak(model, small)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        free_memory()
        return SMALLEST
    per_token = max(1.0, growth / (large - small))
    free = _free(device)
    fitting = max(1, int(MARGIN * (free - ROW_BYTES * 2) / per_token))
    return min(max(2 ** int(math.log2(fitting)), SMALLEST), largest)


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def _peak(model: Model, tokens: int) -> int:
    """Bytes allocated at the peak of one forward of `tokens` tokens."""
    length = min(tokens, 256)
    count = tokens // length
    device = torch.device(model.device)
    ids = torch.full((count, length), model.entry.mask_id or 0, device=device)
    lengths = torch.full((count,), length, device=device)
    place = torch.tensor([[0, length - 1]], device=device)
    free_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        with torch.inference_mode():
            model.states(ids, lengths, place[:, 0], place[:, 1])
        return torch.cuda.max_memory_allocated(device)
    with torch.inference_mode():
        return _peak_on_cpu(lambda: model.states(ids, lengths, place[:, 0], place[:, 1]))


def _peak_on_cpu(forward: Callable[[], Any]) -> int:
    """Bytes of resident memory at the peak, where Linux tells; elsewhere 0, and `LARGEST` rules."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not (status.exists() and reset.exists()):
        return 0
    reset.write_text("5")  # makes the kernel forget the peak so far
    forward()
    line = next(li for li in status.read_text().splitlines() if li.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
