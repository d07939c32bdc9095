"""What losses charge for a target, read from one pass over its canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.likelihood.placements import run_nll, runs_of
from mdlm_probe.probes.alignment.moved_targets import TARGETS, Canvas, Shown, Tail, canvas, hidden

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.engine.queries import Answer

Rows = list[dict[str, Any]]


def slack_of(engine: AnyEngine) -> int | None:
    """The column of `<slack>`: the model's, or the one that tuning would begin with.

    None where the network has no row to spare, so that tuning would append one.
    """
    entry, free = engine.entry, engine.border.vocab
    if entry.slack_id is not None:
        return entry.slack_id
    return free if free < entry.geometry.get("vocab", 0) else None


class MovedTail:
    """A tail's targets at one share of masks: what is asked, and what is made of the answers.

    Args:
        engine: over a masked model.
        tail: whose targets.
        share: of its tokens that are masked.
        shown: what is visible among them.
        seed: of which these are.
        name: the cell's key.
    """

    def __init__(
        self, engine: AnyEngine, tail: Tail, share: float, shown: Shown, seed: int, name: str
    ) -> None:
        self._tail, self._share, self._shown = tail, share, shown
        self._slack = slack_of(engine)
        wanted = dict.fromkeys((*tail.tokens, tail.other))
        more = () if self._slack is None else (self._slack,)
        self._column = {token: at for at, token in enumerate([*wanted, *more])}
        masked = hidden(len(tail.tokens), share, seed)
        self._canvases = {
            target: canvas(tail, target, masked, shown, engine.entry.mask) for target in TARGETS
        }
        readout = Readout("chosen", tuple(self._column))
        one = {c.ids: Query(c.ids, c.places, (readout,), name) for c in self._canvases.values()}
        self.queries = list(one.values())

    def rows(self, answers: Sequence[Answer]) -> dict[str, Rows]:
        """A row for each target, and one for each token (slot, where only labels are moved).

        Args:
            answers: to `queries`.
        """
        known = zip(self.queries, answers, strict=True)
        read = {query.ids: answer["chosen"].astype(float) for query, answer in known}
        where = {"masked_share": self._share, "tail_shown": self._shown}
        count = {"tail_tokens": len(self._tail.tokens)}
        targets: Rows = []
        tokens: dict[int, dict[str, Any]] = {}
        for target, own in self._canvases.items():
            logps = read[own.ids]
            charged = self._charged(own, logps)
            targets.append(where | count | {"target": target} | self._sums(own, logps, charged))
            for number, nats, equal in zip(own.numbers, charged, own.equal, strict=True):
                if number is None or nats is None:
                    continue
                row = tokens.setdefault(number, where | {"from_point": number})
                row[f"ce_{target}"] = nats
                if target in ("right", "left"):
                    row[f"equal_{target}"] = equal
        return {"targets": targets, "tokens": [tokens[number] for number in sorted(tokens)]}

    def _charged(self, own: Canvas, logps: np.ndarray) -> list[float | None]:
        """The cross-entropy at every mask, in nats; None where there is no label."""
        return [
            None if slot.token is None else -float(logps[at, self._column[slot.token]])
            for at, slot in enumerate(own.labels)
        ]

    def _sums(
        self, own: Canvas, logps: np.ndarray, charged: Sequence[float | None]
    ) -> dict[str, Any]:
        """The losses of a whole canvas, in nats."""
        slacks = None if self._slack is None else logps[:, self._column[self._slack]]
        flexible = with_slack = 0.0
        for run in runs_of(own.places):
            labels = [own.labels[at].token for at in run]
            columns = [self._column[token] for token in labels if token is not None]
            part = logps[np.ix_(run, columns)]
            flexible += run_nll(part, None)
            with_slack += 0.0 if slacks is None else run_nll(part, slacks[run])
        known = [nats for nats in charged if nats is not None]
        return {
            "scored": len(known),
            "cross_entropy": float(np.sum(known)),
            "flexible": flexible,
            "flexible_slack": None if slacks is None else with_slack,
        }
