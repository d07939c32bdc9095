"""What probes and `eval` reach of the machine's matrix-product rate, and what isn't the network.

Three sizes: the bundled model, and random weights at the shapes of SmolLM2-135M and of LLaDA-8B
(two of its layers on a CPU, all on a GPU). All speak the bundled model's language, so that they are
asked the same. Of `eval`, lm-eval's own work is left out: what is measured answers its requests.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from bench._shapes import LLADA, SMOLLM2, TINY, TWO_LAYERS, Shape, build
from mdlm_probe import models
from mdlm_probe.core.machine import matmul_rate
from mdlm_probe.core.quantities import short
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._border import Border
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device
from mdlm_probe.probes.decay import probe as decay
from mdlm_probe.probes.locality import probe as locality
from mdlm_probe.probes.masks import probe as masks
from mdlm_probe.probes.shift import probe as shift

FEW_SHOT = {"tasks": ("verb", "animal"), "lexicon": "small", "answer": "word", "limit": 50}
PROBES: dict[str, tuple[Any, dict[str, Any]]] = {
    "locality": (locality, FEW_SHOT),
    "masks": (masks, FEW_SHOT),
    "decay": (decay, {"tasks": ("prose",), "limit": 50, "masks": 64}),
    "shift": (
        shift,
        {
            "prompts": "decay",
            "tasks": ("prose",),
            "limit": 20,
            "scorer": "none",
            "length": 32,
            "steps": 8,
            "order": "low_confidence",
            "intervention": ("shift", "replace"),
            "frac": (0.0, 0.1),
        },
    ),
}
EVAL = "suite_animal_words"
TOKENS = {
    "cpu": {"0.6M": 40_000, "135M": 5_000, "8B": 1_500},
    "cuda": {"0.6M": 200_000, "135M": 200_000, "8B": 100_000},
}
"""Tokens that go through the network in a line of the table, about."""


TINY_PRODUCT = 256
"""The side of the matrix product that a small table is compared with."""


class Timed(NativeModel):
    """A model that adds up the seconds of its network and output layer, and what they computed."""

    def begin(self) -> None:
        """Forgets what was added up."""
        self.spent, self.asked, self.pairs = 0.0, 0, 0

    def states(
        self, ids: torch.Tensor, lengths: torch.Tensor, *args: torch.Tensor | None
    ) -> torch.Tensor:
        """As the model's; counts pairs of tokens, of which one may attend to the other."""
        self.pairs += int(lengths.square().sum())
        with self._timed():
            return super().states(ids, lengths, *args)

    def logprobs(self, states: torch.Tensor) -> torch.Tensor:
        """As the model's."""
        self.asked += len(states)
        with self._timed():
            return super().logprobs(states)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        self._wait()
        start = time.perf_counter()
        yield
        self._wait()
        self.spent += time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Line:
    """A line of the table.

    Attributes:
        tokens: through the network.
        seconds: in all.
        outside: share of the seconds that is neither the network's nor its output layer's.
        share: of the machine's matrix-product rate.
    """

    size: str
    what: str
    tokens: int
    seconds: float
    outside: float
    share: float


def sized(shape: Shape, device: str, dtype: torch.dtype) -> NativeModel:
    """Random weights under the bundled model's tokenizer."""
    border = models.load_border(models.resolve("tiny-mdlm"))
    entry = replace(border.entry, geometry=shape.geometry, context=4096)
    own = Border(border.tokenizer, entry, border.template, border.specials)
    return build(shape, device, dtype, border=own)


def bundled(device: str) -> tuple[NativeModel, Shape]:
    """The bundled model, and its shape."""
    model = models.load(models.resolve("tiny-mdlm"), models.LoadOptions(device=device))
    known = ("hidden", "layers", "intermediate", "heads", "kv_heads", "vocab")
    assert isinstance(model, NativeModel)
    return model, Shape(**{name: model.entry.geometry[name] for name in known})


def of_probe(name: str, engine: Engine, tokens: int) -> Callable[[], Any]:
    """What measures as many cells of a probe as make so many tokens."""
    module, options = PROBES[name]
    cells, dry, count = module.plan(**options), DryRun(engine.entry, engine.border), 0
    while count < len(cells) and sum(dry.lengths) * dry.passes < tokens:
        list(module.measure(dry, [cells[count]]))
        count += 1
    return lambda: list(module.measure(engine, cells[:count]))


def of_eval(engine: Engine, tokens: int) -> Callable[[], Any]:
    """What answers the requests of a task of ours, as lm-eval asks them."""
    from lm_eval import simple_evaluate

    from mdlm_probe import harness
    from mdlm_probe.runs.executors.in_process import EngineSession

    session = EngineSession(engine.model, None, {"tokens": engine.batch_tokens})
    session.engine = engine
    loaded = harness.load((EVAL,), "")
    asked: list[Any] = []

    class Listener(harness.ProbeLM):
        def loglikelihood(self, requests: list[Any], *_: Any) -> list[tuple[float, bool]]:
            asked.extend(requests)
            return [(0.0, False)] * len(requests)

    simple_evaluate(
        model=Listener(session, engine.border),
        tasks=loaded.top,
        task_manager=loaded.manager,
        limit=max(1, tokens // 100),
        bootstrap_iters=0,
        verbosity="ERROR",
    )
    return lambda: harness.ProbeLM(session, engine.border).loglikelihood(asked)


def measured(
    size: str, model: NativeModel, shape: Shape, tokens: int, product: int = 0
) -> Iterator[Line]:
    """The lines of one size."""
    dtype = str(model.facts["dtype"])
    timed = Timed(model.network, model.border, model.shift, model.facts)
    timed.begin()
    engine = Engine(timed)
    for name in (*PROBES, "eval"):
        make = of_eval if name == "eval" else lambda e, n, name=name: of_probe(name, e, n)
        make(engine, 1)()  # what is loaded once is loaded now
        work, before = make(engine, tokens), matmul_rate(timed.device, dtype, product)
        engine.tokens = 0
        timed.begin()
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        machine = max(before, matmul_rate(timed.device, dtype, product))
        done = engine.tokens * shape.body_operations(timed.pairs / engine.tokens)
        done += 2 * timed.asked * shape.vocab * shape.hidden
        share = done / seconds / machine
        yield Line(size, name, engine.tokens, seconds, 1 - timed.spent / seconds, share)


def table(device: str, *, tiny: bool = False) -> Iterator[Line]:
    """All lines, size by size; a single small one where the table is only tried out."""
    on_gpu = torch.device(device).type == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    if tiny:
        yield from measured("tiny", sized(TINY, device, dtype), TINY, 300, TINY_PRODUCT)
        return
    tokens = TOKENS["cuda" if on_gpu else "cpu"]
    yield from measured("0.6M", *bundled(device), tokens["0.6M"])
    for size, shape in {"135M": SMOLLM2, "8B": LLADA if on_gpu else TWO_LAYERS}.items():
        yield from measured(size, sized(shape, device, dtype), shape, tokens[size])


def show(line: Line) -> str:
    """A line as text."""
    return (
        f"  {line.size:5} {line.what:9} {short(line.tokens / line.seconds):>7} tokens/s,"
        f" {line.share:5.2f} of the matrix rate, {line.outside:6.1%} outside the network"
        f" ({short(line.tokens)} tokens, {line.seconds:.1f} s)"
    )


def main() -> None:
    """The table for this machine, or a small one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--tiny", action="store_true", help="small models and few tokens")
    given = parser.parse_args()
    device = str(pick_device(given.device))
    print(f"{device}, {torch.get_num_threads()} threads")
    for line in table(device, tiny=given.tiny):
        print(show(line), flush=True)


if __name__ == "__main__":
    main()
