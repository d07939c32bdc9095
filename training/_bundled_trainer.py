"""The trainer: fixed steps, warmup and linear decay, clipping, autocast. It knows no objective."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mdlm_probe.core.errors import ProbeError

Loss = Callable[[int], Float[Tensor, ""]]
"""The loss of a step: draws its own batch from the step number, so that a run can be repeated."""

Log = Callable[[int, float, float], None]
"""Called with the step, the mean loss since the last call, and the seconds since the start."""


@dataclass(frozen=True)
class TrainingPlan:
    """How to train; every length is a number of optimizer steps, never of seconds.

    Attributes:
        steps: optimizer steps.
        rate: highest learning rate of AdamW.
        warmup: steps of linear rise from 0.
        hold: share of the steps after which the rate falls linearly to `floor` times its peak.
        floor: see `hold`.
        betas, decay: of AdamW; vectors (norms, biases) don't decay.
        clip: largest norm of the gradient.
        autocast: compute matrix products in bfloat16.
        every: steps between two log calls.
    """

    steps: int
    rate: float = 1.5e-3
    warmup: int = 100
    hold: float = 0.6
    floor: float = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    decay: float = 0.05
    clip: float = 1.0
    autocast: bool = False
    every: int = 100

    def scale(self, step: int) -> float:
        """The learning rate of a step, as a share of the peak."""
        rise = (step + 1) / self.warmup if step < self.warmup else 1.0
        start = self.hold * self.steps
        left = (self.steps - step) / max(self.steps - start, 1) if step > start else 1.0
        return min(rise, self.floor + (1 - self.floor) * left)


def groups(parameters: Iterable[nn.Parameter], decay: float) -> list[dict[str, object]]:
    """The parameters that train, matrices with weight decay and vectors without."""
    trained = [p for p in parameters if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]


def train(model: nn.Module, loss: Loss, plan: TrainingPlan, log: Log | None = None) -> None:
    """Trains the parameters of a model that require gradients, in place.

    Args:
        model: left in training mode as found.
        loss: see `Loss`; called inside autocast when the plan says so.
        plan: see `TrainingPlan`.
        log: see `Log`.

    Raises:
        ProbeError: when the loss is not a finite number.
    """
    trained = [p for p in model.parameters() if p.requires_grad]
    device = trained[0].device.type
    optimizer = torch.optim.AdamW(
        groups(trained, plan.decay), lr=plan.rate, betas=plan.betas, fused=device == "cuda"
    )
    start, losses = time.monotonic(), list[Tensor]()
    for step in range(plan.steps):
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * plan.scale(step)
        with torch.autocast(device, torch.bfloat16, enabled=plan.autocast):
            value = loss(step)
        losses.append(value.detach())
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained, plan.clip)
        optimizer.step()
        if (step + 1) % plan.every == 0 or step + 1 == plan.steps:
            mean = _mean(losses, step)  # read now and then: each reading waits for the device
            losses = []
            if log:
                log(step + 1, mean, time.monotonic() - start)


def _mean(losses: list[Tensor], last: int) -> float:
    """The mean of the losses of the steps up to `last`."""
    values: list[float] = torch.stack(losses).tolist()
    for step, value in enumerate(values, last + 1 - len(values)):
        if not math.isfinite(value):
            raise ProbeError(
                f"the loss of step {step} is {value}",
                expected="a finite number",
                hint="lower the learning rate",
            )
    return sum(values) / len(values)
