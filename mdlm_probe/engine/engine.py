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
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients, memory, multi_step, reading, readouts
from mdlm_probe.engine.batches import check, distinct, spans
from mdlm_probe.engine.multi_step import MultiStep, Work
from mdlm_probe.engine.queries import Answer, Attribution, Query
from mdlm_probe.models._base import CachingModel, Model

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
        found = self._in_batches(sent, self._forward, self._budget)
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
        taken = 0
        for work in everything:
            if waves[-1] and room and taken + work.kv_cache_tokens > room:
                waves.append([])
                taken = 0
            waves[-1].append(work.steps())
            taken += work.kv_cache_tokens
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
        run: Callable[[Sequence[Query]], list[Found]],
        budget: _Budget,
    ) -> list[Found]:
        answers: dict[int, Found] = {}
        order, waiting = spans(queries, budget.tokens)
        while waiting:
            span = waiting.pop()
            batch = [queries[i] for i in order[span]]
            began = time.perf_counter()
            try:
                found = run(batch)  # ends in host memory, so nothing still runs
            except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
                waiting += self._back_off(error, batch, span, budget)[::-1]
                continue
            self.busy += time.perf_counter() - began
            answers.update(zip(order[span], found, strict=True))
            tokens = sum(query.network_tokens for query in batch)
            self.tokens += tokens
            self.watch(tokens)
        return [answers[i] for i in range(len(queries))]

    def _forward(self, batch: Sequence[Query]) -> list[Answer]:
        ids, lengths = self._padded(batch)
        places = [(row, p) for row, query in enumerate(batch) for p in query.positions]
        rows, positions = torch.tensor(places).to(self.model.device).unbind(1)
        with torch.inference_mode():
            if batch[0].kv_cache is not None:
                states = self._states_with_cache(batch, ids, lengths, rows, positions)
            else:
                states = self.model.states(ids, lengths, rows, positions)
            guidances = [query.guidance for query in batch if query.guidance]
            if not guidances:
                return reading.read(self.model, batch, self.model.logprobs, states)
            for row, guidance in enumerate(guidances):
                ids[row, list(guidance.hidden)] = self.entry.mask
            blind = self.model.states(ids, lengths, rows, positions)
            scales = torch.tensor([guidance.scale for guidance in guidances]).to(ids.device)[rows]
            # in float32, which holds all of bfloat16 and the scales
            both = torch.cat([states.float(), blind.float(), scales[:, None].float()], dim=1)
            score = partial(self._guided, dtype=states.dtype)
            return reading.read(self.model, batch, score, both)

    def _states_with_cache(
        self,
        batch: Sequence[Query],
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
    ) -> Float[Tensor, "asked width"]:
        assert isinstance(self.model, CachingModel), "no keys and values to keep"
        computed = None
        if batch[0].computed:
            computed = torch.tensor([query.computed for query in batch]).to(ids.device)
        caches = [query.kv_cache for query in batch if query.kv_cache is not None]
        return self.model.states_with_cache(ids, lengths, computed, rows, positions, caches)

    def _guided(
        self, both: Float[Tensor, "asked both"], dtype: torch.dtype
    ) -> Float[Tensor, "asked vocab"]:
        """Rows moved away from those that don't see the prompt; see `queries.Guidance`."""
        seeing, blind = both[:, :-1].to(dtype).chunk(2, dim=1)
        rows, without = self.model.logprobs(seeing), self.model.logprobs(blind)
        moved = without + (both[:, -1:] + 1) * (rows - without)
        return readouts.normalised(torch.where(rows.isneginf(), rows, moved))

    def _backward(
        self, batch: Sequence[Query], method: gradients.Method, ig_steps: int
    ) -> list[Attribution]:
        ids, lengths = self._padded(batch)
        positions = torch.tensor([query.positions[0] for query in batch]).to(ids.device)
        assert self._gradient_budget is not None, "found by `attribute`"
        checkpointing = self._gradient_budget.checkpointing
        found = gradients.attribute(
            self.model, ids, lengths, positions, method, ig_steps, checkpointing
        )
        bad = ~(found.scores.isfinite().all(-1) & found.logits.isfinite())
        if bad.any():
            raise reading.no_number("gradient", batch[int(bad.nonzero()[0])], self.entry)
        scores = found.scores.float().cpu().numpy()
        gaps = [None] * len(batch) if found.gaps is None else found.gaps.tolist()
        return [
            Attribution(row[: len(query.ids)], token, logit, gap)
            for query, row, token, logit, gap in zip(
                batch, scores, found.tokens.tolist(), found.logits.tolist(), gaps, strict=True
            )
        ]

    def _padded(
        self, batch: Sequence[Query]
    ) -> tuple[Int[Tensor, "batch length"], Int[Tensor, " batch"]]:
        """Ids on the device, zero where no one looks, and how many of each row are real."""
        lengths = [len(query.ids) for query in batch]
        ids = torch.zeros(len(batch), max(lengths), dtype=torch.long)
        for row, query in enumerate(batch):
            ids[row, : len(query.ids)] = torch.tensor(query.ids)
        return ids.to(self.model.device), torch.tensor(lengths).to(self.model.device)

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
        budget.tokens = max(longest, math.ceil(len(batch) * longest / 2))
        what = "batch tokens of gradients" if budget.gradients else "batch tokens"
        self.events.append(f"out of memory: {what} halved to {budget.tokens}")
        half = (span.start + span.stop) // 2
        return [slice(span.start, half), slice(half, span.stop)]
