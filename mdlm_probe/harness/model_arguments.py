"""Model arguments of lm-eval, as `--model mdlm --model_args model=NAME,draws=64` gives them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.harness.answer_log import AnswerLog
from mdlm_probe.likelihood.settings import Estimator, Fill, GreedyOrder, Order, Settings
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs.executors import InProcess
from mdlm_probe.runs.executors.contract import EngineRequest

LOAD = tuple(field.name for field in fields(LoadOptions))
SETTINGS = tuple(field.name for field in fields(Settings))
OWN = ("model", "batch_tokens", "seed", "answers", "overlength")
OVERLENGTH = ("cut", "keep-start", "error")
FOREIGN = ("batch_size", "max_batch_size")
"""What lm-eval adds by itself: our batches are cut by their tokens."""


def build(given: Mapping[str, Any]) -> dict[str, Any]:
    """What `ProbeLM` takes: the model named, in this process, and how it is asked.

    Args:
        given: `model` (name, folder or hub id); the options of loading (dtype, device, revision,
            quantize, adapter, style, rope_scale, family, block_size), of likelihoods (estimator,
            order, bound, draws, target_se, decide, fill, cfg, count_mask, greedy_order),
            `batch_tokens`, `seed`, `overlength` (but for skip, which takes our `eval`), and
            `answers`, a file to keep answers in.

    Raises:
        ProbeError: an unknown argument, a wrong value, or a model that can't be loaded.
    """
    known = (*OWN, *LOAD, *SETTINGS)
    for name in given:
        if name not in (*known, *FOREIGN):
            raise catalog.unknown("model argument", name, known)
    if "model" not in given:
        raise ProbeError("model arguments name no model", expected="model=NAME, such as tiny-mdlm")
    settings = Settings(**{name: given[name] for name in SETTINGS if name in given})
    choices = {"estimator": Estimator, "order": Order, "fill": Fill, "greedy_order": GreedyOrder}
    for name, kinds in choices.items():
        if (value := getattr(settings, name)) not in typing.get_args(kinds):
            raise catalog.unknown(name, str(value), typing.get_args(kinds))
    settings.check()
    if (rule := given.get("overlength", "cut")) not in OVERLENGTH:
        raise catalog.unknown("overlength", str(rule), OVERLENGTH)
    load = LoadOptions(**{name: given[name] for name in LOAD if name in given})
    entry = models.entry_for(str(given["model"]), load)
    here = InProcess()
    asked = EngineRequest(entry, load, batch={"tokens": given.get("batch_tokens")})
    answers = AnswerLog(Path(given["answers"])) if given.get("answers") else None
    return {
        "session": here.open(asked, lambda text: None),
        "border": here.border(entry, load),
        "settings": settings,
        "seed": int(given.get("seed", 0)),
        "answers": answers,
        "overlength": rule,
    }
