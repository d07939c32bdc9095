"""Likelihoods of answers against the published way of estimating them, at no larger error.

The published way (LLaDA's evaluation code): one request at a time; answers of one token take one
pass, others 128 draws in batches of 32, whose counts of masked tokens are spread evenly over the
answer's length from a random start; logits over the whole vocabulary at every position of the
sequence, cross entropy of the masked ones in float32. A part of a request's batches tells how long
all take, and what batches differ by tells the standard error of their mean. Models have random
weights; one is small with LLaDA's vocabulary, another has LLaDA-8B's proportions. Each side runs in
a process of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from bench._shapes import LIKE_8B, LLADA, SMALL, build
from bench.decoding import SHARP
from mdlm_probe.engine.engine import Engine
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device

DRAWS, BATCH = 128, 32
BATCHES = 2
"""Of the first request, that the published way is timed with."""


@dataclass(frozen=True)
class Requests:
    """Requests of one kind.

    Attributes:
        context: tokens of it, from and to.
        answer: tokens of it, from and to.
        questions: asked by us; each has four answers, a request each.
        wanted: how many times as fast we are to be.
    """

    context: tuple[int, int]
    answer: tuple[int, int]
    questions: int
    wanted: float


KINDS = {
    "MMLU-like": Requests((180, 220), (1, 1), 8, 3),
    "HellaSwag-like": Requests((70, 90), (8, 16), 4, 3),
}
SHAPES = {"small": SMALL, "8B-like": LIKE_8B}


def items(shape: Requests, questions: int, words: int) -> list[list[Item]]:
    """Random questions, each with its four answers."""
    rng, found = random.Random(0), []
    for number in range(questions):
        context = tuple(rng.randrange(words) for _ in range(rng.randint(*shape.context)))
        answers = [
            tuple(rng.randrange(words) for _ in range(rng.randint(*shape.answer))) for _ in range(4)
        ]
        found.append(
            [
                Item(context + answer, len(context), f"question {number}", 4 * number + n)
                for n, answer in enumerate(answers)
            ]
        )
    return found


# ---------------------------------------------------------------------- the published way


@torch.inference_mode()
def plain(model: NativeModel, item: Item, rows: int, seed: int) -> list[float]:
    """What a batch of draws gives: in each, a count of the answer's tokens is masked."""
    rng, length, mask = np.random.default_rng(seed), len(item.tokens), model.entry.mask
    own = torch.tensor(item.ids, device=model.device).repeat(rows, 1)
    first = rng.integers(1, length + 1)
    spread = np.linspace(first, first + (rows - 1) * length / rows, rows).round().astype(int)
    ids, counts = own.clone(), (spread - 1) % length + 1
    for row, count in enumerate(counts):
        ids[row, item.first + rng.permutation(length)[:count]] = mask
    masked = ids == mask
    logits = model.network(ids).logits.float()
    logps = torch.zeros(ids.shape, device=ids.device)
    logps[masked] = -torch.nn.functional.cross_entropy(
        logits[masked], own[masked], reduction="none"
    )
    return (logps.sum(-1).cpu().numpy() * length / counts).tolist()


def plain_side(model: NativeModel, kind: Requests) -> dict[str, float]:
    """Requests a second, forwards of a request, and its standard error."""
    asked = items(kind, 1, _words(model))[0]
    plain(model, asked[0], 2, 0)
    start = time.perf_counter()
    if kind.answer == (1, 1):  # all draws are the same
        for item in asked:
            plain(model, item, 1, 1)
        return {"rate": len(asked) / (time.perf_counter() - start), "passes": 1, "se": 0.0}
    means = [np.mean(plain(model, asked[0], BATCH, 1 + seed)) for seed in range(BATCHES)]
    rate = BATCHES * BATCH / DRAWS / (time.perf_counter() - start)
    return {
        "rate": rate,
        "passes": DRAWS,
        "se": float(np.std(means, ddof=1) * (BATCH / DRAWS) ** 0.5),
    }


# ---------------------------------------------------------------------- ours


def our_side(model: NativeModel, kind: Requests, batch_tokens: int) -> dict[str, float]:
    """Requests a second, forwards of a request, and the largest standard error."""
    engine = Engine(model, batch_tokens=batch_tokens)
    groups = items(kind, kind.questions, _words(model))
    estimators.rank(engine, groups[:1], Settings())
    engine.tokens, start = 0, time.perf_counter()
    found = [e for group in estimators.rank(engine, groups, Settings()) for e in group]
    rate = len(found) / (time.perf_counter() - start)
    # sequences that answers share go through the network once: so not the estimates' own count
    passes = engine.tokens / sum(len(item.ids) for group in groups for item in group)
    return {"rate": rate, "passes": passes, "se": max(e.se for e in found)}


def _words(model: NativeModel) -> int:
    return min(100000, model.entry.mask)


# ---------------------------------------------------------------------- comparison


def side(name: str, kind: str, shape: str) -> None:
    """One side of the comparison, in this process; prints JSON."""
    model, own = build(SHAPES[shape], "cpu", torch.float32, sharp=SHARP), KINDS[kind]
    if shape != "small":
        own = replace(own, questions=1)
    found = plain_side(model, own) if name == "plain" else our_side(model, own, 4096)
    print(json.dumps(found))


def run_side(name: str, kind: str, shape: str) -> dict[str, float]:
    """One side of the comparison, in a process of its own."""
    command = [sys.executable, "-m", "bench.likelihood", name, kind, shape]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(kind: str, shape: Requests, ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Prints both sides, and their ratios."""
    low, high = shape.answer
    tokens = f"{low} to {high} tokens" if high > low else f"{low} token"
    print(
        f"  {kind}: context of {shape.context[0]} to {shape.context[1]} tokens, answers of {tokens}"
    )
    ratio = ours["rate"] / theirs["rate"]
    print(
        f"    requests/s: {ours['rate']:.2f} against {theirs['rate']:.3f}: {ratio:.1f}x"
        f" (wanted: {shape.wanted:g}x)"
    )
    print(
        f"    forwards of a request: {ours['passes']:.2f} against {theirs['passes']}:"
        f" {theirs['passes'] / ours['passes']:.1f}x fewer"
    )
    print(f"    standard error, nats: {ours['se']:.3g} against {theirs['se']:.3g}", flush=True)


def main() -> None:
    """All comparisons that this machine can make."""
    threads = torch.get_num_threads()
    for name, shape in SHAPES.items():
        print(f"hidden {shape.hidden}, {shape.layers} layers, vocabulary {shape.vocab},"
              f" CPU float32, {threads} threads")  # fmt: skip
        for kind, own in KINDS.items():
            show(kind, own, *(run_side(side, kind, name) for side in ("ours", "plain")))
    if pick_device("auto").type == "cuda":
        print("LLaDA-8B's shape, CUDA bfloat16")
        model = build(LLADA, "cuda", torch.bfloat16, sharp=SHARP)
        for kind, own in KINDS.items():
            show(kind, own, our_side(model, own, 32768), plain_side(model, own))


if __name__ == "__main__":
    side(*sys.argv[1:]) if len(sys.argv) > 1 else main()
