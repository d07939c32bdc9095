"""The recipe of a tuning: everything that decides the weights, and what only decides how fast."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import UNCOMPARED, check_least, check_positive, check_range

TooLong = Literal["skip", "cut"]
Tracker = Literal["none", "wandb", "trackio"]
CONTEXT = 1024
"""Most tokens of a row, where nobody says. Source: arXiv 2511.21338."""

HOW = ("data", "split", "micro_batch", "save_every", "gradient_checkpointing", "track")
"""What changes no weight, or only by the tokens that are read: resuming may change it."""


@dataclass(frozen=True)
class Lengths:
    """What is done about lengths.

    Attributes:
        context: most tokens of a prompt with its answer.
        too_long: longer ones are left out, or their answers are cut, which then have no end.
        pad_to: ends of text fill answers up to so many tokens, and count in the loss; 0: one end.
    """

    context: int
    too_long: TooLong = "skip"
    pad_to: int = 0


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a tuning does; the fields are options of the command line.

    Steps, batch, rank, alpha, clip and decay: arXiv 2511.21338; warm-up is ours.

    Raises:
        ProbeError: naming the option.
    """

    data: Annotated[
        str,
        "JSONL file, data set of the hub (org/name), or a shipped name: small-few-shot,"
        " small-prose; default: none, it must be given",
    ] = ""
    split: Annotated[str, "split of a data set of the hub"] = "train"
    context: Annotated[
        int | None, "most tokens of a row; default: 1024, or the model's context"
    ] = None
    too_long: Annotated[
        TooLong, "longer samples are left out (skip), or their answers cut, without an end (cut)"
    ] = "skip"
    pad_answers: Annotated[
        int, "fill answers with ends of text to so many tokens, which count in the loss; 0: one end"
    ] = 0
    steps: Annotated[int, "optimiser steps"] = 930
    batch: Annotated[int, "samples of a step, on all devices together"] = 129
    micro_batch: Annotated[
        int, "samples at once on a device; changes memory and speed, not the result", UNCOMPARED
    ] = 3
    rate: Annotated[float, "learning rate"] = 1e-5
    warmup: Annotated[int, "steps in which it rises to that; then it stays"] = 50
    clip: Annotated[float, "largest norm of the gradient; 0: any"] = 1.0
    decay: Annotated[float, "weight decay"] = 0.0
    rank: Annotated[int, "LoRA's rank"] = 64
    lora_alpha: Annotated[int, "LoRA's alpha: its part is scaled by alpha / rank"] = 128
    dropout: Annotated[float, "LoRA's dropout; above 0 micro-batches change the result"] = 0.0
    targets: Annotated[
        tuple[str, ...], "linear layers with LoRA, by native or the authors' names, or all"
    ] = ("all",)
    seed: Annotated[int, "seed of order, corruption and the adapter's first weights"] = 0
    save_every: Annotated[int, "steps between two checkpoints to resume from", UNCOMPARED] = 50
    gradient_checkpointing: Annotated[
        Literal["auto", "on", "off"],
        "compute activations again on the way back, for memory; auto: on a GPU",
        UNCOMPARED,
    ] = "auto"
    track: Annotated[Tracker, "log the training there, too", UNCOMPARED] = "none"

    def __post_init__(self) -> None:
        check_positive(steps=self.steps, batch=self.batch, micro_batch=self.micro_batch)
        check_positive(rate=self.rate, rank=self.rank, lora_alpha=self.lora_alpha)
        check_positive(save_every=self.save_every)
        check_least(0, warmup=self.warmup, clip=self.clip, decay=self.decay, seed=self.seed)
        check_least(0, pad_answers=self.pad_answers)
        check_range(0, 0.99, "0 to 0.99", dropout=self.dropout)
        if self.context is not None:
            check_least(8, context=self.context)

    @property
    def lengths(self) -> Lengths:
        """What is done about lengths."""
        return Lengths(self.context or CONTEXT, self.too_long, self.pad_answers)

    def deciding(self) -> dict[str, Any]:
        """What decides the weights, beside the samples."""
        told = (*HOW, "context", "too_long", "pad_answers")  # the last three are in `lengths`
        found = {name: value for name, value in asdict(self).items() if name not in told}
        return found | {"lengths": asdict(self.lengths)}

    def accumulation(self, processes: int) -> int:
        """Micro-batches of a step on each of so many devices.

        Raises:
            ProbeError: a batch that can't be shared out evenly.
        """
        at_once = self.micro_batch * processes
        if self.batch % at_once:
            raise ProbeError(
                f"--batch {self.batch} isn't a multiple of {self.micro_batch} samples at once"
                + f" on {processes} devices" * (processes > 1),
                expected="equal micro-batches",
                hint="choose another --micro-batch",
                option=("batch", "micro_batch"),
            )
        return self.batch // at_once
