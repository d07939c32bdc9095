"""Samples for the tests of objectives, and gradients by finite differences."""

import numpy as np
import torch

from mdlm_probe.tuning.corruption import Moment, Sample, Tokens

MASK, END, SLACK = 0, 1, 2
TOKENS = Tokens(mask=MASK, end=END, context=60, slack=SLACK)
VOCAB = 9


def sample(prompt=5, answer=7, seed=0):
    rng = np.random.default_rng(seed)
    return Sample(
        tuple(rng.integers(3, VOCAB, prompt).tolist()),
        (*rng.integers(3, VOCAB, answer - 1).tolist(), END),
    )


def moment(seed=0, item=0, step=0, steps=10):
    return Moment(np.random.default_rng(seed), item, step, steps)


def logits_for(item, seed=0):
    """Random float64 logits of what is scored of a corrupted sample."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(item.rows), len(item.places), VOCAB)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def gradient_holds(loss, logits):
    """Whether the gradient of a loss agrees with finite differences, everywhere."""
    return torch.autograd.gradcheck(loss, logits.clone().requires_grad_(), eps=1e-6, atol=1e-6)
