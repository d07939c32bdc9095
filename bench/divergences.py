"""Divergences between distributions over LLaDA's vocabulary, against all pairs at once.

The plain way makes every pair's mixture in one array; ours goes through the vocabulary in pieces
within a memory limit.
"""

from __future__ import annotations

import json
import subprocess
import sys

import torch

from bench._shapes import VOCAB
from bench.engine import peak_of
from mdlm_probe.core.quantities import short
from mdlm_probe.engine import readouts

ROWS, LIMIT = 20, 64


def rows() -> torch.Tensor:
    """Log-probabilities of as many positions as a grid of distances has."""
    torch.manual_seed(0)
    return (3 * torch.randn(ROWS, VOCAB)).log_softmax(-1)


def plain(scored: torch.Tensor, pairs: list[tuple[int, int]]) -> torch.Tensor:
    """Jensen-Shannon divergence and total variation by their definitions."""
    p, q = (scored[[pair[side] for pair in pairs]].exp() for side in (0, 1))
    middle = (p + q) / 2
    js = (p * (p / middle).log() + q * (q / middle).log()).sum(-1) / 2
    return torch.stack([js, (p - q).abs().sum(-1) / 2], dim=1)


def side(name: str) -> None:
    """One side of the comparison, in this process; prints JSON."""
    scored = rows()
    pairs = [(a, b) for a in range(ROWS) for b in range(a)]
    work = {
        "plain": lambda: plain(scored, pairs),
        "pieces": lambda: readouts.divergences(scored, tuple(pairs), LIMIT * 2**20),
    }[name]
    found, seconds, memory = peak_of(work)
    print(json.dumps([found.tolist(), seconds, memory]))


def main() -> None:
    """Both sides, each in a process of its own."""
    found = {}
    for name in ("plain", "pieces"):
        command = [sys.executable, "-m", "bench.divergences", name]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout)
    ours, theirs = (torch.tensor(found[name][0]) for name in ("pieces", "plain"))
    print(f"{len(ours)} pairs of {VOCAB} tokens, CPU float32, memory limit {LIMIT} MiB")
    print(f"  largest difference: {(ours - theirs).abs().max():.1e}")
    print(f"  seconds: {found['pieces'][1]:.2f} against {found['plain'][1]:.2f}")
    memory = [short(found[name][2]) for name in ("pieces", "plain")]
    ratio = found["pieces"][2] / found["plain"][2]
    print(f"  peak memory above the rows: {memory[0]}B against {memory[1]}B: {ratio:.2f}")


if __name__ == "__main__":
    side(sys.argv[1]) if len(sys.argv) > 1 else main()
