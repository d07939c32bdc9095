"""Layers of experts by groups of rows, as they are computed here, against two plain loops.

One loop takes a token and an expert at a time, as papers write a layer down; the other an expert at
a time, with all of its tokens, as transformers does where it is told nothing. 64 experts, 8 for a
token, as in LLaDA-MoE.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import silu
from transformers import Qwen3MoeConfig
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeExperts

from mdlm_probe.models import _experts

EXPERTS, CHOSEN = 64, 8
REPEATS = 5


@dataclass(frozen=True)
class Size:
    """What a layer of experts costs depends on."""

    hidden: int
    inner: int
    tokens: int


SIZES = (Size(64, 32, 64), Size(64, 32, 1024), Size(256, 128, 512))
TINY = (Size(16, 8, 12),)


@dataclass(frozen=True)
class Found:
    """Seconds of each way, and how far its result is from that of one token after another."""

    seconds: dict[str, float]
    distance: dict[str, float]


def layer(size: Size) -> tuple[Any, Float[Tensor, "tokens hidden"], Any, Any]:
    """A layer with random weights, its input, and the experts of each token with their weights."""
    config = Qwen3MoeConfig(
        hidden_size=size.hidden,
        moe_intermediate_size=size.inner,
        num_experts=EXPERTS,
        num_experts_per_tok=CHOSEN,
    )
    generator = torch.Generator().manual_seed(0)
    experts = Qwen3MoeExperts(config)
    for weight in experts.parameters():
        weight.data = torch.randn(weight.shape, generator=generator) / size.hidden**0.5
    states = torch.randn(size.tokens, size.hidden, generator=generator)
    weights, chosen = (
        torch.randn(size.tokens, EXPERTS, generator=generator).softmax(-1).topk(CHOSEN)
    )
    return experts, states, chosen, weights


def one_by_one(
    experts: Any,
    states: Float[Tensor, "tokens hidden"],
    chosen: Int[Tensor, "tokens chosen"],
    weights: Float[Tensor, "tokens chosen"],
) -> Float[Tensor, "tokens hidden"]:
    """A token and an expert at a time."""
    found = torch.zeros_like(states)
    for token, row in enumerate(states):
        for expert, weight in zip(chosen[token].tolist(), weights[token], strict=True):
            gate, up = (experts.gate_up_proj[expert] @ row).chunk(2)
            found[token] += weight * (experts.down_proj[expert] @ (silu(gate) * up))
    return found


def measured(size: Size) -> Found:
    """Each way in turns, so that all see the machine alike; the median of a few."""
    experts, *given = layer(size)
    ours = _experts.implementation(experts.config, torch.device("cpu"), "")

    def by(name: str) -> Callable[[], Tensor]:
        def run() -> Tensor:
            experts.config._experts_implementation = name
            result: Tensor = experts(*given)
            return result

        return run

    ways = {"ours": by(ours), "by expert": by("eager")}
    ways["by token"] = lambda: one_by_one(experts, *given)
    spent: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Tensor] = {}
    with torch.inference_mode():
        for _ in range(REPEATS + 1):
            for name, run in ways.items():
                start = time.perf_counter()
                results[name] = run()
                spent[name].append(time.perf_counter() - start)
    distance = {n: (r - results["by token"]).abs().max().item() for n, r in results.items()}
    return Found({n: statistics.median(times[1:]) for n, times in spent.items()}, distance)


def main(asked: Sequence[str] | None = None) -> None:
    """Prints the ratios of every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a size that takes no time")
    print(
        f"{EXPERTS} experts, {CHOSEN} for a token, CPU float32, {torch.get_num_threads()} threads"
    )
    for size in TINY if parser.parse_args(asked).tiny else SIZES:
        found = measured(size)
        ratio = {name: found.seconds[name] / found.seconds["ours"] for name in found.seconds}
        print(
            f"  hidden {size.hidden}, inner {size.inner}, {size.tokens} tokens:"
            f" {1000 * found.seconds['ours']:.2f} ms; {ratio['by token']:.1f}x the loop over"
            f" tokens, {ratio['by expert']:.1f}x that over experts;"
            f" furthest apart {found.distance['ours']:.0e}"
        )


if __name__ == "__main__":
    main()
