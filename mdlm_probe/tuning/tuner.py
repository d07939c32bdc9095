"""The trainer: that of transformers, with an objective's loss and our log, bar and checkpoints."""

from __future__ import annotations

import os
import shutil
import time
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.extras import library
from mdlm_probe.models._hf import wide
from mdlm_probe.tuning.corruption import Objective
from mdlm_probe.tuning.recipe import Recipe
from mdlm_probe.tuning.stream import Stream, collate
from mdlm_probe.tuning.training_log import TrainingLog

COMPLETE = "complete"
"""An empty file in a checkpoint, written last: one that a killed process left lacks it."""


@runtime_checkable
class TuningProgress(Protocol):
    """What a front end may want to show of a training."""

    def note(self, text: str) -> None:
        """Something a person should know."""

    def start(self, name: str, cells: int, done: int) -> None:
        """It begins, or resumes, with so many steps."""

    def step(self, parts: dict[str, float], tokens: int) -> None:
        """A step is over: its losses, and its tokens."""


class Tuner(Trainer):
    """The trainer of transformers over an objective.

    Each loss is the mean over the samples of the whole step, on whatever devices: micro-batches are
    equally large, so the mean of their means is that.

    Args:
        model: of transformers, or with an adapter of PEFT.
        objective: whose loss is minimised.
        stream: its samples.
        shift: 1 where the network's row i-1 scores the token at i.
        arguments: of the trainer.
        watch: told of every step.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        stream: Stream,
        shift: int,
        arguments: TrainingArguments,
        watch: Watch,
    ) -> None:
        self.objective: Objective = objective
        self.sums: dict[str, Any] = {}
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=stream,
            data_collator=partial(collate, pad=stream.tokens.end, shift=shift),
            callbacks=[watch],
        )
        self.remove_callback(PrinterCallback)
        # ours takes no count of items: the trainer divides by the number of micro-batches
        self.model_accepts_loss_kwargs = False
        watch.tuner = self

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean loss of a micro-batch; its parts are added up for the log."""
        items = inputs["items"]
        given = {name: inputs[name] for name in ("input_ids", "attention_mask", "logits_to_keep")}
        logits = model(**given, use_cache=False).logits
        logits = logits.to(wide(logits.dtype))
        parts = logits.split([len(item.rows) * len(item.places) for item in items])
        sums = {"tokens": torch.tensor(inputs["tokens"], device=logits.device)}
        for part, item in zip(parts, items, strict=True):
            shape = len(item.rows), len(item.places)
            found = self.objective.loss(part.unflatten(0, shape), item)
            sums |= {name: sums.get(name, 0) + value for name, value in found.items()}
        for name, value in sums.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().double()
        return sums["loss"] / len(items)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        """A rate that rises linearly, from the first step on, and then stays."""
        rise = max(self.args.warmup_steps, 1)
        assert self.optimizer is not None
        self.lr_scheduler = LambdaLR(self.optimizer, lambda step: min(1.0, (step + 1) / rise))
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def taken(self) -> dict[str, float]:
        """The sums of the step over all processes, which begin anew."""
        names, found = list(self.sums), torch.stack(list(self.sums.values()))
        self.sums = {}
        whole: Tensor = self.accelerator.reduce(found, "sum")
        return dict(zip(names, whole.tolist(), strict=True))


class Watch(TrainerCallback):
    """Logs every step, stops at a loss that is no number, and marks checkpoints as complete."""

    def __init__(self, log: TrainingLog | None, batch: int, progress: TuningProgress) -> None:
        self.log, self.batch, self.progress = log, batch, progress
        self.tuner: Any = None
        self._began = time.monotonic() - (log.seconds if log else 0)

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Before weights change: the step's losses must be numbers, and so must its gradients.

        Raises:
            ProbeError: naming the step.
        """
        sums = self.tuner.taken()
        self._tokens = int(sums.pop("tokens"))
        self._parts = {name: value / self.batch for name, value in sums.items()}
        self._rate = self.tuner.lr_scheduler.get_last_lr()[0]
        bad = [name for name, value in self._parts.items() if not abs(value) < torch.inf]
        gradients = [p.grad for p in self.tuner.model.parameters() if p.grad is not None]
        if not bad and torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            return
        what = f"{bad[0]} of step {state.global_step + 1} is {self._parts[bad[0]]}" if bad else ""
        raise ProbeError(
            what or f"the gradient of step {state.global_step + 1} is no finite number",
            expected="a finite number; the last checkpoint is kept as it was",
            hint="a lower --rate, with --fresh",
        )

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Writes the row of a step."""
        if self.log:
            seconds = time.monotonic() - self._began
            self.log.append(state.global_step, self._parts, self._rate, self._tokens, seconds)
        self.progress.step(self._parts, self._tokens)
        if args.report_to:
            self.tuner.log({**self._parts, "rate": self._rate})

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Marks a checkpoint once every process has written its part."""
        self.tuner.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def last_checkpoint(folder: Path) -> tuple[Path | None, int]:
    """The last complete checkpoint and its step; incomplete ones are removed."""
    found: list[tuple[int, Path]] = []
    for path in folder.glob("checkpoint-*"):
        if (path / COMPLETE).exists():
            found.append((int(path.name.rpartition("-")[2]), path))
        else:
            shutil.rmtree(path, ignore_errors=True)
    if not found:
        return None, 0
    step, path = max(found)
    return path, step


def arguments(recipe: Recipe, folder: Path, device: torch.device, half: bool) -> TrainingArguments:
    """The trainer's arguments.

    Args:
        recipe: what the user chose.
        folder: for checkpoints.
        device: this process's.
        half: compute in bfloat16.

    Raises:
        ProbeError: a batch that can't be shared out evenly.
    """
    on_cpu = device.type == "cpu"
    again = recipe.gradient_checkpointing == "on" or (
        recipe.gradient_checkpointing == "auto" and not on_cpu
    )
    made = TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.micro_batch,
        learning_rate=recipe.rate,
        warmup_steps=recipe.warmup,
        weight_decay=recipe.decay,
        max_grad_norm=recipe.clip,
        optim="adamw_torch",
        bf16=half,
        use_cpu=on_cpu,
        ddp_backend="gloo" if on_cpu and "WORLD_SIZE" in os.environ else None,
        ddp_find_unused_parameters=False,
        activation_checkpointing=again,
        activation_checkpointing_kwargs={"use_reentrant": False} if again else None,
        train_sampling_strategy="sequential",
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
        save_strategy="steps",
        save_steps=recipe.save_every,
        save_total_limit=2,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to=_trackers(recipe.track),
        project="mdlm-probe",
        run_name=folder.parent.name,
        disable_tqdm=True,
        seed=recipe.seed % 2**32,
    )
    made.gradient_accumulation_steps = recipe.accumulation(made.world_size)
    made._n_gpu = min(made.n_gpu, 1)  # several devices are several processes, never threads of one
    return made


def _trackers(name: str) -> list[str]:
    """The tracker, where one is wanted.

    Raises:
        ProbeError: it isn't installed.
    """
    if name == "none":
        return []
    library(name, f"--track {name}", option="track")
    os.environ.setdefault("WANDB_PROJECT", "mdlm-probe")  # as `project` is for trackio
    return [name]
