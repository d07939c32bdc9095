"""The run's own scorer as a judge: it prefers the answer that surprises it less.

No judge of quality: even the exact probability of the language prefers one likely sentence, said
again and again, to true prose (arXiv 2604.02718 on perplexity).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.executors.contract import Executor, Note
from mdlm_probe.runs.judges.answer_pairs import JudgedAnswer
from mdlm_probe.runs.judges.judge_calls import ONCE, Call, Reply, Verdict

CAUTION = (
    "nll goes by the scorer's likelihood: texts that say the same again win, so that a win rate by"
    " it tells of likelihood, not of quality"
)


class LikelihoodJudge:
    """Fewer nats per scorer token win; equal values are a tie. Source: ours."""

    name = "nll"
    orders = ONCE
    keeps_replies = False
    needs_prompts = False
    prompt = None

    def __init__(self) -> None:
        self.config: dict[str, Any] = {"by": "nll"}
        self.facts: dict[str, Any] = {}

    def caution(self, scorers: Mapping[str, str]) -> str:
        """That it is no judge of quality, and of which models it is a relative."""
        known = models.registry()
        kin = {
            name: models.relation(known[scorer], known[name])
            for name, scorer in scorers.items()
            if {name, scorer} <= known.keys()
        }
        told = [
            f"; {scorers[name]} is {how}, and favours its texts" for name, how in kin.items() if how
        ]
        return CAUTION + "".join(told)

    def check(self, prompts: Sequence[Text]) -> None:
        """Any prompt will do."""

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Nothing to do."""
        return ()

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """The two answers' nats per token.

        Raises:
            ProbeError: answers that were not scored at all.
        """
        for call in calls:
            pair = call.pair
            if pair.answer.tokens is None or pair.other.tokens is None:
                raise ProbeError(
                    f"answers without a likelihood, such as {pair.model}'s to '{pair.prompt}'"
                    f" with '{pair.intervention}'",
                    expected="columns `nll` and `scorer_tokens` filled in",
                    hint=f"`mdlm-probe {' or '.join(catalog.judged())} --scorer MODEL` scores"
                    " answers; or ask another judge: --endpoint, --judge-model",
                )
            if pair.answer.scorer != pair.other.scorer:
                raise ProbeError(
                    f"{pair.model} and {pair.against} were scored by different models:"
                    f" {pair.answer.scorer or 'none'} and {pair.other.scorer or 'none'}",
                    expected="likelihoods of one scorer",
                    hint="`--scorer MODEL`, the same in both runs; or another judge",
                )
            yield call, {"response": [nats_per_token(pair.answer), nats_per_token(pair.other)]}

    def read(self, reply: Reply) -> Verdict:
        """The lower one wins; no text loses; one too long for the scorer has no verdict."""
        a, b = reply["response"]
        if a is None or b is None:
            return Verdict("refused", "an answer too long for the scorer")
        return Verdict("A=B" if a == b else "A>B" if a < b else "B>A")


def nats_per_token(answer: JudgedAnswer) -> float | None:
    """Nats per scorer token: infinite for no text at all; None for one that was too long."""
    if answer.nll is None:
        return None
    return answer.nll / answer.tokens if answer.tokens else math.inf
