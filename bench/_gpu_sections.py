"""The sections of `bench.gpu`: what each measures, number by number."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from bench import decoding, probes, tuning
from bench._shapes import LLADA, TINY, Shape, build
from bench.engine import prompts
from mdlm_probe import models
from mdlm_probe.core import machine
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Readout
from mdlm_probe.models import LoadOptions
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.runs.cost import cost

TESTS = Path(__file__).parents[1] / "tests" / "unit"
GIB = 2**30


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        goal: the least that is wanted; None: nothing is.
    """

    section: str
    what: str
    value: float
    unit: str
    goal: float | None = None


@dataclass(frozen=True)
class Setting:
    """What is measured, and where.

    Attributes:
        shape, few_layers: the model's, and as much of it as there is room for twice.
        tokens: of scoring, and of a batch at most; None: as memory allows.
        lengths, counts: of canvases, and prompts side by side.
        prompt: tokens of an attributed prompt.
        context: of a tuning's samples.
        tuned: the checkpoint at whose shape a tuning is made.
    """

    device: str
    shape: Shape
    few_layers: Shape
    tokens: int
    batch_tokens: int | None
    lengths: tuple[int, ...]
    counts: tuple[int, ...]
    prompt: int
    context: int
    tuned: str
    tiny: bool = False

    def model(self, quantize: str = "", sharp: float = 1.0) -> NativeModel:
        """The model in bfloat16, packed or not."""
        kind = torch.bfloat16
        return build(self.shape, self.device, kind, sharp=sharp, quantize=quantize)


def whole(device: str) -> Setting:
    """What a GPU of 80 GB measures in eight minutes."""
    sizes = ((256, 512), (1, 8, 32), 1024, tuning.CONTEXT)
    few = replace(LLADA, layers=4)
    return Setting(device, LLADA, few, 262_144, None, *sizes, "llada-8b")


def tiny(device: str) -> Setting:
    """The same in seconds, on anything."""
    sizes = ((32,), (1, 2), 24, 64)
    return Setting(device, TINY, TINY, 512, 256, *sizes, "tiny-mdlm", tiny=True)


# ---------------------------------------------------------------------- sections


def tests(setting: Setting) -> Iterator[Row]:
    """The tests that need CUDA."""
    files = [str(file) for file in TESTS.rglob("test_*.py") if "mark.gpu" in file.read_text()]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    wanted = files[:1] if setting.tiny else files
    done = subprocess.run(
        [*command, *wanted], capture_output=True, text=True, cwd=TESTS.parents[1], check=False
    )
    said = done.stdout.strip().splitlines()[-1:] or [done.stderr.strip()[-200:]]
    yield Row("tests", f"exit status ({said[0]})", done.returncode, "")


def scoring(setting: Setting, quantize: str = "") -> Iterator[Row]:
    """Tokens a second of one asked position a prompt, and the memory beside what `plan` says."""
    name = f"scoring, {quantize or 'bfloat16'}"
    model = setting.model(quantize)
    engine = Engine(model, batch_tokens=setting.batch_tokens)
    long = min(512, setting.tokens // 8)
    total = setting.tokens // 4 if quantize else setting.tokens
    queries = prompts(total // long, long * 7 // 8, long, model.entry.mask)
    engine.ask(queries[: max(1, engine.batch_tokens // long)])
    before = _matrix_rate(setting)
    _reset(setting)
    engine.tokens, start = 0, time.perf_counter()
    engine.ask(queries)
    rate = engine.tokens / (time.perf_counter() - start)
    fastest = max(before, _matrix_rate(setting))
    length = engine.tokens / len(queries)
    share = rate * setting.shape.body_operations(length) / fastest
    goal = None if quantize else 0.6
    yield Row(name, "tokens/s", rate, "")
    yield Row(name, "share of the matrix-product rate", share, "", goal)
    yield Row(name, "matrix-product rate", fastest / 1e12, "Top/s")
    yield Row(name, "batch", engine.batch_tokens, "tokens")
    load = LoadOptions(quantize=quantize)
    sizes = (engine.tokens, len(queries), length, engine.batch_tokens)
    yield from _memory(setting, name, cost(model.entry, load, "bfloat16", *sizes).memory)


def decode(setting: Setting) -> Iterator[Row]:
    """The unmasking loop against the published one: a block, a mask a step."""
    model = setting.model(sharp=decoding.SHARP)
    engine = Engine(model, batch_tokens=setting.batch_tokens)
    for length in setting.lengths:
        steps = min(decoding.BLOCK, length)
        schedule, most = Schedule(steps, steps, stop=False), max(setting.counts)
        given = decoding.canvases(model, most, length, spread=most)
        decoding.plain(model, given[0], replace(schedule, steps=1))
        start = time.perf_counter()
        published = [decoding.plain(model, one, schedule)[0] for one in (given[0], given[-1])]
        plainly = 2 * steps / (time.perf_counter() - start)
        name = f"decoding, length {length}"
        yield Row(name, "published loop", plainly, "tokens/s")
        for count in setting.counts:
            for cache, goal in (("none", 3.0), ("prefix", None), ("dual", 10.0)):
                own = replace(schedule, cache=cache)
                few = given[: count - 1] + given[-1:] if count > 1 else given[:1]
                decoding.decode(engine, few, replace(own, steps=2))
                start = time.perf_counter()
                found = decoding.decode(engine, few, own)
                rate = count * steps / (time.perf_counter() - start)
                what = f"{count} prompts, cache {cache}"
                yield Row(name, what, rate, "tokens/s")
                times = rate / plainly
                yield Row(name, f"{what}: times the published", times, "x", goal)
                if cache == "none":
                    pairs = [(found[0].tokens, published[0]), (found[-1].tokens, published[-1])]
                    same = [t == p for both in pairs[:count] for t, p in zip(*both, strict=True)]
                    yield Row(name, f"{what}: identical tokens", sum(same) / len(same), "")


def identical(setting: Setting) -> Iterator[Row]:
    """The same in float32, where only rounding by size of a batch is left: identical tokens."""
    model = build(setting.few_layers, setting.device, torch.float32, sharp=decoding.SHARP)
    length = setting.lengths[0]
    steps = min(decoding.BLOCK, length)
    schedule, count = Schedule(steps, steps, stop=False), setting.counts[1]
    given = decoding.canvases(model, count, length, spread=count)
    found = decoding.decode(Engine(model, batch_tokens=4096), given, schedule)
    pairs = [
        pair
        for mine, one in zip(found, given, strict=True)
        for pair in zip(mine.tokens, decoding.plain(model, one, schedule)[0], strict=True)
    ]
    what = f"identical tokens, {count} prompts, {setting.few_layers.layers} layers"
    name = f"decoding in float32, length {length}"
    yield Row(name, what, sum(a == b for a, b in pairs) / len(pairs), "", 1.0)


def attribution(setting: Setting) -> Iterator[Row]:
    """Gradients of one prompt: memory beside what `plan` says."""
    model = setting.model()
    engine = Engine(model, batch_tokens=setting.batch_tokens or setting.prompt)
    (query,) = prompts(1, setting.prompt, setting.prompt, model.entry.mask)
    engine.attribute([query])
    _reset(setting)
    start = time.perf_counter()
    engine.attribute([query])
    name = f"attribution, {setting.prompt} tokens"
    yield Row(name, "a prompt", time.perf_counter() - start, "s")
    sizes = (setting.prompt, 1, setting.prompt, setting.prompt)
    planned = cost(model.entry, LoadOptions(), "bfloat16", *sizes, gradients=True).memory
    yield from _memory(setting, name, planned)


def tune(setting: Setting) -> Iterator[Row]:
    """Two steps of the mask-agnostic recipe: time, and memory beside what `plan` says."""
    entry = models.resolve(setting.tuned)
    seen, seconds = tuning.memory(entry.geometry, torch.device(setting.device), setting.context)
    name = f"tuning, {setting.context} tokens"
    yield Row(name, "a step of three samples", seconds / 2, "s")
    yield from _memory(setting, name, tuning.planned(entry.name, setting.context), seen)


def batches(setting: Setting) -> Iterator[Row]:
    """What a batch changes in log-probabilities: the same queries alone and together."""
    model, low, high = setting.model(), setting.prompt // 2, setting.prompt
    readouts = (Readout("chosen", tuple(range(5, 37))), Readout("top_id"))
    queries = [replace(q, readouts=readouts) for q in prompts(32, low, high, model.entry.mask)]
    alone, together = (
        Engine(model, batch_tokens=size).ask(queries) for size in (1, setting.prompt * 32)
    )
    moved = torch.tensor(
        np.stack([abs(a["chosen"] - b["chosen"]) for a, b in zip(alone, together, strict=True)])
    ).flatten()
    yield from _quantiles("a batch in bfloat16", "change of a log-probability", moved)
    other = sum(int(a["top_id"][0] != b["top_id"][0]) for a, b in zip(alone, together, strict=True))
    yield Row("a batch in bfloat16", "other most probable tokens", other / len(queries), "")


@torch.inference_mode()
def logits(setting: Setting) -> Iterator[Row]:
    """Logits in bfloat16 against float32: the published way, and ours."""
    shape = setting.few_layers
    model = build(shape, setting.device, torch.bfloat16, sharp=decoding.SHARP)
    wide = copy.deepcopy(model.network).float()
    (query,) = prompts(1, setting.prompt, setting.prompt, model.entry.mask)
    ids = torch.tensor([query.ids], device=setting.device)
    true = wide(ids).logits[0]
    every = torch.arange(len(query.ids))
    states = model.states(ids, torch.tensor([len(query.ids)]), torch.zeros_like(every), every)
    ways = {"published": model.network(ids).logits[0].float(), "ours": model._logits(states)}
    for way, found in ways.items():
        name = f"logits in bfloat16, {shape.layers} layers, {way}"
        yield from _quantiles(name, "error", (found - true).abs().flatten())
        wrong = (found.argmax(-1) != true.argmax(-1)).float().mean()
        yield Row(name, "other most probable tokens", float(wrong), "")
        ties = (found == found.amax(-1, keepdim=True)).sum(-1) > 1
        yield Row(name, "several most probable tokens", float(ties.float().mean()), "")


@torch.inference_mode()
def output_layer(setting: Setting) -> Iterator[Row]:
    """Logits in float32 of bfloat16 weights: as the model makes them, against widened weights."""
    shape = replace(setting.few_layers, layers=1)
    model = build(shape, setting.device, torch.bfloat16)
    table = model.network.lm_head.weight
    for rows in (1, 32, 256):
        states = torch.randn(rows, shape.hidden, device=setting.device, dtype=torch.bfloat16)
        name = f"output layer, {rows} rows"
        ours, seconds = _timed(lambda states=states: model._logits(states))
        widened, plainly = _timed(lambda states=states: states.float() @ table.float().T)
        yield Row(name, "a pass", seconds * 1000, "ms")
        yield Row(name, "times widened weights", plainly / seconds, "x", 1.0)
        yield Row(name, "largest difference", float((ours - widened).abs().max()), "")


def _timed(work: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    """A result, and the least seconds of five times."""
    spent = []
    for _ in range(5):
        start = time.perf_counter()
        found = work()
        found[0, 0].item()  # waits for the device
        spent.append(time.perf_counter() - start)
    return found, min(spent)


def table(setting: Setting) -> Iterator[Row]:
    """Probes and `eval` on three sizes."""
    for line in probes.table(setting.device, tiny=setting.tiny):
        name = f"{line.what}, {line.size}"
        yield Row(name, "tokens/s", line.tokens / line.seconds, "")
        yield Row(name, "share of the matrix-product rate", line.share, "")
        yield Row(name, "outside the network", line.outside, "")


SECTIONS: dict[str, Callable[[Setting], Iterator[Row]]] = {
    "tests": tests,
    "scoring": scoring,
    "decoding": decode,
    "float32": identical,
    "batches": batches,
    "logits": logits,
    "output layer": output_layer,
    "attribution": attribution,
    "tuning": tune,
    "probes": table,
    "4bit": lambda setting: scoring(setting, "4bit"),
}


# ---------------------------------------------------------------------- helpers


def _matrix_rate(setting: Setting) -> float:
    size = probes.TINY_PRODUCT if setting.tiny else 0
    return machine.matmul_rate(setting.device, "bfloat16", size)


def _reset(setting: Setting) -> None:
    if setting.device.startswith("cuda"):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def _memory(setting: Setting, name: str, planned: float | None, seen: int = 0) -> Iterator[Row]:
    if setting.device.startswith("cuda"):
        seen = seen or torch.cuda.max_memory_allocated()
        yield Row(name, "peak memory", seen / GIB, "GiB")
        yield Row(name, "`plan` says, times the peak", (planned or 0) / seen, "x")
    yield Row(name, "memory that `plan` says", (planned or 0) / GIB, "GiB")


def _quantiles(section: str, what: str, values: torch.Tensor) -> Iterator[Row]:
    ordered = values.float().sort().values
    for share in (0.5, 0.99, 1.0):
        at = min(len(ordered) - 1, int(share * len(ordered)))
        label = "largest" if share == 1 else f"{share:.0%} are below"
        yield Row(section, f"{what}, {label}", float(ordered[at]), "")
