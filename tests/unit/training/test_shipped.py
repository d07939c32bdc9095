"""The weights that ship: that they are what TRAINING.md says they are."""

import json
import re
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from mdlm_probe.models import llada
from training import _bundled_check as check
from training import _bundled_data as data
from training import _bundled_files as files
from training import bundled


def shipped(kind):
    folder = files.shipped() / files.NAMES[kind]
    weights = load_file(folder / "model.safetensors")
    if kind != "causal":
        for pattern, ours in llada.KEYS.items():
            weights = {re.sub(pattern, ours, name): weight for name, weight in weights.items()}
    model = bundled.build(kind, bundled.Recipe(), 0)
    model.load_state_dict(weights | {"lm_head.weight": weights["model.embed_tokens.weight"]})
    return model.eval()


@pytest.fixture(scope="module", params=bundled.KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def model(kind):
    return shipped(kind)


def test_folders_are_small_and_carry_the_tokenizer(kind):
    folder = files.shipped() / files.NAMES[kind]
    assert sum(p.stat().st_size for p in folder.iterdir()) < 8e6
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert words == data.ids_of()


@pytest.mark.slow
def test_relevant_examples_help_as_much_as_recorded(model):
    near = check.accuracy(model, check.questions(40, 3))
    none = check.accuracy(model, check.questions(0, 3, shots=0))
    assert near >= 0.9  # .97 to 1 of 320 questions; of 48, .02 either way
    assert near - none > 0.15


@pytest.mark.slow
def test_facts_are_told_back_as_recorded(model):
    """What a fact says is new in every text: who tells it back has read it there."""
    found = check.accuracy(model, check.told(256, 100, 30))
    assert found >= 0.8  # .95 to 1 of 40 texts
    lost = [replace(q, ids=q.ids[-40:]) for q in check.told(256, 0, 30)]  # the fact is cut off
    assert check.accuracy(model, lost) <= 0.2


@pytest.mark.slow
def test_prose_is_known_almost_exactly(kind, model):
    ids = check.prose_texts(8, 48, "shipped")
    exact = check.exact_nll(ids)[:, 1:].mean()
    nll = check.causal_nll(model, ids) if kind == "causal" else check.chain_nll(model, ids)[:, 1:]
    assert -0.05 < nll.mean() - exact < 0.15


@pytest.mark.slow
def test_sampled_prose_keeps_the_rules(model):
    found = check.validity(check.one_by_one(model, 8, 40, 1))
    assert found["bigrams"] > 0.9
    assert found["pairs"] > 0.8
