"""Wishes, presets, kept answers and errors of draws, each against what can be worked out."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.harness import (
    AnswerLog,
    lm_eval_tasks,
    monte_carlo_errors,
    presets_for,
    text_generation,
)
from mdlm_probe.harness.continuation_scores import Scored
from mdlm_probe.harness.monte_carlo_errors import MonteCarloErrors, pooled
from mdlm_probe.harness.text_generation import (
    WritingRequest,
    before,
    ignored,
    writing_options,
)

# ---------------------------------------------------------------------- options


def test_lengths_are_rounded_up_to_whole_blocks():
    found = writing_options({"max_gen_toks": 100, "until": "."}, {}, "masked")
    assert (found.most, found.length, found.schedule.block) == (100, 128, 32)
    assert found.schedule.steps == 128
    assert found.until == (".",)
    found = writing_options({"max_new_tokens": 20}, {}, "masked")
    assert (found.most, found.length, found.schedule.block) == (20, 20, 20)
    found = writing_options({"max_gen_toks": 20, "block": 8, "steps": 6}, {}, "masked")
    assert (found.length, found.schedule.steps) == (24, 6)
    assert writing_options({}, {}, "masked").length == 256
    assert writing_options({"max_gen_toks": 100}, {}, "causal").length == 100
    whole = writing_options({"max_gen_toks": 100, "order": "dream_entropy"}, {}, "masked")
    assert (whole.length, whole.schedule.block) == (100, 100)


def test_sampling_is_asked_for_as_in_lm_eval():
    assert writing_options({"temperature": 0.7}, {}, "masked").schedule.temperature == 0.7
    assert (
        writing_options({"temperature": 0.7, "do_sample": False}, {}, "masked").schedule.temperature
        == 0
    )
    assert writing_options({"do_sample": True}, {}, "masked").schedule.temperature == 0
    assert ignored({"top_p": 0.9, "top_k": 50, "num_beams": 1, "until": "."}) == ["top_p"]


def test_the_user_goes_before_the_preset_and_that_before_the_task():
    preset = {"length": 512, "steps": 512, "block": 512, "eos": "eos_last"}
    task = {"max_gen_toks": 64, "temperature": 0.0}
    found = writing_options(task, preset, "masked")
    assert (found.most, found.schedule.steps, found.schedule.block) == (512, 512, 512)
    assert found.schedule.eos == "eos_last"
    user = {"max_gen_toks": 48, "eos": "free"}
    found = writing_options(task | user, preset, "masked", user)
    assert (found.most, found.schedule.steps, found.schedule.block) == (48, 48, 48)
    assert found.schedule.eos == "free"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 2, "block": 4, "max_gen_toks": 16}, "--steps 2 are fewer than the 4 blocks"),
        ({"max_gen_toks": 0}, "max_gen_toks is 0"),
        ({"block": -1}, "block is -1"),
        ({"steps": "many"}, "steps is 'many'"),
        ({"order": "best"}, "order is 'best'"),
        ({"until": 3}, "until is 3"),
    ],
)
def test_options_that_mean_nothing(given, message):
    with pytest.raises(ProbeError, match=message):
        writing_options(given, {}, "masked", given)


def test_texts_end_before_the_first_stop_text():
    assert before("a b. c\n", ["\n", ". "]) == "a b"
    assert before("a b", ["x"]) == "a b"
    assert before("a b", []) == "a b"


@pytest.mark.slow
def test_stopping_early_changes_no_text():
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=2048)

    def written(**given):
        options = writing_options({"max_gen_toks": 32, **given}, {}, "masked")
        asked = [
            WritingRequest(engine.border.encode(text), options, seed, text)
            for seed, text in enumerate((" the wind loved a", " the quiet hill."))
        ]
        return text_generation.write(engine, asked)

    for block in (4, 8, 32):
        whole, ended = written(block=block), written(block=block, until=["."])
        assert [one.text for one in ended] == [before(one.text, ["."]) for one in whole]
        assert any("." in one.text for one in whole)
    assert sum(one.passes for one in written(block=4, until=["."])) < 64


# ---------------------------------------------------------------------- presets


def test_presets_are_for_their_model_and_task_alone():
    entry, other = models.resolve("llada-8b-instruct"), models.resolve("llada-8b")
    names = ["gsm8k", "gsm8k_cot", "hellaswag_gen"]
    found = presets_for("auto", entry, names)
    assert set(found) == {"gsm8k", "gsm8k_cot"}
    assert found["gsm8k"].name == "llada-instruct-512"
    made = writing_options({}, found["gsm8k"].settings, "masked")
    assert (made.length, made.schedule) == (512, schedule.Schedule(512, 512, eos="eos_last"))
    assert presets_for("auto", other, names) == {}
    assert presets_for("none", entry, names) == {}
    forced = presets_for("llada-instruct-256", other, names)
    assert {preset.settings["block"] for preset in forced.values()} == {8}
    assert presets_for("llada-instruct-256", models.resolve("llama3-8b"), names) == {}
    with pytest.raises(ProbeError, match="unknown preset"):
        presets_for("llada", entry, names)


def test_a_wrong_file_of_presets_is_named(tmp_path):
    path = tmp_path / "presets.yaml"
    path.write_text("mine:\n  models: [a]\n  tasks: [b]\n  auto: true\n  settings: {}\n")
    with pytest.raises(ProbeError, match=r"mine\.source"):
        presets_for("auto", models.resolve("tiny-mdlm"), ["b"], path)


# ---------------------------------------------------------------------- kept answers


def test_kept_answers_survive_a_torn_line(tmp_path):
    path = tmp_path / "a.jsonl"
    first = AnswerLog(path)
    first.add({"one": {"logp": -1.5}, "two": {"text": "é\n"}})
    first.add({"one": {"logp": 7.0}})
    with path.open("ab") as file:
        file.write(b'{"key": "three", "lo')
    again = AnswerLog(path)
    assert len(again) == 2
    assert again["one"] == {"logp": -1.5}
    assert again["two"] == {"text": "é\n"}
    assert "three" not in again
    again.add({"three": {"logp": 0.0}})
    assert len(AnswerLog(path)) == 3
    path.write_text('{"logp": 1}\n')
    with pytest.raises(ProbeError, match="line 1: no answer to a request"):
        AnswerLog(path)


# ---------------------------------------------------------------------- errors of draws


class Task:
    """A task of two choices, the first one right, and of documents' likelihoods."""

    def __init__(self, kind, found):
        self.kind, self.found = kind, found
        self.instances = [
            SimpleNamespace(doc=doc, doc_id=doc, idx=i, args=(str(doc), str(i)), filtered_resps={
                "none": (one.logp, one.greedy) if kind == "acc" else one.logp})
            for doc, group in enumerate(found) for i, one in enumerate(group)
        ]  # fmt: skip

    def aggregation(self):
        def mean(values):
            return sum(values) / len(values)

        return {"acc": mean, "f1": max}

    def process_results(self, doc, results):
        if self.kind == "acc":
            return {"acc": float(results[0][0] > results[1][0]), "f1": (0, 1)}
        size = 3 + doc
        return {"word_perplexity": (results[0], size), "bits_per_byte": (results[0], size)}

    def record(self, request):
        return self.found[request.doc_id][request.idx]


def test_the_error_of_an_accuracy_is_that_of_coins():
    gaps = ((0.3, 0.5, 0.2), (-0.4, 0.1, 0.6), (2.0, 0.0, 0.0), (0.1, 0.7, 0.7))
    found = [[Scored(gap, a, 4, "mc"), Scored(0.0, b, 4, "mc")] for gap, a, b in gaps]
    task = Task("acc", found)
    spread = MonteCarloErrors.of(task, task, {("acc", "none"): 0.75, ("f1", "none"): 1.0})
    shares = [stats.norm.cdf(gap / math.hypot(a, b)) for gap, a, b in gaps if a or b]
    wanted = math.sqrt(sum(p * (1 - p) for p in shares)) / len(gaps)
    assert spread.errors["acc", "none"] == pytest.approx(wanted, rel=0.05)
    assert math.isnan(spread.errors["f1", "none"])
    assert spread.estimators == "mc 8"
    exact = [[Scored(-1.0, 0.0, 1, "exact"), Scored(-2.0, 0.0, 1, "exact")]]
    task = Task("acc", exact)
    assert MonteCarloErrors.of(task, task, {("acc", "none"): 1.0}).errors == {("acc", "none"): 0.0}


def test_the_error_of_a_perplexity_is_propagated():
    found = [[Scored(-9.0, 0.05, 4, "mc")], [Scored(-7.0, 0.08, 4, "mc")]]
    task, size = Task("rolling", found), 3 + 4
    value = math.exp(16 / size)
    bits = 16 / size / math.log(2)
    spread = MonteCarloErrors.of(task, task, {("word_perplexity", "none"): value,
                                    ("bits_per_byte", "none"): bits})  # fmt: skip
    rng = np.random.default_rng(0)
    draws = -16 + rng.normal(0, [0.05, 0.08], (20000, 2)).sum(1)
    assert spread.errors["word_perplexity", "none"] == pytest.approx(
        np.exp(-draws / size).std(), rel=0.03
    )
    assert spread.errors["bits_per_byte", "none"] == pytest.approx(
        (draws / size / math.log(2)).std(), rel=0.03
    )


def test_the_error_of_a_group_is_that_of_its_mean():
    assert pooled([0.1, 0.2], [30, 10], True) == pytest.approx(math.hypot(3.0, 2.0) / 40)
    assert pooled([0.1, 0.2], [30, 10], False) == pytest.approx(math.hypot(0.1, 0.2) / 2)
    assert monte_carlo_errors.DRAWS >= 100


# ---------------------------------------------------------------------- names of tasks


class EverythingRead(Exception):
    """All of lm-eval's own files were asked for, which takes seconds."""


@pytest.mark.parametrize(
    ("inner", "enough"),
    [
        ("[one, two]", True),
        ("[within, two]", True),
        ("[one, hellaswag]", False),
        ("[one, marked]", False),
        ("[one, many]", False),
        ("[{task: one, num_fewshot: 1}]", False),
    ],
)
def test_lm_evals_files_are_read_only_for_a_group_that_may_need_them(
    tmp_path, monkeypatch, inner, enough
):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(f"task: {name}\ntag: marked\n")
    (tmp_path / "within.yaml").write_text("group: within\ntask: [one]\n")
    (tmp_path / "many.yaml").write_text(f"group: many\ntask: {inner}\n")
    made = lm_eval_tasks.TaskManager

    def manager(include_path, include_defaults=True):
        if include_defaults:
            raise EverythingRead
        return made(include_path=include_path, include_defaults=False)

    monkeypatch.setattr(lm_eval_tasks, "TaskManager", manager)
    if enough:
        assert "many" in lm_eval_tasks._manager(["many"], str(tmp_path)).task_index
        return
    with pytest.raises(EverythingRead):
        lm_eval_tasks._manager(["many"], str(tmp_path))
