"""The oracle: a model that can be computed by hand, the exact posterior of a hidden Markov chain.

It is what an ideal masked (or causal) model of its language answers: appended masks can't distract
it, any reveal order gives the same joint. Every probe is calibrated against it. Source: ours.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import logsumexp
from torch import Tensor

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._base import Model
from mdlm_probe.models._border import Border, load_border
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.prompts import toy_language
from mdlm_probe.prompts.few_shot_sets import Example, Task, Template
from mdlm_probe.prompts.suite import load
from mdlm_probe.prompts.toy_language import HiddenMarkov

SMOOTHING = 1e-6
"""Probability that a state emits any token at all: texts outside the language have a posterior."""

GAP, STAY = 0.1, 0.9
"""Probabilities that an answer is followed by a gap, and that a gap continues."""

EVEN, FIRST = (1 / 3, 1 / 3, 1 / 3), (0.4, 0.3, 0.3)
"""Probabilities of the slots that the right option stands in."""


class Weights(NamedTuple):
    """A weight for every hidden state: scaled within each part of the chain, and each part's scale.

    Parts are the languages that a text is in for good, whichever it is. A text can be so much more
    probable in one that a float has no room for the other, which matters again where the other
    side of the mask says the opposite.

    Attributes:
        scaled: weights that sum to one within each part, or are all zero, [states, batch].
        log_scale: the logarithm of what they were divided by, [parts, batch].
    """

    scaled: np.ndarray
    log_scale: np.ndarray


States = dict[int, Weights]
"""Position -> a weight for every hidden state."""


class Oracle:
    """The exact posterior of a hidden Markov chain, as a model.

    Masked: p(x_i | all unmasked tokens) by the forward-backward algorithm, for a text that has
    no end on its right. Causal: p(x_i | x_<i) by the forward algorithm. Float64 throughout.

    Args:
        entry: name, kind, mask id and context.
        border: text in, ids out.
        chain: the language.
        token_ids: vocabulary id of each of the chain's tokens, [tokens].
        vocab: size of the vocabulary.
        smoothing: see `SMOOTHING`.
    """

    device = "cpu"

    def __init__(
        self,
        entry: Checkpoint,
        border: Border,
        chain: HiddenMarkov,
        token_ids: Sequence[int],
        vocab: int,
        smoothing: float = SMOOTHING,
    ) -> None:
        self.entry, self.border, self.vocab = entry, border, vocab
        self.facts: dict[str, Any] = {"dtype": "float64", "device": "cpu", "weight_hash": "none"}
        self.facts |= entry.block_facts
        self._initial = chain.initial
        self._forward, self._backward = chain.transition.T.tocsr(), chain.transition.tocsr()
        parts, self._part = connected_components(chain.transition, directed=False)
        self._sums = sparse.csr_array(np.arange(parts)[:, None] == self._part)
        emission = np.zeros((vocab, len(chain.initial)))
        emission[list(token_ids)] = chain.emission.T
        possible = np.ones(vocab, dtype=bool)
        if entry.mask_id is not None:
            possible[entry.mask_id] = False
        emission[possible] = (1 - smoothing) * emission[possible] + smoothing / possible.sum()
        self._emission = emission

    def _seen(self, column: np.ndarray) -> np.ndarray:
        """Probability of a column's tokens in every state, [states, batch]; masks tell nothing."""
        seen: np.ndarray = self._emission[column]
        seen[column == self.entry.mask_id] = 1.0
        return seen.T

    def _filter(self, ids: np.ndarray, wanted: Container[int] = ()) -> tuple[States, Weights]:
        """Forward: at wanted places, and at the end, the states given all before."""
        first = np.repeat(self._initial[:, None], len(ids), axis=1)
        state, before = self._scaled(first), {}
        for position, column in enumerate(ids.T):
            if position in wanted:
                before[position] = state
            seen = self._scaled(state.scaled * self._seen(column), state.log_scale)
            state = Weights(self._forward @ seen.scaled, seen.log_scale)
        before[ids.shape[1]] = state
        return before, state

    def _smooth(self, ids: np.ndarray, lengths: np.ndarray, wanted: Collection[int]) -> States:
        """Backward to the first wanted position: at each the likelihood of all that follows."""
        after = self._scaled(np.ones((len(self._initial), len(ids))))
        found = {}
        for position in range(ids.shape[1] - 1, -1, -1):
            if position in wanted:
                found[position] = after
                if len(found) == len(wanted):
                    break
            seen = self._seen(ids[:, position])
            # padding tells nothing: beyond a sequence's end `after` stays as it was
            seen[:, position >= lengths] = 1.0
            after = self._scaled(self._backward @ (seen * after.scaled), after.log_scale)
        return found

    def _scaled(self, weights: np.ndarray, log_scale: np.ndarray | float = 0.0) -> Weights:
        """Weights that sum to one within each part; their sums go to the scale."""
        total = self._sums @ weights
        with np.errstate(divide="ignore"):
            scale = log_scale + np.log(total)
        # `take` is several times as fast as an index where there are few texts
        return Weights(weights / np.where(total > 0, total, 1.0).take(self._part, axis=0), scale)

    def _posterior(self, state: Weights) -> np.ndarray:
        """Probabilities of the states, [states, batch]."""
        own = self._scaled(*state)
        largest = own.log_scale.max(0)
        if not np.isfinite(largest).all():
            raise ProbeError("a text has no probability in the oracle's language")
        share = np.exp(own.log_scale - largest)
        found: np.ndarray = own.scaled * (share / share.sum(0)).take(self._part, axis=0)
        return found

    def states(
        self,
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        rows: Int[Tensor, " asked"],
        positions: Int[Tensor, " asked"],
        origins: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, "asked states"]:
        """Posterior over hidden states at the asked positions; see the Model protocol."""
        wanted = set(positions.tolist())
        # what stands behind the last of them tells nothing of what stands before
        before, _ = self._filter(ids[:, : max(wanted) + 1].numpy(), wanted)
        found = _picked(before, rows, positions)
        if self.entry.kind == "masked":
            asked = ids[rows, positions]
            if any(token != self.entry.mask_id for token in asked.tolist()):
                raise ProbeError("the oracle answers at masked positions only")
            after = _picked(self._smooth(ids.numpy(), lengths.numpy(), wanted), rows, positions)
            found = Weights(found.scaled * after.scaled, found.log_scale + after.log_scale)
        return torch.from_numpy(self._posterior(found).T)

    def logprobs(self, states: Float[Tensor, "asked states"]) -> Float[Tensor, "asked vocab"]:
        """Log-probabilities of the tokens, float32; the mask's is minus infinity."""
        return (states @ torch.from_numpy(self._emission).T).log().float()

    def log_likelihood(self, ids: Sequence[int]) -> float:
        """Exact log-probability of the unmasked tokens of a text, in nats."""
        _, state = self._filter(np.array([ids]))
        return float(logsumexp(self._scaled(*state).log_scale))


def _picked(states: States, rows: Tensor, positions: Tensor) -> Weights:
    """The weights at the asked positions of the asked rows, [states, asked] and [parts, asked]."""
    places = list(zip(rows.tolist(), positions.tolist(), strict=True))
    scaled = np.stack([states[position].scaled[:, row] for row, position in places], axis=1)
    scale = np.stack([states[position].log_scale[:, row] for row, position in places], axis=1)
    return Weights(scaled, scale)


def build(entry: Checkpoint, options: LoadOptions) -> Model:
    """The oracle of the small language, with the bundled models' vocabulary."""
    return made(Oracle, language(), entry, options)


def made(
    kind: type[Oracle], chain: HiddenMarkov, entry: Checkpoint, options: LoadOptions
) -> Oracle:
    """An oracle of a chain of the small language's words.

    Raises:
        ProbeError: options for loading weights, which it hasn't.
    """
    check_options(entry, options)
    border = load_border(Path(entry.source), entry)
    ids = [border.token(token) for token in chain.tokens]
    return kind(entry, border, chain, ids, border.tokenizer.get_vocab_size())


def check_options(entry: Checkpoint, options: LoadOptions) -> None:
    """Refuses options for loading weights, of a model that has none.

    Raises:
        ProbeError: naming the option.
    """
    defaults = {"quantize": "", "adapter": "", "dtype": "auto", "rope_scale": 1.0}
    asked = [name for name, usual in defaults.items() if getattr(options, name) != usual]
    if options.device not in ("auto", "cpu"):
        asked.append("device")
    if asked:
        raise ProbeError(
            f"'{entry.name}' has no weights: --{asked[0].replace('_', '-')} means nothing",
            expected="no options for loading: it computes in float64 on the CPU",
            option=asked[0],
        )


@cache
def language(doubt: float = 0.0) -> HiddenMarkov:
    """Few-shot documents of the small lexicon, or prose: one or the other, evenly.

    A few-shot document has one relevant task, evenly drawn, for good; each of its examples is
    relevant or about numbers, evenly. So an example says the same wherever it stands: the ideal
    answer doesn't depend on position. Number examples are drawn without a rule.

    Args:
        doubt: share of the few-shot documents in which word examples have no rule, either, but for
            the right option, which is the first somewhat more often.
    """
    suite = load("few-shot", "small")
    tasks = list({fs.relevant.name: fs.relevant for fs in suite.sets.values()}.values())
    shares = [0.5 * (1 - doubt) / len(tasks)] * len(tasks)
    if doubt:
        tasks, shares = [*tasks, _any_of(tasks)], [*shares, 0.5 * doubt]
    fs = next(iter(suite.sets.values()))
    numbers = [str(n) for n in range(fs.distractor.span[0], fs.distractor.span[1] + 1)]
    slots = [EVEN] * (len(tasks) - 1) + [FIRST if doubt else EVEN]
    drawn = zip(tasks, slots, strict=True)
    parts = [_documents(task, numbers, fs.template, at) for task, at in drawn]
    return _union([*parts, toy_language.prose()], [*shares, 0.5])


def _any_of(tasks: list[Task]) -> Task:
    """No rule: any word of the tasks may be the right option, or a wrong one."""
    words = {w for task in tasks for group in (task.target, *task.wrong) for w in group}
    return replace(
        tasks[0], name="none", target=tuple(sorted(words)), wrong=(tuple(sorted(words)),)
    )


def _documents(
    task: Task, numbers: list[str], template: Template, slots: tuple[float, float, float]
) -> HiddenMarkov:
    """Documents of one relevant task. A state remembers the right option's slot and word.

    An answer is closed, or followed by a gap of any tokens: so masks after an answer are something
    that happens in the language, and tell nothing about the answer.
    """
    asked = template.ask(Example(("\0", "\0", "\0"), 0)).split("\0")
    frames = [*asked[:3], template.turn + template.opening(), template.closing(), template.end]
    wrong = [word for words in task.wrong for word in words]
    weight = np.concatenate([np.full(len(ws), 1 / len(ws)) for ws in task.wrong]) / len(task.wrong)
    words = [*task.target, *wrong, *numbers]
    tokens = tuple(dict.fromkeys([*frames, *words]))
    index = {token: i for i, token in enumerate(tokens)}
    kinds: list[tuple[int, str]] = [(s, w) for s in range(3) for w in task.target] + [(-1, "")]
    start, end, gap, first_of_all, length = 0, 1, 2, 3, 8
    size = first_of_all + length * len(kinds)
    emission = np.zeros((size, len(tokens)))
    transition = sparse.lil_array((size, size))
    emission[start, index[frames[0]]] = emission[end, index[frames[5]]] = transition[end, start] = 1
    emission[gap] = 1 / len(tokens)
    transition[gap, gap], transition[gap, end] = STAY, 1 - STAY
    for k, (slot, word) in enumerate(kinds):
        first = first_of_all + length * k
        transition[start, first] = 0.5 if slot < 0 else 0.5 * slots[slot] / len(task.target)
        for i in range(length - 1):
            transition[first + i, first + i + 1] = 1
        transition[first + 6, first + 7], transition[first + 6, gap] = 1 - GAP, GAP
        transition[first + 7, end] = 1
        for i, frame in ((1, frames[1]), (3, frames[2]), (5, frames[3]), (7, frames[4])):
            emission[first + i, index[frame]] = 1
        for i, place in ((0, 0), (2, 1), (4, 2), (6, slot)):
            row = emission[first + i]
            if slot < 0:
                row[[index[n] for n in numbers]] = 1 / len(numbers)
            elif place == slot:
                row[index[word]] = 1
            else:
                np.add.at(row, [index[w] for w in wrong], weight)
    initial = np.zeros(size)
    initial[start] = 1
    return HiddenMarkov(tokens, initial, transition.tocsr(), emission)


def _union(parts: list[HiddenMarkov], shares: list[float]) -> HiddenMarkov:
    """A chain that is one of several for good."""
    tokens = tuple(dict.fromkeys(token for part in parts for token in part.tokens))
    index = {token: i for i, token in enumerate(tokens)}
    initial = np.concatenate([part.initial * s for part, s in zip(parts, shares, strict=True)])
    emission = np.zeros((len(initial), len(tokens)))
    row = 0
    for part in parts:
        columns = [index[token] for token in part.tokens]
        emission[row : row + len(part.initial), columns] = part.emission
        row += len(part.initial)
    transition = sparse.csr_array(sparse.block_diag([part.transition for part in parts]))
    return HiddenMarkov(tokens, initial, transition, emission)
