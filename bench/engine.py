"""The engine against a plain loop, and against the machine's own matrix-product rate.

The plain loop is what evaluation scripts do: one prompt a forward, logits over the whole vocabulary
at every position, softmax in float32. Models have random weights and LLaDA's shape and vocabulary.
Each side runs in a process of its own, so that peaks of memory don't mix.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench._shapes import LLADA, SMALL, VOCAB, WIDE, Shape, build
from mdlm_probe.core.machine import matmul_rate
from mdlm_probe.core.quantities import short
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device

READOUTS = (Readout("chosen", (5, 6, 7)), Readout("entropy"), Readout("top_id"))
LENGTH = 1024


def prompts(count: int, low: int, high: int, mask: int) -> list[Query]:
    """Random prompts with a mask near the end."""
    rng = random.Random(0)
    out = []
    for n in range(count):
        ids = [rng.randrange(1000) for _ in range(rng.randint(low, high))]
        ids[-2] = mask
        out.append(Query(tuple(ids), (len(ids) - 2,), READOUTS, f"prompt {n}"))
    return out


@torch.inference_mode()
def plain(model: NativeModel, queries: list[Query]) -> list[int]:
    """The plain loop; returns the most probable tokens."""
    tops = []
    for query in queries:
        logits = model.network(torch.tensor([query.ids], device=model.device)).logits
        rows = torch.softmax(logits.float(), dim=-1)[0]
        rows[:, model.entry.mask] = 0
        row = rows[query.positions[0]]
        row[[5, 6, 7]].log().tolist()
        tops.append(int(row.argmax()))
    return tops


def peak_of(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Result, seconds, and bytes above what was resident before (Linux: VmHWM)."""

    def read(field: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(field)).split()[1])

    Path("/proc/self/clear_refs").write_text("5")
    before, start = read("VmRSS"), time.perf_counter()
    result = work()
    return result, time.perf_counter() - start, read("VmHWM") - before


def side(name: str) -> None:
    """One side of the comparison, in this process; prints JSON."""
    model = build(SMALL, "cpu", torch.float32)
    queries = prompts(6, LENGTH - 64, LENGTH, model.entry.mask)
    if name == "plain":
        plain(model, queries[:1])
        tops, seconds, memory = peak_of(lambda: plain(model, queries))
    else:
        engine = Engine(model, batch_tokens=4096)
        engine.ask(queries[:1])
        answers, seconds, memory = peak_of(lambda: engine.ask(queries))
        tops = [int(answer["top_id"][0]) for answer in answers]
    weights = sum(w.numel() * w.element_size() for w in model.network.parameters())
    print(json.dumps([tops, len(queries) / seconds, memory, weights]))


def against_the_plain_loop() -> None:
    """Prints prompts a second and peak memory, ours against the plain loop's."""
    found = {}
    for name in ("plain", "engine"):
        done = subprocess.run(
            [sys.executable, "-m", "bench.engine", name], capture_output=True, text=True, check=True
        )
        found[name] = json.loads(done.stdout.splitlines()[-1])
    same = sum(a == b for a, b in zip(found["plain"][0], found["engine"][0], strict=True))
    speed = found["engine"][1] / found["plain"][1]
    print(f"LLaDA-shaped, hidden 256, vocabulary {VOCAB}, {LENGTH} tokens, CPU float32")
    print(f"  same top token: {same} of {len(found['plain'][0])}")
    print(f"  prompts/s: {found['engine'][1]:.2f} against {found['plain'][1]:.2f}: {speed:.1f}x")
    for what, extra in (("above the weights", 0), ("with the weights", found["plain"][3])):
        ours, theirs = (found[name][2] + extra for name in ("engine", "plain"))
        print(f"  peak memory {what}: {short(ours)}B against {short(theirs)}B: {ours / theirs:.2f}")


def share_of_the_machine(
    shape: Shape, device: str, dtype: torch.dtype, batch_tokens: list[int], count: int
) -> None:
    """Prints tokens a second, and the share of the matrix-product rate, for batch budgets."""
    model = build(shape, device, dtype)
    name = str(dtype).removeprefix("torch.")
    queries = prompts(count, 448, 512, model.entry.mask)
    print(f"hidden {shape.hidden}, {shape.layers} layers, {device} {name}")
    for tokens in batch_tokens:
        engine = Engine(model, batch_tokens=tokens)
        engine.ask(queries[: max(1, tokens // 512)])
        before = matmul_rate(device, name)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        engine.tokens, start = 0, time.perf_counter()
        engine.ask(queries)
        rate = engine.tokens / (time.perf_counter() - start)
        machine = max(before, matmul_rate(device, name))
        length = engine.tokens // len(queries)
        memory = (
            f", {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB" if device == "cuda" else ""
        )
        share = rate * shape.body_operations(length) / machine
        print(
            f"  batch of {tokens}: {short(rate)} tokens/s,"
            f" {share:.2f} of {short(machine)} op/s{memory}"
        )


def main() -> None:
    """All comparisons that this machine can make."""
    against_the_plain_loop()
    share_of_the_machine(WIDE, "cpu", torch.float32, [1024, 4096, 8192], 24)
    share_of_the_machine(WIDE, "cpu", torch.bfloat16, [4096], 24)
    if pick_device("auto").type == "cuda":
        share_of_the_machine(LLADA, "cuda", torch.bfloat16, [8192, 32768, 131072], 512)


if __name__ == "__main__":
    side(sys.argv[1]) if len(sys.argv) > 1 else main()
