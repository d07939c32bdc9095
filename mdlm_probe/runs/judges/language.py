"""The bundled models' language as a judge of its own texts: its rules are known."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import text_metrics
from mdlm_probe.prompts import toy_grammar
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.executors.contract import Executor, Note
from mdlm_probe.runs.judges.judge_calls import ONCE, Call, Reply, Verdict

NAME = "language"


class LanguageJudge:
    """The text that keeps better to the language wins; equally good ones are a tie. Source: ours.

    Prose is judged by its valid transitions and kept pairs, per word and pair, by half where they
    say the same again (`toy_grammar.Truth.score`); an answer to a question by being right.

    Args:
        assumed: whether nobody chose it: then every prompt has to be of the language. Chosen, it
            gives no verdict on those of others.
    """

    name = NAME
    orders = ONCE
    keeps_replies = False
    needs_prompts = True
    prompt = None

    def __init__(self, assumed: bool = False) -> None:
        self._assumed = assumed
        self.config: dict[str, Any] = {"by": NAME}
        self.facts: dict[str, Any] = {}

    def caution(self, scorers: Mapping[str, str]) -> str:
        """Nothing."""
        return ""

    def check(self, prompts: Sequence[Text]) -> None:
        """Refuses prompts of another language.

        Raises:
            ProbeError: one of them is, where nobody chose this judge; or all of them are.
        """
        foreign = [text.id for text in prompts if not knows(text)]
        known = len(prompts) - len(foreign)
        if not foreign or (known and not self._assumed):
            return
        apart = f"--judge-by {NAME} judges the other {known} alone; " if known else ""
        raise ProbeError(
            f"{len(foreign)} of {len(prompts)} prompts aren't of the bundled models' language, in"
            f" which texts are judged without a model; such as '{foreign[0]}'",
            expected="a judge: --endpoint URL --judge NAME, or --judge-model MODEL",
            hint=f"{apart}--judge-by nll takes the scorer's likelihood, which repetition wins",
            option="judge_by",
        )

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Nothing to do."""
        return ()

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """How far the two texts keep to the language; nothing where the prompt is of another."""
        for call in calls:
            asked = call.pair.text
            shares = [quality(asked, text) for text in call.texts] if knows(asked) else None
            yield call, {"response": shares}

    def read(self, reply: Reply) -> Verdict:
        """The higher share wins."""
        if reply["response"] is None:
            return Verdict("refused", "the prompt isn't of the bundled models' language")
        a, b = reply["response"]
        said = "A=B" if a == b else "A>B" if a > b else "B>A"
        return Verdict(said, f"{a:.3f} of A keep to the language, {b:.3f} of B")


def knows(asked: Text) -> bool:
    """Whether the language can judge what follows a prompt: its prose, or a question of its own."""
    return bool(asked.answer) or toy_grammar.is_prose(asked.prompt)


def quality(asked: Text, text: str) -> float:
    """From 0 to 1, how good a text is after a prompt that the language knows."""
    if asked.answer:
        return float(text_metrics.exact(text, asked.answer))
    found = toy_grammar.truth(asked.prompt, text)
    assert found, "a prompt that the language knows"
    return found.score
