"""What a measurement would cost, from a checkpoint's geometry alone: operations, memory, hours."""

from __future__ import annotations

import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Float

from mdlm_probe.engine.limits import ROW_BYTES
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.models._config import cached_numbers, head_dim, idle, mixed_layers, widest

if TYPE_CHECKING:
    from torch import Tensor

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}

PACKED = {"8bit": 1.0, "4bit": 0.5}
"""Bytes of a quantised weight."""

SCALES = {"8bit": 0.0, "4bit": 2 / 128}
"""Numbers that are kept beside a quantised weight, in the model's own format: a scale and a shift
for every 128 in 4-bit; in 8-bit one for a whole row. Source: read off optimum-quanto 0.2.7."""

SHARE = 0.5
"""Share of a card's published rate that is assumed to be reached."""


PACE = 0.8
"""Share of the speed measured for single layers that whole runs are taken to reach; the rest is
padding, the output layer, readouts. Ours: of the smoke study, probes of single passes took 0.9
times what it gives, attribution 1.7 times, and decoding a third or less, because canvases that are
equal go through the network once."""


WIDE, SLICE = 1024, 512
"""Width above which a layer is timed by slices on the CPU, and how many rows a slice has."""


CARDS = {
    "a100": 312e12,
    "h100": 989e12,
    "h200": 989e12,
    "b200": 2250e12,
    "l40s": 362e12,
    "l4": 121e12,
    "a10": 125e12,
    "rtx4090": 165e12,
    "rtx3090": 71e12,
}
"""Operations per second in bfloat16, dense, of cards by name. Source: NVIDIA's data sheets (SXM
where there are several; half of what is given with sparsity)."""


@dataclass(frozen=True)
class Cost:
    """An estimate; None without a geometry.

    Attributes:
        operations: floating-point operations of all forward passes.
        weights: bytes that the weights take.
        work: bytes of one batch's activations or output rows, and of keys and values that are kept.
    """

    operations: float | None
    weights: float | None = None
    work: float | None = None

    @property
    def memory(self) -> float | None:
        """Bytes in all."""
        return None if self.weights is None else self.weights + (self.work or 0)

    def with_scorer(self, scorer: Cost) -> Cost:
        """Both models: their weights stay side by side, their passes follow each other."""
        if self.operations is None or scorer.operations is None:
            return Cost(None)
        return Cost(
            self.operations + scorer.operations,
            (self.weights or 0) + (scorer.weights or 0),
            max(self.work or 0, scorer.work or 0),
        )


def cost(
    entry: Checkpoint,
    load: LoadOptions,
    dtype: str,
    tokens: float,
    asked: int,
    length: float,
    batch: int,
    gradients: bool = False,
    cached: int = 0,
) -> Cost:
    """Estimates a measurement of `tokens` tokens, once a pass, in prompts of about `length`.

    Two operations per token and weight that is at work for it, attention on top, the output layer
    only where asked. In memory are all weights, and, one after the other, the activations of a
    batch of `batch` tokens and its output rows; the keys and values of `cached` tokens stay. For
    `gradients` the activations of every layer are kept, at least of one prompt.
    """
    g = entry.geometry
    if not g:
        return Cost(None)
    table = g["vocab"] * g["hidden"]
    # a tied model counts its table once, an untied one twice; neither runs on every token
    body = g["parameters"] - table * (1 if g.get("tied") else 2)
    attention = 4 * g["layers"] * g["heads"] * head_dim(g) * length
    operations = tokens * (2 * (body - idle(g)) + attention) + asked * 2 * table
    width = bytes_at_once(g, BYTES[dtype])
    if gradients:  # every layer's are kept, of one prompt where there isn't room for more
        batch = math.ceil(min(batch, length))
        width = numbers_kept(g) * BYTES[dtype]
    rows = min(asked / tokens * batch * g["vocab"] * 4, ROW_BYTES)
    weight: float = BYTES[dtype]
    if load.quantize:  # the embedding table, the output layer and routers stay as they are
        weight = PACKED[load.quantize] + SCALES[load.quantize] * BYTES[dtype]
    tables, routers = g["parameters"] - body, mixed_layers(g) * g["hidden"] * g.get("experts", 0)
    return Cost(
        operations,
        (body - routers) * weight + tables * BYTES[dtype] + routers * _routed(g, BYTES[dtype]),
        max(batch * width, 2 * rows) + cached * cached_numbers(g) * BYTES[dtype],
    )


def bytes_at_once(geometry: dict[str, int], number: int) -> int:
    """Bytes that are alive at once for a token of a forward pass, at the widest of its places.

    These are the rotation of queries, or of keys; a layer's inner width; or, in a layer of experts,
    their inner widths, or their results before these are added up. Source: ours, counted in the
    classes of transformers 5.23; within a tenth of what torch's profiler finds, by test.

    Args:
        geometry: see `_config.parameters`.
        number: bytes of one.
    """
    g, hidden, size = geometry, geometry["hidden"], head_dim(geometry)
    queries, keys = size * g["heads"], size * g["kv_heads"]
    places = [2 * hidden + 5 * queries + 2 * keys, 2 * hidden + 2 * queries + 6 * keys]
    mixed = mixed_layers(g)
    if mixed < g["layers"]:
        places.append(4 * hidden + 3 * g["intermediate"])
    widest_place = number * max(places)
    if not mixed:
        return widest_place
    chosen, inner = g["experts_per_token"], g["expert_intermediate"]
    routing = 4 * g["experts"] + 44 * chosen  # whole numbers of 8 bytes, for the most part
    within = number * ((4 + chosen) * hidden + 4 * chosen * inner)
    results = number * 4 * hidden + 2 * chosen * hidden * (number + _routed(g, number))
    return max(widest_place, within + routing, results + routing)


def _routed(geometry: dict[str, int], number: int) -> int:
    """Bytes of a number of the router, and of those that experts' results are multiplied by."""
    return 4 if geometry.get("float32_router") else number


def numbers_kept(geometry: dict[str, int]) -> int:
    """Numbers of a token that all layers keep for gradients, rounded up. Source: ours."""
    g, mixed = geometry, mixed_layers(geometry)
    kept = g["layers"] * 10 * g["hidden"] + (g["layers"] - mixed) * 3 * g["intermediate"]
    if mixed:
        own = 3 * g["hidden"] + 4 * g["expert_intermediate"]
        kept += mixed * (
            g["experts_per_token"] * own + 3 * g["shared_experts"] * g["expert_intermediate"]
        )
    return kept


def layer_size(geometry: dict[str, int]) -> int:
    """The weights of a layer to the nearest power of two: layers of one size are timed once, so
    that models of one size don't differ by what else the machine did meanwhile.
    """
    width, inner, size = geometry["hidden"], widest(geometry), head_dim(geometry)
    heads = geometry["heads"] + geometry["kv_heads"]
    return round(math.log2(width * (2 * size * heads + 3 * inner)))


def layer_rate(geometry: dict[str, int], device: str, dtype: str) -> float:
    """Operations per second of one layer of a model's shape with random weights, timed now.

    Experts are timed as one that is as wide as those of a token together.
    The median of five short passes after a first one. Counted as in `cost`. A wide layer on the CPU
    is timed by slices of its products, which are all but a hundredth of it: the whole would take a
    gigabyte. Source: ours.
    """
    import torch

    on_gpu = torch.device(device).type != "cpu"
    width, size = geometry["hidden"], head_dim(geometry)
    queries, keys = size * geometry["heads"], size * geometry["kv_heads"]
    shapes = [(queries, width), (keys, width), (keys, width), (width, queries)]
    shapes += [(widest(geometry), width)] * 2 + [(width, widest(geometry))]
    kind = {"device": device, "dtype": getattr(torch, dtype)}
    if not on_gpu and width > WIDE:
        return _products_rate([(min(rows, SLICE), columns) for rows, columns in shapes], kind)
    weights = [torch.rand(shape, **kind) / shape[1] for shape in shapes]
    count, length = (32, 512) if on_gpu else (16, 512)
    states = torch.rand(count, length, width, **kind)
    spent = []
    with torch.inference_mode():
        for _ in range(6):
            start = time.perf_counter()
            _layer(states, weights, geometry)[0, 0, 0].item()  # waits for the device
            spent.append(time.perf_counter() - start)
    own = 2 * sum(rows * columns for rows, columns in shapes) + 4 * queries * length
    return count * length * own / statistics.median(spent[1:])


def _products_rate(shapes: list[tuple[int, int]], kind: dict[str, Any]) -> float:
    """Operations per second of products of 256 tokens with weights of these shapes."""
    import torch

    weights = {shape: torch.rand(shape, **kind) for shape in dict.fromkeys(shapes)}
    states = {columns: torch.rand(256, columns, **kind) for _, columns in weights}
    spent = []
    with torch.inference_mode():
        for _ in range(6):
            start = time.perf_counter()
            for shape in shapes:
                torch.nn.functional.linear(states[shape[1]], weights[shape])
            spent.append(time.perf_counter() - start)
    own = 2 * 256 * sum(rows * columns for rows, columns in shapes)
    return own / statistics.median(spent[1:])


def layer_rate_aside(geometry: dict[str, int], device: str, dtype: str) -> float:
    """`layer_rate` in a process of its own: torch takes more time and memory than a plan does."""
    code = (
        f"from {__name__} import layer_rate; print(layer_rate({geometry}, '{device}', '{dtype}'))"
    )
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _layer(
    states: Float[Tensor, "batch length width"], weights: list[Tensor], geometry: dict[str, int]
) -> Float[Tensor, "batch length width"]:
    """A layer as Llama and Qwen have it, without norms and rotary positions, which cost little."""
    from torch.nn import functional

    query, key, value, out, gate, up, down = weights
    queries, keys, values = (
        functional.linear(states, weight).unflatten(-1, (count, -1)).transpose(1, 2)
        for weight, count in zip(
            (query, key, value),
            (geometry["heads"], geometry["kv_heads"], geometry["kv_heads"]),
            strict=True,
        )
    )
    seen = functional.scaled_dot_product_attention(queries, keys, values, enable_gqa=True)
    states = states + functional.linear(seen.transpose(1, 2).flatten(2), out)
    inner = functional.silu(functional.linear(states, gate)) * functional.linear(states, up)
    return states + functional.linear(inner, down)
