"""The unmasking loop against the plain published one, and what batches and caches add on a GPU.

The plain loop is the published one: one prompt at a time, logits over the whole vocabulary at every
position of the canvas, softmax in float64, a token and its confidence everywhere, and all steps to
the end. Models have random weights and LLaDA's shape and vocabulary. Each side runs in a process of
its own, so that peaks of memory don't mix.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from itertools import pairwise

import torch

from bench.engine import LLADA, MASK, SMALL, VOCAB, build, peak_of
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas, Decoded
from mdlm_probe.decoding.schedule import Cache, Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device
from mdlm_probe.runs.cost import quantity

LENGTH, BLOCK, STEPS = 128, 32, 64
BLOCKS = 1
"""Blocks that are filled in: in the others a step costs the same, on both sides."""
SCHEDULE = Schedule(STEPS * BLOCKS * BLOCK // LENGTH, BLOCK, stop=False)
PROMPTS, SHORTEST, LONGEST = 8, 40, 120
PLAIN = (0, PROMPTS - 1)
"""Prompts of the plain loop, the shortest and the longest: it takes them one at a time anyhow."""
WORTH = 1.1
"""A batch twice as large that is not this much faster is the last one."""


def canvases(count: int, length: int, blocks: int) -> list[Canvas]:
    """Random prompts from the shortest to the longest, and masks, of which some are filled in."""
    rng, found = random.Random(0), []
    for n in range(count):
        size = SHORTEST + round((LONGEST - SHORTEST) * (n % PROMPTS) / (PROMPTS - 1))
        prompt = [rng.randrange(100000) for _ in range(size)]
        places = tuple(range(size, size + blocks * BLOCK))
        found.append(Canvas((*prompt, *[MASK] * length), places, f"prompt {n}"))
    return found


def sharpened(shape: dict[str, int], device: str, dtype: torch.dtype) -> NativeModel:
    """A random model whose predictions differ from mask to mask, which knows its own geometry."""
    model = build(shape, device, dtype)
    with torch.no_grad():
        for weight in model.network.model.layers.parameters():
            if weight.ndim == 2:
                weight.mul_(5)
    heads = shape["num_heads"]
    geometry = {"heads": heads, "kv_heads": heads, "hidden": shape["hidden_size"]}
    geometry |= {"layers": shape["num_hidden_layers"], "vocab": VOCAB}
    model.entry = replace(model.entry, geometry=geometry)
    model.facts["dtype"] = str(dtype).removeprefix("torch.")
    return model


# ---------------------------------------------------------------------- against the plain loop


@torch.inference_mode()
def plain(model: NativeModel, canvas: Canvas, schedule: Schedule) -> tuple[list[int], list[int]]:
    """The tokens that the plain loop writes, and the step of each."""
    x = torch.tensor([canvas.ids], device=model.device)
    made, number, first = torch.zeros_like(x), 0, canvas.places[0]
    blocks = len(canvas.places) // BLOCK
    steps = schedule.steps // blocks
    for block in range(blocks):
        for _ in range(steps):
            logits = model.network(x).logits
            logits[..., MASK] = -torch.inf
            tokens, number = logits.argmax(-1), number + 1
            chances = torch.softmax(logits.double(), dim=-1)
            sure = chances.gather(-1, tokens[..., None])[..., 0]
            sure[x != MASK] = -torch.inf
            sure[:, first + (block + 1) * BLOCK :] = -torch.inf
            best = sure[0].topk(BLOCK // steps).indices
            x[0, best], made[0, best] = tokens[0, best], number
    window = slice(first, canvas.places[-1] + 1)
    return x[0, window].tolist(), made[0, window].tolist()


def side(name: str, count: int) -> None:
    """One side of the comparison, in this process; prints JSON."""
    model, given = sharpened(SMALL, "cpu", torch.float32), canvases(count, LENGTH, BLOCKS)
    short = replace(SCHEDULE, steps=BLOCKS)
    if name == "plain":
        given = [given[n] for n in PLAIN]
        plain(model, given[0], short)
        found, seconds, memory = peak_of(lambda: [plain(model, c, SCHEDULE) for c in given])
    else:
        engine = Engine(model, batch_tokens=4096)
        loop.decode_all(engine, given[:1], [short])
        decoded, seconds, memory = peak_of(lambda: decode(engine, given, SCHEDULE))
        found = [(d.tokens, d.steps) for d in decoded]
    rate = len(given) * BLOCKS * BLOCK / seconds
    print(json.dumps([found, rate, memory]))


def decode(engine: Engine, given: list[Canvas], schedule: Schedule) -> list[Decoded]:
    """All canvases at once."""
    return loop.decode_all(engine, given, [schedule] * len(given))


def run_side(name: str, count: int) -> tuple[list[list[list[int]]], float, float]:
    """One side of the comparison, in a process of its own."""
    command = [sys.executable, "-m", "bench.decoding", name, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def against_the_plain_loop() -> None:
    """Prints tokens a second and peak memory, ours against the plain loop's."""
    threads = torch.get_num_threads()
    print(f"LLaDA-shaped, hidden 256, vocabulary {VOCAB}, CPU float32, {threads} threads:")
    print(
        f"prompts of {SHORTEST} to {LONGEST} tokens, length {LENGTH}, block {BLOCK}, {STEPS} steps,"
        f" of which the first {SCHEDULE.steps} are made"
    )
    texts, rate, memory = run_side("plain", PROMPTS)
    for count in (PROMPTS, 2 * PROMPTS):
        found, ours, peak = run_side("ours", count)
        print(f"  {count} prompts: {ours:.2f} tokens/s against {rate:.2f}: {ours / rate:.1f}x")
        print(
            f"    peak memory above the weights: {quantity(peak)}B against {quantity(memory)}B:"
            f" {peak / memory:.2f}"
        )
        for what, theirs in zip(("tokens", "steps"), zip(*texts, strict=True), strict=True):
            mine = [found[n][what == "steps"] for n in PLAIN]
            pairs = [p for a, b in zip(mine, theirs, strict=True) for p in zip(a, b, strict=True)]
            different = len({b for _, b in pairs})
            print(
                f"    identical {what}: {sum(a == b for a, b in pairs)} of {len(pairs)}"
                f" ({different} different ones)"
            )


# ---------------------------------------------------------------------- batches


def rate_of(model: NativeModel, length: int, count: int, cache: Cache) -> float:
    """Tokens a second: one block of each canvas, a mask a step."""
    engine = Engine(model, batch_tokens=131072)
    given, schedule = canvases(count, length, 1), Schedule(BLOCK, cache=cache, stop=False)
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
    against_the_plain_loop()
    if pick_device("auto").type == "cuda":
        print(f"LLaDA-8B's shape, CUDA bfloat16, block {BLOCK}, a mask a step")
        what_batches_add(sharpened(LLADA, "cuda", torch.bfloat16), (256, 512))


if __name__ == "__main__":
    side(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
