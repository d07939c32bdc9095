"""Tuning: the trainer against a plain loop over the same batches, and the memory of a step.

Memory is measured where there is a GPU: one step of the mask-agnostic recipe at the shape of
LLaDA-8B, with random weights, three samples at once, beside what `plan` says.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mdlm_probe import models
from mdlm_probe.models import LoadOptions
from mdlm_probe.models._load import pick_device
from mdlm_probe.models._quiet import quiet
from mdlm_probe.runs import tuning_cost
from mdlm_probe.tuning import lora, tuner
from mdlm_probe.tuning.corruption import Sample, Tokens
from mdlm_probe.tuning.objectives import mask_agnostic, sft
from mdlm_probe.tuning.recipe import Recipe
from mdlm_probe.tuning.request import Tuning
from mdlm_probe.tuning.stream import Stream, collate

STEPS, BATCH = 40, 16
CONTEXT = 1624
"""1,024 tokens and 600 masks."""


class _Clock:
    """Progress that only measures time."""

    def note(self, text: str) -> None:
        pass

    def start(self, name: str, cells: int, done: int) -> None:
        pass

    def step(self, parts: dict[str, float], tokens: int) -> None:
        self.ended = time.perf_counter()


def trained(network: Any, stream: Stream, device: torch.device, **options: Any) -> float:
    """Seconds that a training takes, its preparation apart."""
    clock = _Clock()
    chosen = Recipe(steps=stream.steps, batch=stream.batch, save_every=10**6, **options)
    with tempfile.TemporaryDirectory() as folder, quiet():
        made = tuner.arguments(chosen, Path(folder), device, device.type == "cuda")
        watch = tuner.Watch(None, stream.batch, clock)
        made_tuner = tuner.Tuner(network, stream.objective, stream, 0, made, watch)
        made_tuner.args.save_strategy = "no"
        start = time.perf_counter()
        made_tuner.train()
    return clock.ended - start


def plain(network: Any, stream: Stream, device: torch.device) -> float:
    """Seconds of the same steps, written out."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    start = time.perf_counter()
    for step in range(stream.steps):
        items = [stream[step * stream.batch + i] for i in range(stream.batch)]
        given = collate(items, stream.tokens.end, 0)
        given = {n: given[n] for n in ("input_ids", "attention_mask", "logits_to_keep")}
        given = {n: value.to(device) for n, value in given.items() if value is not None}
        logits = network(**given, use_cache=False).logits.split([len(i.places) for i in items])
        losses = [
            stream.objective.loss(p[None], i)["loss"] for p, i in zip(logits, items, strict=True)
        ]
        optimizer.zero_grad()
        (sum(losses) / len(losses)).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return time.perf_counter() - start


def samples(count: int, prompt: int, answer: int, vocab: int) -> list[Sample]:
    """Random samples of one length."""
    ids = torch.randint(3, vocab, (count, prompt + answer)).tolist()
    return [Sample(tuple(row[:prompt]), tuple(row[prompt:])) for row in ids]


def speed(device: torch.device) -> None:
    """The bundled model, all weights, both ways, three times by turns."""
    found = []
    for _ in range(3):
        both = []
        for side in (trained, plain):
            model = models.load(models.resolve("tiny-mdlm"), LoadOptions("float32", str(device)))
            network = model.network.requires_grad_(True).train()
            tokens = Tokens(model.entry.mask, model.entry.eos_ids[0], 160)
            data = samples(50, 60, 40, model.vocab)
            stream = Stream(data, sft.plan(), tokens, STEPS, BATCH, 0)
            more = {"micro_batch": BATCH} if side is trained else {}
            both.append(side(network, stream, device, **more))
        found.append(both)
    ours, theirs = (min(side) for side in zip(*found, strict=True))
    print(f"tiny-mdlm on {device}: {STEPS / ours:.1f} steps/s against {STEPS / theirs:.1f}", end="")
    print(f" of a plain loop: {theirs / ours:.2f}x")


def memory(
    shape: dict[str, int], device: torch.device, context: int = CONTEXT
) -> tuple[int, float]:
    """Bytes at the peak of two steps of a network of this shape with random weights, and seconds.

    A CPU doesn't tell its peak: 0.
    """
    config = LlamaConfig(
        vocab_size=shape["vocab"],
        hidden_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kv_heads"],
        intermediate_size=shape["intermediate"],
        max_position_embeddings=4096,
        dtype=torch.bfloat16,
    )
    config.is_causal = False
    with torch.device(device), quiet():
        network = LlamaForCausalLM._from_config(config, dtype=torch.bfloat16)
        names = lora.targets(network, {}, ("all",))
        adapted = lora.adapted(network, names, 64, 128, 0.0, 0)
    data = samples(6, context // 4, context // 4, shape["vocab"])
    objective = mask_agnostic.plan(curriculum_steps=0)
    stream = Stream(data, objective, Tokens(0, 1, context), 2, 3, 0)
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    seconds = trained(adapted, stream, device, micro_batch=3, gradient_checkpointing="on")
    return torch.cuda.max_memory_allocated(device) if on_gpu else 0, seconds


def planned(name: str, context: int = CONTEXT) -> float:
    """Bytes that `plan` says the same takes with a checkpoint of the registry."""
    options = {"context": context, "micro_batch": 3, "steps": 2, "batch": 3}
    asked = Tuning("mask-agnostic", {"curriculum_steps": 0}, options, name, LoadOptions(), Path())
    return tuning_cost.cost(asked, "bfloat16", again=True).memory or 0


def main() -> None:
    """Speed here, and memory where there is a GPU."""
    device = pick_device("auto")
    speed(device)
    if device.type != "cuda":
        print("memory at the shape of llada-8b: needs a GPU")
        return
    entry = models.resolve("llada-8b")
    seen, _ = memory(entry.geometry, device)
    said = planned(entry.name)
    print(f"one step at the shape of llada-8b: {seen / 2**30:.1f} GiB", end="")
    print(f" against {said / 2**30:.1f} GiB of `plan`: {said / seen:.2f}x")


if __name__ == "__main__":
    main()
