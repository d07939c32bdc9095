"""The cost of tunings: by hand for LLaDA's shape, and against what is really trained."""

import json
from pathlib import Path

import pytest
import torch
from checkpoints import write_llada
from dense_checkpoints import write_dense

from mdlm_probe import models
from mdlm_probe.models import llada
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.models._quiet import quiet
from mdlm_probe.runs import tuning_cost
from mdlm_probe.tuning import lora
from mdlm_probe.tuning.request import Tuning


def asked(model, objective="sft", own=None, full=False, **options):
    return Tuning(objective, own or {}, options, str(model), LoadOptions(), Path(), full)


def test_llada_8b_by_hand():
    found = tuning_cost.cost(asked("llada-8b", steps=10, batch=6), "bfloat16", again=True)
    assert (found.steps, found.samples, found.at_once) == (10, 60, 3)
    assert found.tokens == 60 * 512, "a quarter of the context for the prompt, one for the answer"
    assert found.trained == 64 * 32 * (4 * 2 * 4096 + 3 * (4096 + 12288))
    body = 32 * (4 * 4096**2 + 3 * 4096 * 12288)
    attention = 4 * 32 * 4096 * 512
    head = found.scored * 4 * 126464 * 4096
    every = found.tokens * (6 * body + 4 * attention + 8 * found.trained)
    assert found.operations == pytest.approx(every + head, rel=1e-3)
    weights = 2 * models.resolve("llada-8b").geometry["parameters"] + 16 * found.trained
    assert weights < found.memory < weights + 4e9


def test_the_papers_recipe_fits_a_card_of_80_gb():
    """Batches of 3 of 1,024 tokens and 600 masks more."""
    found = tuning_cost.cost(asked("llada-8b", "mask-agnostic", context=1624), "bfloat16", True)
    assert 20 < found.memory / 2**30 < 75
    assert found.samples == 930 * 129
    whole = asked("llada-8b", "mask-agnostic", full=True)
    assert tuning_cost.cost(whole, "bfloat16", True).memory / 2**30 > 80
    again, kept = (tuning_cost.cost(asked("llada-8b"), "bfloat16", on) for on in (True, False))
    assert kept.memory > again.memory
    assert kept.operations < again.operations


@pytest.mark.parametrize("targets", [("all",), ("attn_out", "up_proj"), ("k_proj",)])
def test_what_trains_is_what_peft_trains(tmp_path, targets):
    folder = write_llada(tmp_path / "m", kv_heads=2)
    found = tuning_cost.cost(asked(folder, targets=targets, rank=4, context=100), "float32", False)
    network = models.load(models.resolve(str(folder))).network
    names = lora.targets(network, llada.KEYS, targets)
    with quiet():
        made = lora.adapted(network, names, 4, 8, 0.0, 0)
    assert found.trained == sum(p.numel() for p in made.parameters() if p.requires_grad)


def test_what_trains_of_wider_heads_is_what_peft_trains(tmp_path):
    folder = write_dense(tmp_path / "m", "a2d-qwen3", config={"max_position_embeddings": 128})
    load = LoadOptions(block_size=0)
    tuning = Tuning("sft", {}, {"rank": 4, "context": 100}, str(folder), load, Path())
    found = tuning_cost.cost(tuning, "float32", False)
    network = models.load(models.entry_for(str(folder), load), load).network
    with quiet():
        made = lora.adapted(network, lora.targets(network, {}, ("all",)), 4, 8, 0.0, 0)
    assert found.trained == sum(p.numel() for p in made.parameters() if p.requires_grad)


def test_data_are_counted_where_they_are_given(tmp_path):
    folder, data = write_llada(tmp_path / "m"), tmp_path / "data.jsonl"
    lines = [{"prompt": "cat " * 9, "answer": "dog"}, {"prompt": "x" * 500, "answer": "dog"}]
    data.write_text("\n".join(map(json.dumps, lines)))
    plan = asked(folder, data=str(data), steps=2, batch=3, context=60)
    found = tuning_cost.cost(plan, "float32", False)
    border = models.load_border(models.resolve(str(folder)))
    assert found.tokens == 6 * (len(border.pieces("cat " * 9)) + len(border.pieces("dog")) + 1)
    assert found.notes == ("1 samples; too long: 0 cut, 1 left out",)


def test_nothing_is_loaded(monkeypatch):
    monkeypatch.setattr(models, "load", lambda *_: pytest.fail("weights"))
    monkeypatch.setattr(models, "load_border", lambda *_: pytest.fail("a tokenizer"))
    for objective in ("ctc", "jitter", "blockwise", "mask-agnostic"):
        found = tuning_cost.cost(asked("dream-7b", objective), "bfloat16", True)
        assert found.tokens > found.scored > 0
    assert torch.is_grad_enabled()
