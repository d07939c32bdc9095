"""Choices of an lm-eval task, scored by the chain rule: a pass for every token of a choice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.engine.queries import Answer, Asker, Query, Readout
from mdlm_probe.probes._few_shot.scoring import READOUTS, ScoringQueries
from mdlm_probe.prompts.few_shot_sets import LETTERS, MAX_OPTIONS, Example
from mdlm_probe.prompts.lm_eval_suite import METRICS, LmSet
from mdlm_probe.prompts.prompt import Prompt


def tokens_of(asker: Asker, source: LmSet, example: Example) -> list[tuple[int, ...]]:
    """The tokens of every choice where it follows the question, as lm-eval cuts them."""
    border, chat = asker.border, asker.entry.chat
    question = "" if chat else source.template.ask(example)
    found = []
    for text in source.continuations(example, chat):
        tokens = border.cut(question, text)[1] if question else border.pieces(text, inside=True)
        found.append(tokens or (border.token(text, question),))
        if not border.is_rough and _letters(border.decode(found[-1])) != _letters(text):
            raise ProbeError(
                f"the choice {text!r} has words that {asker.entry.name} doesn't know",
                expected="choices that its tokenizer can spell",
            )
    return found


def _letters(text: str) -> str:
    return "".join(text.split())


def query(
    asker: Asker, source: LmSet, example: Example, asked: Prompt, answer: str, name: str
) -> Query:
    """A prompt with as many masks in place of its first as the longest choice has tokens.

    Causal models: nothing stands there; the asked position is the token after the end.
    """
    ids = asker.border.encode(asked)
    if asker.entry.kind == "causal":
        return Query(ids, (len(ids),), (), name)
    at, mask = ids.index(asker.entry.mask), (asker.entry.mask,)
    longest = max(map(len, tokens_of(asker, source, example)))
    return Query(ids[:at] + mask * longest + ids[at + 1 :], (at,), (), name)


def spread(
    asker: Asker, source: LmSet, example: Example, query: Query, steps: int
) -> ScoringQueries:
    """The queries whose answers make the log-likelihood of every choice, by the chain rule.

    A choice of n tokens stands for n masks, filled from left to right: n passes; first passes of
    choices of equal length are one. Masks beyond those n are the appended ones. What follows a
    causal model's answer can't reach it: it stays in the first pass only.

    Raises:
        ProbeError: choices of several tokens, which several steps can't be read for.
    """
    choices = tokens_of(asker, source, example)
    if steps > 1 and max(map(len, choices)) > 1:
        raise _several_tokens(asker, source, example, choices, steps)
    at, causal = query.positions[0], asker.entry.kind == "causal"
    before, after = query.ids[:at], query.ids[at:]
    wanted: dict[tuple[tuple[int, ...], int], list[int]] = {}
    numbers = []
    if not causal:
        after = after[max(map(len, choices)) :]
    for tokens in choices:
        path = []
        for step, token in enumerate(tokens):
            rest = () if causal and step else after
            masks = () if causal else (asker.entry.mask,) * (len(tokens) - step)
            asked = before + tokens[:step] + masks + rest, at + step
            found = wanted.setdefault(asked, [])
            found += [] if token in found else [token]
            path.append((list(wanted).index(asked), found.index(token)))
        numbers.append(tuple(path))
    queries = tuple(
        replace(
            query,
            ids=ids,
            positions=(place,),
            readouts=(Readout("chosen", tuple(chosen)), *READOUTS),
        )
        for (ids, place), chosen in wanted.items()
    )
    return ScoringQueries(query, queries, tuple(numbers))


def _several_tokens(
    asker: Asker, source: LmSet, example: Example, choices: list[tuple[int, ...]], steps: int
) -> ProbeError:
    longest = max(range(len(choices)), key=lambda i: len(choices[i]))
    return ProbeError(
        f"--steps has {steps}, but choice '{example.options[longest]}' of {source.name} is "
        f"{len(choices[longest])} tokens for {asker.entry.name}",
        expected="choices of one token each",
        hint="--steps 1, or a task that is answered by letter",
        option="steps",
    )


def row(
    asker: Asker,
    source: LmSet,
    example: Example,
    asked: ScoringQueries,
    answers: Sequence[Answer],
    answer: str,
) -> dict[str, Any]:
    """The answer by the task's metric: `right` and `predicted` are letters, the first choice A.

    Log-probabilities are whole choices'. Entropy and confidence are those at the right choice's
    first token.
    """
    logps = [sum(float(answers[q]["chosen"][0, n]) for q, n in path) for path in asked.paths]
    values = [
        value / METRICS[source.metric](text)
        for value, text in zip(logps, example.options, strict=True)
    ]
    top = LETTERS[values.index(max(values))]
    right = LETTERS[example.right]
    first = answers[asked.paths[example.right][0][0]]
    columns: dict[str, float | None] = dict.fromkeys(f"logp_{x}" for x in LETTERS[:MAX_OPTIONS])
    columns |= {f"logp_{LETTERS[n]}": value for n, value in enumerate(logps[:MAX_OPTIONS])}
    return {
        "tokens": len(asked.query.ids),
        "right": right,
        "predicted": top,
        "correct": top == right,
        "logp_right": logps[example.right],
        **columns,
        "entropy": float(first["entropy"][0]),
        "top1_prob": math.exp(float(first["top_logprob"][0])),
    }
