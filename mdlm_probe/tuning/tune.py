"""A tuning from data to adapter: begun, resumed, and written where `--adapter` finds it.

The folder holds `adapter_model.safetensors` and `adapter_config.json` as PEFT writes them (or a
whole checkpoint), `mdlm_probe.json`, which says what they are, `training.csv`, and while the
training is unfinished `checkpoints/`.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from mdlm_probe import models
from mdlm_probe.core import machine
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import exclusive, write_json
from mdlm_probe.core.run_folder import differences
from mdlm_probe.models import _families, _slack
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._hf import NativeModel
from mdlm_probe.models._load import pick_device
from mdlm_probe.models._quiet import quiet
from mdlm_probe.tuning import conversations, lora, samples, tuner, whole_checkpoint
from mdlm_probe.tuning.choice import chosen
from mdlm_probe.tuning.corruption import Objective, Tokens
from mdlm_probe.tuning.recipe import Recipe
from mdlm_probe.tuning.request import Tuning
from mdlm_probe.tuning.samples import Samples
from mdlm_probe.tuning.stream import Stream
from mdlm_probe.tuning.training_log import NAME as LOG
from mdlm_probe.tuning.training_log import TrainingLog
from mdlm_probe.tuning.tuner import TuningProgress

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Prepared:
    """A tuning before any weights are loaded.

    Attributes:
        entry: of the checkpoint.
        recipe, objective, tokens, data: what trains, on what.
        config: what must be equal for a training to resume.
    """

    entry: Checkpoint
    recipe: Recipe
    objective: Objective
    tokens: Tokens
    data: Samples
    config: dict[str, Any]


def prepare(asked: Tuning) -> Prepared:
    """Everything that needs no weights: options, tokenizer, data.

    Raises:
        ProbeError: whatever the user can mend.
    """
    entry, plan, objective = chosen(asked)
    if not plan.data:
        raise ProbeError(
            "--data is missing",
            expected="a JSONL file, or a data set of the hub: org/name",
            hint=f"rows have the fields {conversations.FORMS}",
            option="data",
        )
    border = models.load_border(entry, asked.load)
    entry = border.entry
    rows = conversations.read(plan.data, plan.split)
    data = samples.encode(border, rows, plan.lengths, plan.steps * plan.batch)
    slack = _slack.slack_id(border) if objective.needs_slack else -1
    tokens = Tokens(entry.mask, entry.eos_ids[0], plan.lengths.context, slack)
    config = {
        "objective": asked.objective,
        "options": vars(objective),
        "recipe": plan.deciding(),
        "full": asked.full,
        "model": entry.name,
        "revision": asked.load.revision or entry.revision,
        "dtype": asked.load.dtype,
        "style": asked.load.style,
        "data": data.digest,
        **{k: v for k, v in asked.load.recorded().items() if k in ("family", "block_size")},
    }
    return Prepared(entry, plan, objective, tokens, data, json.loads(json.dumps(config)))


def run(asked: Tuning, progress: TuningProgress) -> Path:
    """Trains what is left to train; returns the folder.

    Under `accelerate launch` or torchrun every process runs this; the first one writes.

    Raises:
        ProbeError: whatever the user can mend; the last checkpoint stays.
    """
    prepared = prepare(asked)
    device = _device(asked.load.device)
    half = device.type == "cuda" and asked.load.dtype in ("auto", "bfloat16")
    with quiet():
        made = tuner.arguments(prepared.recipe, asked.output / CHECKPOINTS, device, half)
    first = made.process_index == 0
    held = exclusive(asked.output, "run.lock", f"tuning into {asked.output}")
    with held if first else nullcontext():
        with made.main_process_first():
            known = begin(asked, prepared.config) if first else _slack.read(asked.output)
        if known.get("status") == "finished":
            progress.note(f"{asked.output} is finished: nothing to do")
        else:
            _train(asked, prepared, made, device, known, progress)
    return asked.output


def kept(folder: Path) -> str:
    """After which step a training that was stopped resumes, in words."""
    step = tuner.last_checkpoint(folder / CHECKPOINTS)[1]
    return f"the last checkpoint is that of step {step}" if step else "there is no checkpoint yet"


def begin(asked: Tuning, config: dict[str, Any]) -> dict[str, Any]:
    """Starts a folder, or continues it; returns what it says of itself.

    Raises:
        ProbeError: it holds another training.
    """
    path = asked.output / _slack.FILE
    if asked.fresh:
        shutil.rmtree(asked.output / CHECKPOINTS, ignore_errors=True)
        for old in (path, asked.output / LOG, *asked.output.glob("adapter_*")):
            old.unlink(missing_ok=True)
    known = _slack.read(asked.output)
    if not known:
        known = {"status": "started", "config": config}
        write_json(path, known)
    elif found := differences(known.get("config", {}), config):
        raise ProbeError(
            f"{path} is of another training:\n" + "\n".join(f"  {line}" for line in found),
            hint="--output DIR keeps both; --fresh starts over; the recorded options continue",
        )
    return known


def _train(
    asked: Tuning,
    made: Prepared,
    arguments: TrainingArguments,
    device: torch.device,
    known: dict[str, Any],
    progress: TuningProgress,
) -> None:
    plan, first = made.recipe, arguments.process_index == 0
    # all weights are trained in float32: steps of 1e-5 would be lost in bfloat16
    dtype = "float32" if asked.full and arguments.bf16 else asked.load.dtype
    progress.note(made.data.told())
    progress.note(f"loading {made.entry.name}")
    load = replace(asked.load, dtype=dtype, device=str(device))
    model = models.load(made.entry, load)
    assert isinstance(model, NativeModel)
    _same_weights(asked, known, model.facts["weight_hash"])
    if first:  # a file that two write at the same time is lost to one of them
        write_json(asked.output / _slack.FILE, known)
    _add_slack(asked, made, model)
    network = _trained(asked, made, model, progress)
    checkpoint, step = tuner.last_checkpoint(Path(str(arguments.output_dir)))
    log = TrainingLog(asked.output / LOG, step) if first else None
    stream = Stream(
        *(made.data.samples, made.objective, made.tokens, plan.steps, plan.batch, plan.seed)
    )
    watch = tuner.Watch(log, plan.batch, progress)
    with quiet():
        trainer = tuner.Tuner(network, made.objective, stream, model.shift, arguments, watch)
        progress.start(f"{asked.objective} {made.entry.name}", plan.steps, step)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if first:
            _finish(asked, made, model, network, known)


def _device(name: str) -> torch.device:
    """This process's device.

    Raises:
        ProbeError: a single one of several GPUs: the trainer takes them all, a process each.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ProbeError(
            f"--device {name} can't be trained on",
            expected="auto, cpu or cuda",
            hint="CUDA_VISIBLE_DEVICES chooses among several",
            option="device",
        )
    device = pick_device(name)
    rank = os.environ.get("LOCAL_RANK", "0")
    return torch.device(f"cuda:{rank}") if device.type == "cuda" else torch.device("cpu")


def _trained(asked: Tuning, made: Prepared, model: NativeModel, progress: TuningProgress) -> Any:
    """The network, all of which trains, or an adapter of it."""
    network, plan = model.network, made.recipe
    if asked.full:
        progress.note("training all weights")
        return network.requires_grad_(True)
    keys = _families.family(made.entry.family).KEYS
    names = lora.targets(network, keys, plan.targets)
    counts = ", ".join(f"{name} ({count})" for name, count in lora.kinds(names).items())
    progress.note(f"LoRA of rank {plan.rank} on {len(names)} linear layers: {counts}")
    with quiet():
        return lora.adapted(network, names, plan.rank, plan.lora_alpha, plan.dropout, plan.seed)


def _add_slack(asked: Tuning, made: Prepared, model: NativeModel) -> None:
    """A row for `<slack>`, where it is needed and there is none."""
    if not made.objective.needs_slack:
        return
    if asked.full and made.tokens.slack >= model.vocab:
        raise ProbeError(
            f"'{asked.model}' has no row for <slack> that config.json knows",
            expected="a checkpoint with more rows than tokens",
            hint="without --full an adapter brings its own",
            option="full",
        )
    with quiet():
        _slack.widen(model.network, made.tokens.slack)


def _same_weights(asked: Tuning, known: dict[str, Any], found: str) -> None:
    """Refuses to continue on other weights than a training began with."""
    if known.setdefault("weight_hash", found) != found:
        raise ProbeError(
            f"'{asked.model}' has other weights than when {asked.output} was begun",
            hint="--output DIR keeps both; --fresh starts over",
        )


def _finish(
    asked: Tuning, made: Prepared, model: NativeModel, network: Any, known: dict[str, Any]
) -> None:
    """Writes the weights, then what they are, and removes what only resuming needs."""
    if asked.full:
        whole_checkpoint.write(asked.output, model)
    else:
        # a new row for <slack> is drawn again at load, and no reason to save the whole table
        network.save_pretrained(asked.output, save_embedding_layers=False)
    known |= {
        "status": "finished",
        "adapter_hash": _slack.adapter_hash(asked.output),
        "slack_id": made.tokens.slack if made.objective.needs_slack else None,
        "samples": len(made.data.samples),
        "cut": made.data.cut,
        "skipped": made.data.skipped,
        "machine": machine.facts(),
    }
    write_json(asked.output / _slack.FILE, known)
    shutil.rmtree(asked.output / CHECKPOINTS, ignore_errors=True)
