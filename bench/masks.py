"""The masks sweep against a plain loop over the same cells, and what isn't the network in it.

The plain loop writes out and tokenises every prompt anew, and sends one at a time.
"""

from __future__ import annotations

import time
from dataclasses import asdict

import torch

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.models._load import pick_device
from mdlm_probe.probes.masks import probe as masks

OPTIONS = {"tasks": ("verb", "animal"), "lexicon": "small", "answer": "word"}


def sweep(engine: Engine, cells: list[masks.Cell]) -> tuple[list[str], float]:
    """Answers and seconds of a sweep in groups of a few batches, as the runner cuts them."""
    start, group = time.perf_counter(), 4 * engine.batch_tokens // 600
    found = [
        row["predicted"]
        for at in range(0, len(cells), group)
        for _, (row,) in masks.measure(engine, cells[at : at + group])
    ]
    return found, time.perf_counter() - start


@torch.inference_mode()
def plain(model: models.Model, cells: list[masks.Cell]) -> tuple[list[str], float]:
    """Answers and seconds of the plain loop."""
    start, found = time.perf_counter(), []
    counter = _Writer(model.entry, model.border)
    for cell in cells:
        list(masks.measure(counter, [cell]))
        (query,) = counter.queries
        logits = model.network(torch.tensor([query.ids], device=model.device)).logits.float()
        logits[..., model.entry.mask_id] = -torch.inf
        rows = torch.softmax(logits, dim=-1)[0]
        found.append(model.border.decode([int(rows[query.positions[0]].argmax())]))
    return found, time.perf_counter() - start


class _Writer:
    """Keeps the queries it is asked, and answers none."""

    def __init__(self, entry: models.Checkpoint, border: object) -> None:
        self.entry, self.border = entry, border

    def ask(self, queries: list) -> list:
        self.queries = queries
        return []


def main() -> None:
    """Both sides over the default amounts and fillers, four sets, three test points each."""
    device = str(pick_device("auto"))
    model = models.load(models.resolve("tiny-mdlm"), models.LoadOptions(device=device))
    cells = masks.plan(**OPTIONS, limit=3)
    engine = Engine(model)
    sweep(engine, cells[:34])
    engine.busy = engine.tokens = 0
    ours, seconds = sweep(engine, cells)
    theirs, slow = plain(model, cells)
    same = sum(a == b for a, b in zip(ours, theirs, strict=True))
    options = {name: asdict(cells[0])[name] for name in ("shots", "distractors", "lexicon")}
    print(f"tiny-mdlm on {device}, {len(cells)} cells, {options}")
    print(f"  same answer: {same} of {len(cells)}")
    print(f"  cells/s: {len(cells) / seconds:.1f} against {len(cells) / slow:.1f}", end="")
    print(f": {slow / seconds:.1f}x")
    print(f"  outside forward passes: {1 - engine.busy / seconds:.1%} of {seconds:.1f} s")


if __name__ == "__main__":
    main()
