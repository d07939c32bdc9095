"""A local model as a judge: the letter that it finds likelier is its verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mdlm_probe import models
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import loaded_models
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
        self._engine: Engine | None = None
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

    def open(self, note: Callable[[str], None]) -> None:
        """Loads the model."""
        from mdlm_probe.engine.engine import Engine

        model = loaded_models.load_model(self._entry, self._load, note)
        self._engine = Engine(model, batch_tokens=self._batch_tokens)
        names = ("weight_hash", "dtype", "style", "style_reason")
        self.facts = {name: loaded_models.portable(model.facts.get(name)) for name in names}

    def ask(self, calls: Sequence[Call]) -> Iterator[tuple[Call, Reply]]:
        """Replies in the order asked; a prompt longer than the context is a failure."""
        assert self._engine is not None, "open() comes first"
        for start in range(0, len(calls), GROUP):
            group = calls[start : start + GROUP]
            queries = {call.id: self._query(self._engine, call) for call in group}
            context = self._entry.context
            fitting = [call for call in group if len(queries[call.id].ids) <= context]
            found = self._engine.ask([queries[call.id] for call in fitting])
            letters = dict(zip((call.id for call in fitting), found, strict=True))
            for call in group:
                length = len(queries[call.id].ids)
                if call.id not in letters:
                    reason = f"the prompt has {length} tokens, the judge's context {context}"
                    yield call, {"failed": reason}
                    continue
                a, b = (float(value) for value in letters[call.id]["chosen"][0])
                yield call, {"response": {"A": a, "B": b, "tokens": length}}

    def _query(self, engine: Engine, call: Call) -> Query:
        masked = self._entry.kind == "masked"
        prompt = self.prompt.letter(call.pair.asked, *call.texts, masked)
        ids = engine.border.encode(prompt)
        letters = tuple(engine.border.token(x, self.prompt.opening) for x in "AB")
        place = len(ids)
        if masked:  # the last one: an answer may spell a mask, too
            place -= 1 + ids[::-1].index(self._entry.mask_id)
        return Query(ids, (place,), (Readout("chosen", letters),), call.pair.id)

    def read(self, reply: Reply) -> Verdict:
        """The larger one wins; only exactly equal ones are a tie."""
        found = reply["response"]
        a, b = found["A"], found["B"]
        verdict = "A=B" if a == b else "A>B" if a > b else "B>A"
        return Verdict(verdict, "", a, b, found["tokens"], 0)
