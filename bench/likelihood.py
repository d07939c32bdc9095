"""Likelihoods of answers against the published way of estimating them, at no larger error.

The published way: one request at a time, 128 draws in batches of 32, logits over the whole
vocabulary at every position of the sequence, cross entropy of the masked ones in float32. As its
draws are independent, a part of a request's batches tells how long all take, and the spread of the
draws tells the standard error of their mean. Models have random weights and LLaDA's shape and
vocabulary. Each side runs in a process of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import torch

from bench.decoding import sharpened
from bench.engine import LLADA, MASK, SMALL, VOCAB
from mdlm_probe.engine.engine import Engine
from mdlm_probe.likelihood import estimators
from mdlm_probe.likelihood.items import Item
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device

DRAWS, BATCH = 128, 32


@dataclass(frozen=True)
class Shape:
    """Requests of one kind.

    Attributes:
        context: tokens of it, from and to.
        answer: tokens of it, from and to.
        questions: asked by us; each has four answers, a request each.
        batches: of the first request that the published way is timed with; all are 4.
        wanted: how many times as fast we are to be.
    """

    context: tuple[int, int]
    answer: tuple[int, int]
    questions: int
    batches: int
    wanted: float


SHAPES = {
    "MMLU-like": Shape((180, 220), (1, 1), 8, 1, 20),
    "HellaSwag-like": Shape((70, 90), (8, 16), 4, 4, 3),
}


def items(shape: Shape, questions: int) -> list[list[Item]]:
    """Random questions, each with its four answers."""
    rng, found = random.Random(0), []
    for number in range(questions):
        context = tuple(rng.randrange(100000) for _ in range(rng.randint(*shape.context)))
        answers = [
            tuple(rng.randrange(100000) for _ in range(rng.randint(*shape.answer)))
            for _ in range(4)
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
    """What a batch of draws gives: in each, a random count of the answer's tokens is masked."""
    rng, length = np.random.default_rng(seed), len(item.tokens)
    own = torch.tensor(item.ids, device=model.device).repeat(rows, 1)
    ids, counts = own.clone(), rng.integers(1, length + 1, rows)
    for row, count in enumerate(counts):
        ids[row, item.first + rng.permutation(length)[:count]] = MASK
    masked = ids == MASK
    logits = model.network(ids).logits.float()
    logps = torch.zeros(ids.shape, device=ids.device)
    logps[masked] = -torch.nn.functional.cross_entropy(
        logits[masked], own[masked], reduction="none"
    )
    return (logps.sum(-1).cpu().numpy() * length / counts).tolist()


def plain_side(model: NativeModel, shape: Shape) -> dict[str, float]:
    """Requests a second, forwards of a request, and its standard error."""
    asked = items(shape, 1)[0][0]
    plain(model, asked, 2, 0)
    start = time.perf_counter()
    draws = [v for seed in range(shape.batches) for v in plain(model, asked, BATCH, 1 + seed)]
    rate = shape.batches * BATCH / DRAWS / (time.perf_counter() - start)
    return {"rate": rate, "passes": DRAWS, "se": float(np.std(draws, ddof=1)) / DRAWS**0.5}


# ---------------------------------------------------------------------- ours


def our_side(model: NativeModel, shape: Shape, batch_tokens: int) -> dict[str, float]:
    """Requests a second, forwards of a request, and the largest standard error."""
    engine, groups = Engine(model, batch_tokens=batch_tokens), items(shape, shape.questions)
    estimators.rank(engine, groups[:1], Settings())
    engine.tokens, start = 0, time.perf_counter()
    found = [e for group in estimators.rank(engine, groups, Settings()) for e in group]
    rate = len(found) / (time.perf_counter() - start)
    # sequences that answers share go through the network once: so not the estimates' own count
    passes = engine.tokens / sum(len(item.ids) for group in groups for item in group)
    return {"rate": rate, "passes": passes, "se": max(e.se for e in found)}


# ---------------------------------------------------------------------- comparison


def side(name: str, kind: str) -> None:
    """One side of the comparison, in this process; prints JSON."""
    model, shape = sharpened(SMALL, "cpu", torch.float32), SHAPES[kind]
    found = plain_side(model, shape) if name == "plain" else our_side(model, shape, 4096)
    print(json.dumps(found))


def run_side(name: str, kind: str) -> dict[str, float]:
    """One side of the comparison, in a process of its own."""
    command = [sys.executable, "-m", "bench.likelihood", name, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(kind: str, shape: Shape, ours: dict[str, float], theirs: dict[str, float]) -> None:
    """Prints both sides, and their ratios."""
    low, high = shape.answer
    tokens = f"{low} to {high} tokens" if high > low else f"{low} token"
    print(
        f"  {kind}: context of {shape.context[0]} to {shape.context[1]} tokens, answers of {tokens}"
    )
    ratio = ours["rate"] / theirs["rate"]
    print(
        f"    requests/s: {ours['rate']:.2f} against {theirs['rate']:.3f}: {ratio:.0f}x"
        f" (wanted: {shape.wanted:g}x)"
    )
    print(
        f"    forwards of a request: {ours['passes']:.2f} against {theirs['passes']}:"
        f" {theirs['passes'] / ours['passes']:.0f}x fewer"
    )
    print(f"    standard error, nats: {ours['se']:.3g} against {theirs['se']:.3g}", flush=True)


def main() -> None:
    """All comparisons that this machine can make."""
    threads = torch.get_num_threads()
    print(f"LLaDA-shaped, hidden 256, vocabulary {VOCAB}, CPU float32, {threads} threads")
    for kind, shape in SHAPES.items():
        show(kind, shape, run_side("ours", kind), run_side("plain", kind))
    if pick_device("auto").type == "cuda":
        print("LLaDA-8B's shape, CUDA bfloat16")
        model = sharpened(LLADA, "cuda", torch.bfloat16)
        for kind, shape in SHAPES.items():
            show(kind, shape, our_side(model, shape, 32768), plain_side(model, shape))


if __name__ == "__main__":
    side(*sys.argv[1:]) if len(sys.argv) > 1 else main()
