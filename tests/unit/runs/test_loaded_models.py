"""Models that stay loaded, and those that are put away before others are."""

from dataclasses import replace

import pytest

from mdlm_probe import models
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs import loaded_models
from mdlm_probe.runs.loaded_models import LoadedModels


def test_tokenizers_are_looked_for_once(monkeypatch):
    tried = []
    border = models.load_border

    def watched(entry, load):
        tried.append(entry.name)
        return border(entry, load)

    monkeypatch.setattr(models, "load_border", watched)
    shelf = loaded_models.LoadedModels()
    entry = models.resolve("llada-8b")
    for _ in range(2):
        with pytest.raises(Exception, match="LLaDA"):
            shelf.border(entry, LoadOptions())
    assert shelf.border(models.resolve("oracle"), LoadOptions()) is shelf.border(
        models.resolve("oracle"), LoadOptions()
    )
    assert tried == ["llada-8b", "oracle"]


def test_what_a_run_does_not_need_is_put_away_before_others_are_loaded(monkeypatch):
    shelf, held = LoadedModels(), []
    load = models.load

    def watched(entry, *options):
        held.append((entry.name, sorted(name for name, *_ in shelf._models)))
        return load(entry, *options)

    monkeypatch.setattr(models, "load", watched)
    entries = {name: models.resolve(name) for name in ("oracle", "oracle-causal")}
    asked = [("oracle", "none"), ("oracle", "companion"), ("oracle-causal", "none")]
    for name, scorer in asked:
        model, judge = shelf.models({"scorer": scorer}, entries[name], LoadOptions(), held.append)
        assert model.entry.name == name
        assert (judge is None) == (scorer == "none")
    loaded = [line for line in held if isinstance(line, tuple)]
    assert loaded == [("oracle", []), ("oracle-causal", ["oracle"])]
    assert shelf.loads == 2
    assert [key[0] for key in shelf._models] == ["oracle-causal"]
    shelf.clear()
    assert not shelf._models


@pytest.mark.parametrize(("changed", "said"), [({"started_from": "oracle-causal"}, 1), ({}, 0)])
def test_a_scorer_that_is_a_relative_is_named_as_such(changed, said):
    notes, entry = [], replace(models.resolve("oracle"), **changed)
    LoadedModels().models({"scorer": "oracle-causal"}, entry, LoadOptions(), notes.append)
    found = [note for note in notes if "favours what oracle writes" in note]
    assert len(found) == said
    assert all("the model that oracle started from" in note for note in found)


def test_scorers_load_as_their_models_do():
    load = LoadOptions(dtype="float16", quantize="8bit", adapter="x", revision="y", style="chat")
    causal, oracle = models.resolve("tiny-arlm"), models.resolve("oracle-causal")
    assert loaded_models.scorer_load(causal, load) == LoadOptions("float16", quantize="8bit")
    assert loaded_models.scorer_load(oracle, load) == LoadOptions()
