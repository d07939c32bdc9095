"""The engine: queries in, readouts out, in the order asked. The only caller of the network.

Queries are sorted by length, packed into batches under a token budget, padded where no one looks,
and reduced on the device, so that a position's distribution never travels as a whole unless asked.
Results don't depend on the batch a query travelled in.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine import gradients, memory
from mdlm_probe.engine import readouts as maths
from mdlm_probe.engine.batches import check, check_blocks, spans
from mdlm_probe.engine.queries import Query
from mdlm_probe.models._base import Model

GRADIENT_PROMPT = 4096
"""Where gradients of prompts of this length, or the context, don't fit, layers are checkpointed."""

Answer = tuple[np.ndarray, ...]
Found = TypeVar("Found")
Score = Callable[[Tensor], Tensor]
"""States [asked, width] in, rows [asked, vocab] out."""


class Attribution(NamedTuple):
    """What the tokens of a prompt did to the token predicted at the asked position.

    Attributes:
        scores: of each token, float32; see `gradients.attribute`.
        token, logit: the predicted token, and its logit.
        gap: how far integrated gradients are from summing to what they should; else None.
    """

    scores: np.ndarray
    token: int
    logit: float
    gap: float | None


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
        held: tokens whose keys and values are kept at a time, likewise.

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
        held: int | None = None,
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
        self._held = held

    def ask(self, queries: Sequence[Query]) -> list[Answer]:
        """Answers in the order asked: for each query one array a readout, [asked positions, ...],
        then one a block, of whatever shape its function gives.

        Raises:
            ProbeError: a query longer than the context, a logit that is no number, a block of more
                rows than `memory.ROW_BYTES` holds, or no memory for a single query; each names the
                cell.
        """
        return self._in_batches(queries, self._forward, self._budget)

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
        if self._gradient_budget is None:
            began = time.perf_counter()
            self._gradient_budget = self._find_gradient_budget()
            self.busy += time.perf_counter() - began
        run = partial(self._backward, method=method, ig_steps=ig_steps)
        return self._in_batches(queries, run, self._gradient_budget)

    @property
    def holds(self) -> bool:
        """Whether the model can keep keys and values between passes."""
        return hasattr(self.model, "fed")

    @property
    def held_tokens(self) -> int:
        """Tokens whose keys and values may be kept at a time; found once, when first wanted."""
        if self._held is None:
            self._held = memory.held_tokens(self.model)
        return self._held

    @property
    def budgets(self) -> dict[str, Any]:
        """What batches of each kind of pass may hold: what a resumed run has to know."""
        found: dict[str, Any] = {"tokens": self._budget.tokens}
        found |= {} if self._held is None else {"held": self._held}
        return found | ({"gradients": asdict(b)} if (b := self._gradient_budget) else {})

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
        for query in queries:
            check(query, self.entry)
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
            fed = sum(query.fed for query in batch)
            self.tokens += fed
            self.watch(fed)
        return [answers[i] for i in range(len(queries))]

    def _forward(self, batch: Sequence[Query]) -> list[Answer]:
        ids, lengths = self._padded(batch)
        places = [(row, p) for row, query in enumerate(batch) for p in query.positions]
        rows, positions = torch.tensor(places).to(self.model.device).unbind(1)
        with torch.inference_mode():
            if batch[0].held is None:
                states = self.model.states(ids, lengths, rows, positions)
            else:
                fresh = (
                    torch.tensor([q.fresh for q in batch]).to(ids.device)
                    if batch[0].fresh
                    else None
                )
                held = [query.held for query in batch]
                states = self.model.fed(ids, lengths, fresh, rows, positions, held)
            if batch[0].guidance is None:
                return self._read(batch, self.model.logprobs, states)
            for row, query in enumerate(batch):
                ids[row, list(query.guidance.hidden)] = self.entry.mask_id
            blind = self.model.states(ids, lengths, rows, positions)
            scales = torch.tensor([query.guidance.scale for query in batch]).to(ids.device)[rows]
            # in float32, which holds all of bfloat16 and the scales
            both = torch.cat([states.float(), blind.float(), scales[:, None].float()], dim=1)
            return self._read(batch, partial(self._guided, dtype=states.dtype), both)

    def _guided(
        self, both: Float[Tensor, "asked both"], dtype: torch.dtype
    ) -> Float[Tensor, "asked vocab"]:
        """Rows moved away from those that don't see the prompt; see `queries.Guidance`."""
        seeing, blind = both[:, :-1].to(dtype).chunk(2, dim=1)
        rows, without = self.model.logprobs(seeing), self.model.logprobs(blind)
        moved = without + (both[:, -1:] + 1) * (rows - without)
        return maths.normalised(torch.where(rows.isneginf(), rows, moved))

    def _backward(
        self, batch: Sequence[Query], method: gradients.Method, ig_steps: int
    ) -> list[Attribution]:
        ids, lengths = self._padded(batch)
        positions = torch.tensor([query.positions[0] for query in batch]).to(ids.device)
        checkpointing = self._gradient_budget.checkpointing
        found = gradients.attribute(
            self.model, ids, lengths, positions, method, ig_steps, checkpointing
        )
        bad = ~(found.scores.isfinite().all(-1) & found.logits.isfinite())
        if bad.any():
            raise self._no_number("gradient", batch[int(bad.nonzero()[0])])
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

    def _read(
        self, batch: Sequence[Query], score: Score, states: Float[Tensor, "asked width"]
    ) -> list[Answer]:
        """Scores the asked states chunk by chunk, and reduces each chunk while it is there."""
        chunk = max(1, memory.ROW_BYTES // (4 * self.model.vocab))
        owners = [(i, place) for i, query in enumerate(batch) for place in query.positions]
        pieces: list[list[list[Tensor]]] = [[[] for _ in query.readouts] for query in batch]
        for start in range(0, len(owners), chunk):
            scored = score(states[start : start + chunk])
            part = owners[start : start + chunk]
            self._check_numbers(scored, batch, part)
            self._reduce(batch, scored, part, pieces)
        rows = [tuple(torch.cat(parts).cpu().numpy() for parts in readouts) for readouts in pieces]
        own = states.split([len(query.positions) for query in batch])
        return [
            answer + self._read_blocks(query, score, part)
            for query, answer, part in zip(batch, rows, own, strict=True)
        ]

    def _read_blocks(
        self, query: Query, score: Score, states: Float[Tensor, "asked width"]
    ) -> Answer:
        """Scores a block's rows once more, for themselves: chunks may cut through a query."""
        found = []
        for name, places, args in query.blocks:
            check_blocks(query, self.model.vocab)
            rows = score(states[list(places)])
            found.append(getattr(maths, name)(rows, *args).cpu().numpy())
        return tuple(found)

    @staticmethod
    def _reduce(
        batch: Sequence[Query],
        scored: Float[Tensor, "asked vocab"],
        owners: Sequence[tuple[int, int]],
        pieces: list[list[list[Tensor]]],
    ) -> None:
        """Applies each readout once to all rows that want it, not once a query."""
        users: dict[Any, list[tuple[int, int, int, int]]] = {}
        begin = 0
        for owner, part in groupby(owners, key=itemgetter(0)):
            end = begin + len(list(part))
            for slot, readout in enumerate(batch[owner].readouts):
                users.setdefault(readout, []).append((begin, end, owner, slot))
            begin = end
        for readout, takers in users.items():
            places = [i for first, last, _, _ in takers for i in range(first, last)]
            rows = scored if len(places) == len(scored) else scored[places]
            args = readout.args
            if readout.name in maths.PLACED:
                args = (torch.tensor([owners[i][1] for i in places]).to(scored.device), *args)
            value = getattr(maths, readout.name)(rows, *args)
            sizes = [last - first for first, last, _, _ in takers]
            for (_, _, owner, slot), piece in zip(takers, value.split(sizes), strict=True):
                pieces[owner][slot].append(piece)

    def _check_numbers(
        self,
        scored: Float[Tensor, "asked vocab"],
        batch: Sequence[Query],
        owners: Sequence[tuple[int, int]],
    ) -> None:
        impossible = 0 if self.entry.mask_id is None else 1
        bad = scored.isfinite().sum(-1) < scored.shape[-1] - impossible
        if bad.any():
            query = batch[owners[int(bad.nonzero()[0])][0]]
            raise self._no_number("logit", query)

    def _no_number(self, what: str, query: Query) -> ProbeError:
        return ProbeError(
            f"'{self.entry.name}' gave a {what} that is no finite number, in cell {query.name}",
            expected=f"finite {what}s",
            hint="try --dtype float32; if that fails too, the weights are damaged",
        )

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
