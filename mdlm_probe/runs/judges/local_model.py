"""A local model as a judge: the letter that it finds likelier is its verdict."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mdlm_probe import models
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import loaded_models
from mdlm_probe.runs.executors.contract import EngineRequest, Executor, Note, Session
from mdlm_probe.runs.judges.judge_calls import BOTH, Call, Reply, Verdict
from mdlm_probe.runs.judges.judge_prompt import JudgePrompt

if TYPE_CHECKING:
    from mdlm_probe.engine.engine import Engine

GROUP = 64
"""Calls that are asked and kept together: a crash costs these."""


class LocalJudge:
    """Compares log-probabilities of the letters A and B where the prompt's answer opens.

    Args:
        model: registry name, folder or hub id; causal or masked.
        prompt: what it reads.
        load: how to load it.
        batch_tokens: padded tokens of a batch; None finds it.

    Raises:
        ProbeError: there is no such model.
    """

    orders = BOTH
    keeps_replies = True
    needs_prompts = True

    def __init__(
        self, model: str, prompt: JudgePrompt, load: LoadOptions, batch_tokens: int | None
    ) -> None:
        self._entry = models.entry_for(model, load)
        self.prompt, self._load, self._batch_tokens = prompt, load, batch_tokens
        self._session: Session | None = None
        self.name = self._entry.name
        self.facts: dict[str, Any] = {}
        self.config = {
            "by": "model",
            "source": loaded_models.portable(loaded_models.place(self._entry.source)),
            "load": load.recorded(),
        }

    def caution(self, scorers: Mapping[str, str]) -> str:
        """That it is a relative of a model whose answers it judges."""
        known = models.registry()
        for name in scorers:
            if name in known and (kin := models.relation(self._entry, known[name])):
                return f"the judge {self.name} is {kin}: it may favour what {name} writes"
        return ""

    def check(self, prompts: Sequence[Text]) -> None:
        """Any prompt will do."""

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Loads the model."""
        batch = {"tokens": self._batch_tokens}
        self._session = executor.open(EngineRequest(self._entry, self._load, batch=batch), note)
        names = ("weight_hash", "dtype", "style", "style_reason")
        self.facts = {name: self._session.facts["model"].get(name) for name in names}
        return self._session.workers

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """Replies in the order asked; a prompt longer than the context is a failure."""
        assert self._session is not None, "open() comes first"
        groups = [calls[start : start + GROUP] for start in range(0, len(calls), GROUP)]
        results = self._session.results(
            partial(replies, self.prompt), groups, watch=lambda tokens: None
        )
        for group, result in zip(groups, results, strict=True):
            yield from zip(group, result.found, strict=True)

    def read(self, reply: Reply) -> Verdict:
        """The larger one wins; only exactly equal ones are a tie."""
        found = reply["response"]
        a, b = found["A"], found["B"]
        verdict = "A=B" if a == b else "A>B" if a > b else "B>A"
        return Verdict(verdict, "", a, b, found["tokens"], 0)


def replies(prompt: JudgePrompt, engine: Engine, calls: Sequence[Call]) -> list[Reply]:
    """A model's replies to calls, in their order.

    Args:
        prompt: what it reads.
        engine: asks the model.
        calls: what it is asked.
    """
    queries = [query_of(prompt, engine, call) for call in calls]
    context = engine.entry.context
    fitting = [query for query in queries if len(query.ids) <= context]
    letters = iter(engine.ask(fitting))
    found: list[Reply] = []
    for query in queries:
        length = len(query.ids)
        if length > context:
            reason = f"the prompt has {length} tokens, the judge's context {context}"
            found.append({"failed": reason})
            continue
        a, b = (float(value) for value in next(letters)["chosen"][0])
        found.append({"response": {"A": a, "B": b, "tokens": length}})
    return found


def query_of(prompt: JudgePrompt, engine: Engine, call: Call) -> Query:
    """What asks for the two letters of a call."""
    masked = engine.entry.kind == "masked"
    ids = engine.border.encode(prompt.letter(call.pair.asked, *call.texts, masked))
    letters = tuple(engine.border.token(x, prompt.opening) for x in "AB")
    place = len(ids)
    if masked:  # the last one: an answer may spell a mask, too
        place -= 1 + ids[::-1].index(engine.entry.mask_id)
    return Query(ids, (place,), (Readout("chosen", letters),), call.pair.id)
