"""The engine: queries in, readouts out, in the order asked. The only caller of the network.

Queries are sorted by length, packed into batches under a token budget, padded where no one looks,
and reduced on the device (see `reading`). Results don't depend on the batch a query travelled in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import torch

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients, memory, multi_step, reading
from mdlm_probe.engine.batches import check, distinct, spans, taken
from mdlm_probe.engine.forward import forward, origins_of, padded
from mdlm_probe.engine.multi_step import MultiStep, Work
from mdlm_probe.engine.queries import Answer, Attribution, Query
from mdlm_probe.models._base import CachingModel, Model
from mdlm_probe.models._device import on

GRADIENT_PROMPT = 4096
"""Where gradients of prompts of this length, or the context, don't fit, layers are checkpointed."""

Found = TypeVar("Found")


@dataclass
class _Budget:
    """Padded tokens of a batch, for one kind of pass."""

    tokens: int
    gradients: bool = False
    checkpointing: bool = False


class Engine:
    """Runs queries through a model.

    Args:
        model: anything that keeps the Model protocol.
        batch_tokens: padded tokens of a batch; None finds it by real forward passes. Batches for
            gradients are no larger, and smaller where memory says so.
        gradients: the budget of gradients that an earlier engine found, as in `budgets`.
        kv_cache_tokens: tokens whose keys and values are kept at a time, likewise.

    Attributes:
        entry, border: the model's, for probes.
        tokens: real tokens that went through the network so far.
        busy: seconds spent in passes and their readouts so far.
        events: what happened on the way that a reader of the results should know.
        scorer: an engine over a causal model that scores what this one writes, or None.
        watch: told the tokens of every batch that went through.
    """

    def __init__(
        self,
        model: Model,
        *,
        batch_tokens: int | None = None,
        gradients: dict[str, Any] | None = None,
        kv_cache_tokens: int | None = None,
    ) -> None:
        self.model, self.entry, self.border = model, model.entry, model.border
        self.events: list[str] = []
        self._budget = _Budget(batch_tokens or memory.find_batch_tokens(model))
        self._gradient_budget = _Budget(**gradients) if gradients else None
        if self._gradient_budget:  # the user may have asked for less this time
            self._gradient_budget.tokens = min(self._gradient_budget.tokens, self._budget.tokens)
        self.tokens = 0
        self.busy = 0.0
        self.scorer: Engine | None = None
        self.watch: Callable[[int], None] = lambda tokens: None
        self._kv_cache_tokens = kv_cache_tokens

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """The answers to queries, in the order asked.

        Raises:
            ProbeError: a query longer than the context, a logit that is no number, a block of more
                rows than `memory.ROW_BYTES` holds, or no memory for a single query; each names the
                cell.
        """
        for query in queries:
            check(query, self.entry)
        sent, answered = distinct(queries, self.entry)
        found = self._in_batches(sent, partial(forward, self.model), self._budget)
        return [found[number] for number in answered]

    def attribute(
        self, queries: Sequence[Query], method: gradients.Method = "grad-norm", ig_steps: int = 32
    ) -> list[Attribution]:
        """Scores of every token of each query, in the order asked; readouts don't matter.

        Args:
            queries: each asks one position; the token predicted there is explained.
            method, ig_steps: see `gradients.attribute`.

        Raises:
            ProbeError: as `ask`; and for a model that gradients can't be taken of.
        """
        assert all(len(query.positions) == 1 for query in queries), "one position explains"
        for query in queries:
            check(query, self.entry)
        run = partial(self._backward, method=method, ig_steps=ig_steps)
        return self._in_batches(queries, run, self._budget_of_gradients())

    def run(self, works: Sequence[Work[Found]], beside: Sequence[Work[Found]] = ()) -> list[Found]:
        """The results of multi-step works, and then of those needed `beside` them.

        All run side by side, but no more at a time than keys and values fit in memory.

        Raises:
            ProbeError: as `ask`.
        """
        everything = (*works, *beside)
        waves: list[list[MultiStep[Found]]] = [[]]
        room = self.kv_cache_tokens if any(w.kv_cache_tokens for w in everything) else 0
        kept: list[int] = []
        for work in everything:
            kept.append(work.kv_cache_tokens)
            # those of a batch are as long as the longest
            if waves[-1] and room and max(kept) * sum(map(bool, kept)) > room:
                waves.append([])
                kept = kept[-1:]
            waves[-1].append(work.steps())
        return [found for wave in waves for found in multi_step.run(self, wave)]

    @property
    def has_kv_cache(self) -> bool:
        """Whether the model can keep keys and values between passes."""
        return isinstance(self.model, CachingModel)

    @property
    def kv_cache_tokens(self) -> int:
        """Tokens whose keys and values may be kept at a time; found once, when first wanted."""
        if self._kv_cache_tokens is None:
            self._kv_cache_tokens = memory.kv_cache_tokens(self.model)
        return self._kv_cache_tokens

    def find_budgets(self, *, gradients: bool) -> None:
        """Finds now what is else found when first wanted, so that other engines can have the same.

        Args:
            gradients: whether gradients will be taken.

        Raises:
            ProbeError: a model that gradients can't be taken of.
        """
        if self.has_kv_cache:
            _ = self.kv_cache_tokens
        if gradients:
            self._budget_of_gradients()

    @property
    def budgets(self) -> dict[str, Any]:
        """What batches of each kind of pass may hold: what a resumed run has to know."""
        found: dict[str, Any] = {"tokens": self._budget.tokens}
        if self._kv_cache_tokens is not None:
            found["held"] = self._kv_cache_tokens
        if self._gradient_budget is not None:
            found["gradients"] = asdict(self._gradient_budget)
        return found

    @property
    def batch_tokens(self) -> int:
        """Padded tokens of a batch of forward passes."""
        return self._budget.tokens

    def _in_batches(
        self,
        queries: Sequence[Query],
        start: Callable[[Sequence[Query]], Callable[[], list[Found]]],
        budget: _Budget,
    ) -> list[Found]:
        """Runs batches. A device besides the CPU begins one while another's results are copied."""
        answers: dict[int, Found] = {}
        order, waiting = spans(queries, budget.tokens, self.entry)
        ahead = 0 if self.model.device == "cpu" else 1
        begun: list[tuple[list[int], Callable[[], list[Found]]]] = []
        while waiting or begun:
            began = time.perf_counter()
            if waiting:
                span = waiting.pop()
                batch = [queries[i] for i in order[span]]
                try:
                    begun.append((order[span], start(batch)))
                except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                    waiting += self._back_off(error, batch, span, budget)[::-1]
                    continue
            while len(begun) > (ahead if waiting else 0):
                numbers, finish = begun.pop(0)
                answers.update(zip(numbers, finish(), strict=True))
                tokens = sum(queries[i].network_tokens for i in numbers)
                self.tokens += tokens
                self.watch(tokens)
            self.busy += time.perf_counter() - began
        return [answers[i] for i in range(len(queries))]

    def _backward(
        self, batch: Sequence[Query], method: gradients.Method, ig_steps: int
    ) -> Callable[[], list[Attribution]]:
        texts = padded([query.ids for query in batch])
        ids, lengths = (on(self.model.device, given) for given in texts)
        positions = on(self.model.device, [query.positions[0] for query in batch])
        assert self._gradient_budget is not None, "found by `attribute`"
        checkpointing = self._gradient_budget.checkpointing
        found = gradients.attribute(
            *(self.model, ids, lengths, positions, method, ig_steps, checkpointing),
            origins=origins_of(batch),
        )
        return partial(reading.explained, batch, self.entry, found)

    def _budget_of_gradients(self) -> _Budget:
        if self._gradient_budget is None:
            began = time.perf_counter()
            self._gradient_budget = self._find_gradient_budget()
            self.busy += time.perf_counter() - began
        return self._gradient_budget

    def _find_gradient_budget(self) -> _Budget:
        """What memory allows, with layers checkpointed where a long prompt would not fit else."""
        gradients.check(self.model)
        longest = min(self.entry.context, GRADIENT_PROMPT)
        budget = _Budget(memory.find_batch_tokens(self.model, memory.gradient_pass), gradients=True)
        if budget.tokens < longest:
            self._checkpoint(budget, f"there is memory for {budget.tokens} of {longest} tokens")
            run = partial(memory.gradient_pass, checkpointing=True)
            budget.tokens = memory.find_batch_tokens(self.model, run)
        budget.tokens = min(budget.tokens, self.batch_tokens)
        return budget

    def _checkpoint(self, budget: _Budget, reason: str) -> None:
        budget.checkpointing = True
        self.events.append(f"gradients with activation checkpointing: {reason}")

    def _back_off(
        self, error: BaseException, batch: Sequence[Query], span: slice, budget: _Budget
    ) -> list[slice]:
        if not memory.is_out_of_memory(error):
            raise error
        memory.free_memory()
        longest = max(len(query.ids) for query in batch)
        if len(batch) == 1 and budget.gradients and not budget.checkpointing:
            self._checkpoint(budget, f"out of memory with a prompt of {longest} tokens")
            return [span]
        if len(batch) == 1:
            raise ProbeError(
                f"not enough memory for one prompt of {longest} tokens, in cell {batch[0].name}",
                hint="try --quantize 4bit, --dtype bfloat16, or a shorter prompt",
            ) from error
        most = max(taken(query, self.entry) for query in batch)
        budget.tokens = max(most, math.ceil(len(batch) * most / 2))
        what = "batch tokens of gradients" if budget.gradients else "batch tokens"
        self.events.append(f"out of memory: {what} halved to {budget.tokens}")
        half = (span.start + span.stop) // 2
        return [slice(span.start, half), slice(half, span.stop)]
