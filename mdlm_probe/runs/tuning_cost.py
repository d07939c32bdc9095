"""What a tuning would cost, from the checkpoint's geometry and the rows that it would train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _families
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._config import head_dim, idle, mixed_layers, widest
from mdlm_probe.runs.cost import BYTES
from mdlm_probe.tuning import conversations, lora, samples
from mdlm_probe.tuning.choice import chosen
from mdlm_probe.tuning.corruption import Sample, Tokens
from mdlm_probe.tuning.recipe import Recipe
from mdlm_probe.tuning.request import Tuning
from mdlm_probe.tuning.stream import Stream

DRAWN = 300
"""Samples that are corrupted to count rows, tokens and places."""

LAYER = (16, 6)
"""Numbers that a layer keeps for the way back, per token: widths, and inner widths. Ours, rounded
up from counting what a Llama layer's operations save."""

LOGIT = 22
"""Bytes per scored place and token of the vocabulary: the logits in half and in full precision,
their softmax, and the gradients of each. Ours."""

TRAINED = 16
"""Bytes per trained weight: itself, its gradient and Adam's two moments, in float32."""


@dataclass(frozen=True)
class TuningCost:
    """An estimate; None where the geometry isn't known.

    Attributes:
        steps, samples: of the whole training.
        at_once: samples on a device.
        tokens, scored: that go through the network and its output layer, once each.
        trained: weights that are trained.
        operations: floating-point operations.
        memory: bytes on a device, at most.
        notes: what was assumed.
    """

    steps: int
    samples: int
    at_once: int
    tokens: float
    scored: float
    trained: int | None
    operations: float | None
    memory: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """What samples become on average, and at most: rows, tokens in all rows, scored places.

    Attributes:
        tokens, scored, length: means, of a sample and of a row.
        most_tokens, most_scored: of a sample.
    """

    tokens: float
    scored: float
    length: float
    most_tokens: int
    most_scored: int


def cost(asked: Tuning, dtype: str, again: bool) -> TuningCost:
    """Estimates a tuning without loading anything but a tokenizer, where data are given.

    Args:
        asked: the tuning.
        dtype: of the weights, unless all are trained.
        again: whether activations are computed again on the way back.

    Raises:
        ProbeError: wrong options, or data that can't be read.
    """
    entry, plan, objective = chosen(asked)
    data, notes = _samples(asked, entry, plan)
    tokens = Tokens(entry.mask_id or 0, (entry.eos_ids or (0,))[0], plan.lengths.context)
    stream = Stream(data, objective, tokens, plan.steps, plan.batch, plan.seed)
    seen = _rows(stream)
    count = plan.steps * plan.batch
    sizes = (plan.steps, count, plan.micro_batch, seen.tokens * count, seen.scored * count)
    if not (g := entry.geometry):
        return TuningCost(*sizes, None, None, None, notes)
    trained = g["parameters"] if asked.full else _adapter(entry, plan)
    shape = (g, seen, trained, asked.full, again)
    memory = _memory(*shape, plan.micro_batch, "float32" if asked.full else dtype)
    return TuningCost(*sizes, trained, count * _operations(*shape), memory, notes)


def _samples(
    asked: Tuning, entry: Checkpoint, plan: Recipe
) -> tuple[Sequence[Sample], tuple[str, ...]]:
    """The samples, or some that are assumed."""
    context = plan.lengths.context
    quarter = (1,) * (context // 4)
    assumed = (Sample(quarter, quarter),)
    if not plan.data:
        told = f"without --data prompts and answers are taken to have {context // 4} tokens each"
        return assumed, (told,)
    rows = conversations.read(plan.data, plan.split)
    try:
        border = models.load_border(entry, asked.load)
    except ProbeError as error:
        told = f"no tokenizer, so prompts and answers are taken to have {context // 4} tokens each"
        return assumed, (f"{told}: {error.found}",)
    found = samples.encode(border, rows, plan.lengths, plan.steps * plan.batch)
    return found.samples, (found.told(),)


def _rows(stream: Stream) -> Rows:
    """Counts on items from the whole training: what is appended may grow."""
    numbers = np.unique(np.linspace(0, len(stream) - 1, DRAWN).astype(int))
    items = [stream[int(number)] for number in numbers]
    tokens = [item.rows.size for item in items]
    scored = [len(item.rows) * len(item.places) for item in items]
    lengths = [item.rows.shape[1] for item in items]
    means = [float(np.mean(values)) for values in (tokens, scored, lengths)]
    return Rows(means[0], means[1], means[2], max(tokens), max(scored))


def _adapter(entry: Checkpoint, plan: Recipe) -> int:
    """Weights of the adapter."""
    g, width = entry.geometry, entry.geometry["hidden"]
    queries, keys = head_dim(g) * g["heads"], head_dim(g) * g["kv_heads"]
    shapes = {"self_attn.q_proj": width + queries, "self_attn.k_proj": width + keys}
    shapes |= {"self_attn.v_proj": width + keys, "self_attn.o_proj": width + queries}
    attention, first = list(shapes), g["layers"] - mixed_layers(g)
    kinds = {"mlp": g["intermediate"]}  # experts get no adapter, those that are shared do
    if shared := first < g["layers"] and g["shared_experts"]:
        kinds["mlp.shared_experts"] = shared * g["expert_intermediate"]
    for kind, inner in kinds.items():
        shapes |= {f"{kind}.{name}_proj": width + inner for name in ("gate", "up", "down")}
    names = [
        f"model.layers.{i}.{name}"
        for i in range(g["layers"])
        for name in shapes
        if name in attention or name.startswith("mlp.shared") == (i >= first)
    ]
    found = lora.matching(names, _families.family(entry.family).KEYS, plan.targets)
    return plan.rank * sum(shapes[name.split(".", 3)[3]] for name in found)


def _operations(g: dict[str, int], seen: Rows, trained: int, full: bool, again: bool) -> float:
    """Of a sample: two per weight and token forwards, as many for the activations backwards, for
    activations computed again, and for the gradients of weights that train; twice that for
    attention backwards.
    """
    table = g["vocab"] * g["hidden"]
    body = g["parameters"] - idle(g) - table * (1 if g.get("tied") else 2)
    passes = 2 + again + full
    attention = 4 * g["layers"] * g["heads"] * head_dim(g) * seen.length * (3 + again)
    own = 0 if full else 2 * trained * (3 + again)
    return seen.tokens * (2 * body * passes + attention + own) + seen.scored * 2 * table * (
        2 + full
    )


def _memory(
    g: dict[str, int],
    seen: Rows,
    trained: int,
    full: bool,
    again: bool,
    samples_at_once: int,
    dtype: str,
) -> float:
    """Weights, what trains of them, activations of the largest micro-batch, and its logits."""
    weights = (0 if full else g["parameters"] * BYTES[dtype]) + trained * TRAINED
    tokens = samples_at_once * seen.most_tokens
    layer = LAYER[0] * g["hidden"] + LAYER[1] * widest(g)
    kept = g["layers"] * g["hidden"] + layer if again else g["layers"] * layer
    logits = samples_at_once * seen.most_scored * g["vocab"] * LOGIT
    return weights + tokens * kept * (4 if full else BYTES[dtype]) + logits
