"""What the bundled models can do: the suite by position of the relevant block, facts, prose."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import LlamaForCausalLM

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.prompts import prompt, toy_language
from mdlm_probe.prompts.few_shot_sets import ask, shot
from mdlm_probe.prompts.suite import load
from training import _bundled_data as data
from training import _bundled_facts as facts

POSITIONS = (0, 5, 10, 15, 20, 25, 30, 35, 40)
SHOTS, DISTRACTORS = 10, 40
BATCH = 16


@dataclass(frozen=True)
class Question:
    """A prompt of the suite as token ids, ending in its answer's opening, and the right token."""

    ids: tuple[int, ...]
    right: int


def questions(position: int, items: int, shots: int = SHOTS) -> list[Question]:
    """Test points of all 16 sets, the relevant block at a place among the distractors.

    Args:
        position: number of distractors before the relevant block, 0 (far) to 40 (near).
        items: test points of each set.
        shots: relevant examples; 0 for the distractors alone.
    """
    tokenizer, suite = data.tokenizer(), load("few-shot", "small")
    out = []
    for fewshot in suite.sets.values():
        template = fewshot.template
        near = [shot(template, e, "word") for e in fewshot.shots("relevant", shots, 0)]
        far = [shot(template, e, "word") for e in fewshot.shots("distractor", DISTRACTORS, 0)]
        turns = [*far[:position], *near, *far[position:]]
        for example in fewshot.items(items, 0, SHOTS):
            asked = ask(template, example, None)
            text = prompt.Prompt((*turns, asked), template.turn, template.end).text()
            right = data.ids_of()[example.options[example.right]]
            out.append(Question(tuple(tokenizer.encode(text)), right))
    return out


def asked_ids(questions: Sequence[Question], masked: bool) -> Int[Tensor, "batch length"]:
    """Prompts of one length as a batch; a masked model's end in `<mask>].`"""
    ids = torch.tensor([q.ids for q in questions])
    if not masked:
        return ids
    closing = torch.tensor([data.MASK_ID, data.ids_of()[data.CLOSING]])
    return torch.cat([ids, closing.expand(len(ids), 2)], 1)


@torch.inference_mode()
def accuracy(model: LlamaForCausalLM, questions: Sequence[Question]) -> float:
    """Share of questions whose most probable token, the mask aside, is the right word."""
    masked, hits = not model.config.is_causal, 0
    for part in _parts(questions):
        ids = asked_ids(part, masked).to(model.device)
        states = model.model(input_ids=ids, use_cache=False).last_hidden_state
        logits = model.lm_head(states[:, len(part[0].ids) - (0 if masked else 1)])
        logits[:, data.MASK_ID] = -torch.inf
        hits += sum(a == q.right for a, q in zip(logits.argmax(-1).tolist(), part, strict=True))
    return hits / len(questions)


def _parts(questions: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """Questions of one length, `BATCH` at a time."""
    by_length = sorted(questions, key=lambda question: len(question.ids))
    for _, alike in itertools.groupby(by_length, key=lambda question: len(question.ids)):
        same = list(alike)
        for start in range(0, len(same), BATCH):
            yield same[start : start + BATCH]


def curve(model: LlamaForCausalLM, items: int = 20) -> dict[str, float]:
    """Accuracy by position of the relevant block, and without any relevant example."""
    found = {str(p): accuracy(model, questions(p, items)) for p in POSITIONS}
    return found | {"none": accuracy(model, questions(0, items, shots=0))}


# ---------------------------------------------------------------------- facts

LENGTHS, DEPTHS = (128, 256, 512), (0, 25, 50, 75, 100)


def told(length: int, depth: int, items: int) -> list[Question]:
    """Prose that tells one fact at a depth, and ends with the same fact up to its value.

    Neither the fact's key nor its value stands anywhere else.

    Args:
        length: tokens, at most; nearly so many.
        depth: share of the sentences before the fact, in percent.
        items: how many.
    """
    out = []
    for item in range(items):
        rng = np.random.default_rng(seed_of("told", length, item))
        (*opening, value, stop) = facts.facts(rng)[0].tolist()
        texts, room = [], length - 2 * len(opening) - 3
        for text in facts.prose(rng):
            if not {opening[1], value} & set(text.tolist()):
                texts.append(text.tolist())
            if sum(map(len, texts)) > room:
                break
        texts.pop()
        texts.insert(round(depth / 100 * len(texts)), [*opening, value, stop])
        out.append(Question((*itertools.chain(*texts), *opening), value))
    return out


def recall(model: LlamaForCausalLM, items: int = 40) -> dict[str, dict[str, float]]:
    """Share of facts told back, by tokens of the text and depth of the fact."""
    return {
        str(length): {str(d): accuracy(model, told(length, d, items)) for d in DEPTHS}
        for length in LENGTHS
    }


# ---------------------------------------------------------------------- prose


def prose_texts(rows: int, length: int, *seed: object) -> Int[np.ndarray, "rows length"]:
    """Held-out prose as token ids: the chain's own sampler, seeded unlike training."""
    rng = np.random.default_rng(seed_of("held-out prose", *seed))
    first = data.ids_of()[toy_language.prose().tokens[0]]
    return np.stack([toy_language.prose().sample(length, rng) for _ in range(rows)]) + first


def exact_nll(ids: Int[np.ndarray, "rows length"]) -> Float[np.ndarray, "rows length"]:
    """The chain's exact negative log-likelihood of each token given those before, in nats.

    Source: the forward algorithm.
    """
    chain = toy_language.prose()
    tokens = ids - data.ids_of()[chain.tokens[0]]
    belief = np.tile(chain.initial, (len(ids), 1))
    out = np.empty(ids.shape)
    for i in range(ids.shape[1]):
        joint = belief * chain.emission[:, tokens[:, i]].T
        total = joint.sum(1, keepdims=True)
        out[:, i] = -np.log(total[:, 0])
        belief = (joint / total) @ chain.transition.toarray()
    return out


@torch.inference_mode()
def causal_nll(
    model: LlamaForCausalLM, ids: Int[np.ndarray, "rows length"]
) -> Float[np.ndarray, "rows length-1"]:
    """The causal model's negative log-likelihood of each token but the first, in nats."""
    tokens = torch.from_numpy(ids).to(model.device)
    logp = _logp(model, tokens)[:, :-1]
    return -logp.gather(-1, tokens[:, 1:, None])[..., 0].cpu().numpy()


@torch.inference_mode()
def chain_nll(
    model: LlamaForCausalLM, ids: Int[np.ndarray, "rows length"]
) -> Float[np.ndarray, "rows length"]:
    """The masked model's negative log-likelihood, tokens revealed from left to right, in nats.

    What is not revealed is masked: as many forward passes as tokens, and by the chain rule a proper
    likelihood.
    """
    tokens = torch.from_numpy(ids).to(model.device)
    out = torch.empty(tokens.shape, device=model.device)
    for i in range(tokens.shape[1]):
        seen = tokens.clone()
        seen[:, i:] = data.MASK_ID
        row = _logp(model, seen)[:, i]
        out[:, i] = -row.gather(-1, tokens[:, i, None])[:, 0]
    return out.cpu().numpy()


def _logp(
    model: LlamaForCausalLM, ids: Int[Tensor, "batch length"]
) -> Float[Tensor, "batch length vocab"]:
    logits = model.lm_head(model.model(input_ids=ids, use_cache=False).last_hidden_state)
    logits[..., data.MASK_ID] = -torch.inf
    return logits.log_softmax(-1)


@torch.inference_mode()
def one_by_one(
    model: LlamaForCausalLM, rows: int, length: int, seed: int
) -> Int[np.ndarray, "rows length"]:
    """Prose sampled at temperature 1 after a sentence's first five tokens: the causal model from
    left to right, the masked one a place at a time in random order."""
    generator = torch.Generator().manual_seed(seed)
    masked = not model.config.is_causal
    ids = torch.from_numpy(prose_texts(rows, length, "prompts", seed))
    places = torch.arange(5, length).expand(rows, -1)
    if masked:
        places = places.gather(1, torch.rand(places.shape, generator=generator).argsort(1))
    ids[:, 5:] = data.MASK_ID
    every = torch.arange(rows)
    for k in range(places.shape[1]):
        at = places[:, k]
        seen = ids if masked else ids[:, : 5 + k]
        logp = _logp(model, seen.to(model.device))[every, at - (0 if masked else 1)].cpu()
        ids[every, at] = torch.multinomial(logp.exp(), 1, generator=generator)[:, 0]
    return ids.numpy()


def validity(ids: Int[np.ndarray, "rows length"]) -> dict[str, float]:
    """How much of a text the chain could have written.

    Returns:
        "prose": share of tokens that are prose (the models also know blank lines and exercises);
        "bigrams": of the bigrams of prose tokens, the share that the chain can produce;
        "pairs": of the first words of pairs that prose follows, the share followed by their second.
    """
    chain = toy_language.prose()
    reach = chain.emission.T @ (chain.transition.toarray() > 0) @ chain.emission > 0
    tokens = ids - data.ids_of()[chain.tokens[0]]
    known = (tokens >= 0) & (tokens < len(reach))
    both = known[:, :-1] & known[:, 1:]
    left, right = tokens[:, :-1][both], tokens[:, 1:][both]
    index = {text.strip(): i for i, text in enumerate(chain.tokens)}
    pairs = zip(toy_language.FIRSTS.split(), toy_language.SECONDS.split(), strict=True)
    partner = np.full(len(reach), -1)
    for first, second in pairs:
        partner[index[first]] = index[second]
    begun = partner[left] >= 0
    return {
        "prose": float(known.mean()),
        "bigrams": float(reach[left, right].mean()),
        "pairs": float((partner[left] == right)[begun].mean()),
    }


def report(model: LlamaForCausalLM, items: int = 20) -> dict[str, object]:
    """Everything TRAINING.md shows of a model."""
    ids = prose_texts(32, 64)
    exact = exact_nll(ids)
    nll = causal_nll(model, ids) if model.config.is_causal else chain_nll(model, ids)[:, 1:]
    return {
        "accuracy": curve(model, items),
        "facts": recall(model, 2 * items),
        "prose": {
            "nll": float(nll.mean()),
            "exact": float(exact[:, 1:].mean()),
            **validity(one_by_one(model, 32, 64, 0)),
        },
    }
