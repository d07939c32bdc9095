"""The unmasking loop against the plain published one, and what batches and caches add on a GPU.

The plain loop is the published one: one prompt at a time, logits over the whole vocabulary at every
position of the canvas, softmax in float64, a token and its confidence everywhere, and all steps to
the end. Models have random weights; a small one has LLaDA's vocabulary, so that the output layer is
most of the work, and another two of LLaDA-8B's 32 layers and a sixteenth of its vocabulary, so that
it isn't. Each side runs in a process of its own, so that peaks of memory don't mix.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch

from bench._shapes import LIKE_8B, LLADA, SMALL, Shape, build
from bench.engine import peak_of
from mdlm_probe.core.quantities import short
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.schedule import Cache, Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device

LENGTH, BLOCK, STEPS = 128, 32, 64
SHARP = 5.0
"""Of the layers' weights: predictions then differ from mask to mask."""
SCHEDULE = Schedule(STEPS * BLOCK // LENGTH, BLOCK, stop=False)
"""Of one block: in the others a step costs the same, on both sides."""
AUTHORS = {
    "threshold 0.9": replace(SCHEDULE, order="threshold", threshold=0.9),
    "threshold 0.9, cache prefix": replace(SCHEDULE, order="threshold", cache="prefix"),
    "threshold 0.9, cache dual": replace(SCHEDULE, order="threshold", cache="dual"),
}
"""Fast-dLLM's settings (arXiv 2505.22618), with blocks of 32."""
SHORTEST, LONGEST = 40, 120
WORTH = 1.1
"""A batch twice as large that is not this much faster is the last one."""


@dataclass(frozen=True)
class Case:
    """A comparison: a shape, prompts, and the steps of a block."""

    shape: Shape
    prompts: int
    schedule: Schedule


CASES = {
    "small": Case(SMALL, 8, SCHEDULE),
    "8B-like": Case(LIKE_8B, 4, replace(SCHEDULE, steps=4)),
}


def canvases(model: NativeModel, count: int, length: int, spread: int = 8) -> list[Canvas]:
    """Random prompts from the shortest to the longest, and masks, of which a block is filled in."""
    rng, found = random.Random(0), []
    words = min(100000, model.entry.mask)
    for n in range(count):
        size = SHORTEST + round((LONGEST - SHORTEST) * (n % spread) / max(1, spread - 1))
        prompt = [rng.randrange(words) for _ in range(size)]
        places = tuple(range(size, size + min(BLOCK, length)))
        found.append(Canvas((*prompt, *[model.entry.mask] * length), places, f"prompt {n}"))
    return found


# ---------------------------------------------------------------------- against the plain loop


@torch.inference_mode()
def plain(model: NativeModel, canvas: Canvas, schedule: Schedule) -> tuple[list[int], list[int]]:
    """The tokens that the plain loop writes into a block, and the step of each."""
    mask, first, last = model.entry.mask, canvas.places[0], canvas.places[-1] + 1
    x = torch.tensor([canvas.ids], device=model.device)
    made = torch.zeros_like(x)
    for number in range(1, schedule.steps + 1):
        logits = model.network(x).logits
        logits[..., mask] = -torch.inf
        tokens = logits.argmax(-1)
        chances = torch.softmax(logits.double(), dim=-1)
        sure = chances.gather(-1, tokens[..., None])[..., 0]
        sure[x != mask] = -torch.inf
        sure[:, last:] = -torch.inf
        best = sure[0].topk((last - first) // schedule.steps).indices
        x[0, best], made[0, best] = tokens[0, best], number
    return x[0, first:last].tolist(), made[0, first:last].tolist()


def side(name: str, kind: str, count: int) -> None:
    """One side of a comparison, in this process; prints JSON."""
    case = CASES[kind]
    model = build(case.shape, "cpu", torch.float32, sharp=SHARP)
    given = canvases(model, count, LENGTH, case.prompts)
    short = replace(case.schedule, steps=1)
    if name == "plain":
        given = [given[0], given[case.prompts - 1]]  # one at a time anyhow: two are enough
        plain(model, given[0], short)
        found, seconds, memory = peak_of(lambda: [plain(model, c, case.schedule) for c in given])
        rate = len(given) * BLOCK / seconds
        print(json.dumps([found, rate, memory, {}]))
        return
    engine = Engine(model, batch_tokens=4096)
    loop.decode_all(engine, given[:1], [short])
    decoded, seconds, memory = peak_of(lambda: decode(engine, given, case.schedule))
    more = {}
    if kind == "small" and count == case.prompts:
        drawn = replace(case.schedule, temperature=1.0, seed=1)
        for what, schedule in {"temperature 1": drawn, **AUTHORS}.items():
            start = time.perf_counter()
            passes = sum(d.passes for d in decode(engine, given, schedule))
            more[what] = [passes / count, passes / (time.perf_counter() - start)]
    rate = count * BLOCK / seconds
    print(json.dumps([[(d.tokens, d.steps) for d in decoded], rate, memory, more]))


def decode(engine: Engine, given: list[Canvas], schedule: Schedule) -> list[Decoded]:
    """All canvases at once."""
    return loop.decode_all(engine, given, [schedule] * len(given))


def run_side(name: str, kind: str, count: int) -> tuple[list[Any], float, float, dict[str, Any]]:
    """One side of a comparison, in a process of its own."""
    command = [sys.executable, "-m", "bench.decoding", name, kind, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def against_the_plain_loop(kind: str) -> None:
    """Prints tokens a second and peak memory, ours against the plain loop's."""
    case, threads = CASES[kind], torch.get_num_threads()
    shape, steps = case.shape, case.schedule.steps
    print(f"hidden {shape.hidden}, {shape.layers} layers, vocabulary {shape.vocab}, CPU float32,"
          f" {threads} threads:")  # fmt: skip
    print(f"prompts of {SHORTEST} to {LONGEST} tokens, length {LENGTH}, a block of {BLOCK} in"
          f" {steps} steps")  # fmt: skip
    texts, rate, memory, _ = run_side("plain", kind, case.prompts)
    for count in (case.prompts, 2 * case.prompts) if kind == "small" else (case.prompts,):
        found, ours, peak, more = run_side("ours", kind, count)
        print(f"  {count} prompts: {ours:.2f} tokens/s against {rate:.2f}: {ours / rate:.1f}x")
        print(
            f"    peak memory above the weights: {short(peak)}B against {short(memory)}B:"
            f" {peak / memory:.2f}"
        )
        _show_identical([found[0], found[case.prompts - 1]], texts)
        greedy, plainly = ours * steps / BLOCK, rate * steps / BLOCK
        for what, (passes, speed) in more.items():
            print(f"    {what}: {passes:.0f} passes, {speed:.2f} a second: {speed / greedy:.2f}x of"
                  f" greedy, {speed / plainly:.1f}x of the plain loop's")  # fmt: skip


def _show_identical(found: list[Any], texts: list[Any]) -> None:
    for place, what in enumerate(("tokens", "steps")):
        pairs = [
            pair
            for mine, theirs in zip(found, texts, strict=True)
            for pair in zip(mine[place], theirs[place], strict=True)
        ]
        different = len({b for _, b in pairs})
        same = sum(a == b for a, b in pairs)
        print(f"    identical {what}: {same} of {len(pairs)} ({different} different ones)")


# ---------------------------------------------------------------------- batches


def rate_of(model: NativeModel, length: int, count: int, cache: Cache) -> float:
    """Tokens a second: one block of each canvas, a mask a step."""
    engine = Engine(model, batch_tokens=131072)
    given, schedule = canvases(model, count, length), Schedule(BLOCK, cache=cache, stop=False)
    decode(engine, given, replace(schedule, steps=2))
    start = time.perf_counter()
    decode(engine, given, schedule)
    return count * BLOCK / (time.perf_counter() - start)


def what_batches_add(model: NativeModel, lengths: tuple[int, ...]) -> None:
    """Prints tokens a second for batches of 1, 2, 4 ..., as long as they get faster."""
    for length in lengths:
        for cache in ("none", "dual"):
            rates = {1: rate_of(model, length, 1, cache)}
            while len(rates) < 2 or _grows(list(rates.values())):
                count = 2 * max(rates)
                rates[count] = rate_of(model, length, count, cache)
            row = ", ".join(f"{count}: {rate:.1f}" for count, rate in rates.items())
            print(f"  length {length}, cache {cache}: tokens/s by batch: {row}", flush=True)


def _grows(rates: list[float]) -> bool:
    *_, (before, now) = pairwise(rates)
    return now > WORTH * before


def main() -> None:
    """All comparisons that this machine can make."""
    for kind in CASES:
        against_the_plain_loop(kind)
    if pick_device("auto").type == "cuda":
        print(f"LLaDA-8B's shape, CUDA bfloat16, block {BLOCK}, a mask a step")
        what_batches_add(build(LLADA, "cuda", torch.bfloat16, sharp=SHARP), (256, 512))


if __name__ == "__main__":
    side(*sys.argv[1:3], int(sys.argv[3])) if len(sys.argv) > 1 else main()
