"""lm-eval's requests for likelihoods: of continuations, and of whole documents."""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.harness import continuation_scores, request_tokens
from mdlm_probe.harness.answer_log import name_of
from mdlm_probe.harness.base_model import EngineLM, letters, place, title
from mdlm_probe.harness.continuation_scores import Choices, Scored
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.items import Item, windows

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class Likelihoods(EngineLM):
    """Answers requests for likelihoods."""

    def loglikelihood(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """Log-likelihoods in nats, and whether greedy decoding writes the continuation."""
        pairs = [request_tokens.pair(self.border, *request.args) for request in requests]
        self._note_apart([r for r, pair in zip(requests, pairs, strict=True) if pair.apart])
        items, names = self._items(requests, pairs)
        groups = [
            group
            for group in self._groups(requests)
            if not any(self.overlong.skips(requests[at]) for at in group)
        ]
        missing = [g for g in groups if any(names[at] not in self.answers for at in g)]
        cost = [
            sum(estimators.cost(items[at], self.entry, self.settings) for at in group)
            for group in missing
        ]
        done = len(requests) - sum(map(len, missing))
        self.progress.start(f"{self.entry.name} likelihoods", len(requests), done)

        def choices(group: Sequence[int]) -> Choices:
            weights = [float(letters(requests[at])) for at in group]
            return Choices([items[at] for at in group], weights)

        work = partial(continuation_scores.score, self.settings)
        for part, found in self.answered(work, self.parts(missing, cost), choices):
            self.answers.add(
                {
                    names[at]: one.row()
                    for group, scores in zip(part, found, strict=True)
                    for at, one in zip(group, scores, strict=True)
                }
            )
            self.progress.advance(sum(map(len, part)), 0)
        values = []
        for at, request in enumerate(requests):
            if self.overlong.skips(request):  # counts nowhere
                values.append((math.nan, False))
                continue
            one = self._recorded(request, names[at])
            values.append((one.logp, one.greedy))
            self.cache_hook.add_partial("loglikelihood", request.args, values[-1])
        return values

    def _items(
        self, requests: Sequence[Instance], pairs: Sequence[request_tokens.Pair]
    ) -> tuple[list[Item], dict[int, str]]:
        """What is asked for each request, and the names of the answers."""
        most = request_tokens.longest(self.entry)
        clips, tally = [], Tally[str]()
        for request, pair in zip(requests, pairs, strict=True):
            _refuse_empty(request, pair)
            clips.append(self.clip(request, pair.before, pair.after, most))
            tally["contexts"] += bool(clips[-1].cut)
            tally["continuations"] += len(pair.after) >= most
        self.note_cuts(tally)
        items = [
            Item(c.ids, c.first, title(r), seed_of("loglikelihood", self.seed, *r.args))
            for r, c in zip(requests, clips, strict=True)
        ]
        # cut elsewhere than in runs that knew no such cut: not the answers found there
        marks = [
            (*(["apart"] if pair.apart else []), *self.rule_of(clip.cut))
            for pair, clip in zip(pairs, clips, strict=True)
        ]
        return items, dict(self._names(requests, marks))

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """Log-likelihoods of whole documents in nats, window by window."""
        names = [self._name("loglikelihood_rolling", *request.args) for request in requests]
        new = {n: r for n, r in zip(names, requests, strict=True) if n not in self.answers}
        windows = {name: self._windows(request) for name, request in new.items()}
        cost = [
            sum(estimators.cost(item, self.entry, self.settings) for item in items)
            for items in windows.values()
        ]
        done = sum(name in self.answers for name in names)
        self.progress.start(f"{self.entry.name} documents", len(requests), done)
        work = partial(continuation_scores.score_documents, self.settings)
        parts = self.parts(list(windows), cost)
        for part, found in self.answered(work, parts, windows.__getitem__):
            rows = {name: one.row() for name, one in zip(part, found, strict=True)}
            self.answers.add(rows)
            ended = sum(name in rows for name in names)
            self.progress.advance(ended, 0)
        both = zip(requests, names, strict=True)
        values = [self._recorded(request, name).logp for request, name in both]
        for request, value in zip(requests, values, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, value)
        return values

    def record(self, request: Instance) -> Scored | None:
        """What was found of a request for a likelihood; None where nothing was asked of it."""
        return self.scored.get(place(request))

    def _recorded(self, request: Instance, name: str) -> Scored:
        one = self.scored[place(request)] = Scored(**self.answers[name])
        return one

    def _note_apart(self, requests: Sequence[Instance]) -> None:
        """Says how many continuations would share a token with their contexts."""
        if requests:
            documents = len({(request.task_name, request.doc_id) for request in requests})
            self.progress.note(
                f"{self.entry.name}: {len(requests)} continuations of {documents} documents"
                " would share a token with their contexts: they are tokenised apart, where lm-eval"
                " itself would cut in the wrong place"
            )

    def _windows(self, request: Instance) -> list[Item]:
        """A document's windows; a document without tokens has none."""
        border, (text,) = self.border, request.args
        ids, begin = request_tokens.encode(border, text), request_tokens.prefix(border)
        found = windows(ids, begin, request_tokens.longest(self.entry))
        return [
            replace(item, name=title(request), seed=seed_of("rolling", self.seed, text, number))
            for number, item in enumerate(found)
        ]

    def _groups(self, requests: Sequence[Instance]) -> Iterator[list[int]]:
        """Requests that are ranked together: the choices of a document, where --decide looks."""
        groups: dict[Any, list[int]] = {}
        for at, request in enumerate(requests):
            whole = self.settings.decide and request.doc_id is not None
            key = (request.task_name, request.doc_id) if whole else at
            groups.setdefault(key, []).append(at)
        for group in groups.values():
            sides = [{requests[at].args[side] for at in group} for side in (0, 1)]
            if min(map(len, sides)) == 1:
                yield group
            else:  # differences of likelihoods are not decided by likelihoods
                yield from ([at] for at in group)

    def _names(
        self,
        requests: Sequence[Instance],
        marks: Sequence[tuple[str, ...]],
    ) -> Iterator[tuple[int, str]]:
        """The name of every request's answer; with --decide its rivals are a part of it."""
        for group in self._groups(requests):
            rivals = [requests[at].args for at in group] if len(group) > 1 else []
            marked = sorted({mark for at in group for mark in marks[at]})
            for at in group:
                yield at, self._name("loglikelihood", *requests[at].args, rivals, *marked)

    def _name(self, kind: str, *parts: Any) -> str:
        settings = None if self.entry.kind == "causal" else self.settings.named()
        if settings and not self.entry.block:
            del settings["fill"]  # answers from before there were blocks are found
        return name_of(kind, self._identity, self.seed, settings, parts)


def _refuse_empty(request: Instance, pair: request_tokens.Pair) -> None:
    if not pair.after:
        raise ProbeError(
            f"the continuation of {title(request)} is empty: {request.args[1]!r}",
            expected="one token or more after its context",
        )
