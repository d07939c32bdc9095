"""Tunings of a small random network: losses, resuming, whole weights, what stops them."""

import json
import shutil
import sys
from contextlib import nullcontext
from dataclasses import replace

import pandas as pd
import pytest
import torch
from checkpoints import write_dream, write_llada
from progress import Silent
from safetensors.torch import load_file
from transformers import TrainingArguments

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions
from mdlm_probe.runs import generate
from mdlm_probe.runs.plan import Job
from mdlm_probe.tuning import placement, stream, tune, tuner
from mdlm_probe.tuning.objectives import mask_agnostic
from mdlm_probe.tuning.request import Tuning

STEPS = 4
OPTIONS = {
    "steps": STEPS,
    "batch": 8,
    "micro_batch": 4,
    "rate": 1e-3,
    "warmup": 2,
    "rank": 4,
    "context": 60,
    "save_every": 2,
    "gradient_checkpointing": "off",
}
LINES = [
    {"prompt": f"cat dog {n}", "answer": " red" * (1 + n % 4) + f" {n} answer"} for n in range(11)
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    write_llada(folder / "model")
    (folder / "data.jsonl").write_text("\n".join(map(json.dumps, LINES)))
    return folder


def asked(place, output, objective="mask-agnostic", own=None, **options):
    own = {"max_masks": 20, "curriculum_steps": 3} if own is None else own
    data = {"data": str(place / "data.jsonl")}
    load = LoadOptions("float32", "cpu")
    chosen = OPTIONS | data | options
    return Tuning(objective, own, chosen, str(place / "model"), load, output)


@pytest.fixture(scope="module")
def whole(place):
    return tune.run(asked(place, place / "whole"), Silent())


def weights(folder):
    return load_file(folder / "adapter_model.safetensors")


def log(folder):
    return pd.read_csv(folder / "training.csv")


def test_what_is_written(place, whole):
    names = {path.name for path in whole.iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "training.csv"} <= names
    assert "checkpoints" not in names
    told = json.loads((whole / "mdlm_probe.json").read_text())
    assert told["status"] == "finished"
    assert told["config"]["objective"] == "mask-agnostic"
    assert told["config"]["options"]["max_masks"] == 20
    rows = log(whole)
    assert list(rows) == ["step", "loss", "ce", "l1", "rate", "trained_tokens", "seconds"]
    assert list(rows.step) == [1, 2, 3, 4]
    assert list(rows.rate) == [5e-4, 1e-3, 1e-3, 1e-3]
    assert rows.loss.to_list() == pytest.approx((0.1 * rows.ce + rows.l1).to_list(), rel=1e-5)
    assert rows.seconds.is_monotonic_increasing


@pytest.mark.parametrize("write", [write_llada, write_dream])
def test_the_first_steps_loss_is_that_of_the_checkpoint_itself(place, tmp_path, write):
    """By the protocol every other command asks a model through, sample by sample."""
    folder = write(tmp_path / "model")
    chosen = replace(asked(place, tmp_path / "out", steps=1), model=str(folder))
    made = tune.prepare(chosen)
    items = stream.Stream(made.data.samples, made.objective, made.tokens, 1, 8, 0)
    model = models.load(made.entry, LoadOptions("float32", "cpu"))
    total = 0.0
    for number in range(8):
        item = items[number]
        ids, count = torch.from_numpy(item.rows), item.rows.shape[1]
        rows = torch.arange(2).repeat_interleave(len(item.places))
        places = torch.from_numpy(item.places).repeat(2)
        states = model.states(ids, torch.full((2,), count), rows, places).clone()
        logits = model.network.get_output_embeddings()(states).unflatten(0, (2, -1))
        total += made.objective.loss(logits, item)["loss"].item() / 8
    assert log(tune.run(chosen, Silent())).loss[0] == pytest.approx(total, rel=1e-5)


@pytest.mark.slow
def test_activations_computed_again_change_nothing(place, whole, tmp_path):
    other = tune.run(asked(place, tmp_path, gradient_checkpointing="on"), Silent())
    assert log(other).loss.to_list() == pytest.approx(log(whole).loss.to_list(), rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("micro", [1, 2, 8])
def test_micro_batches_change_nothing(place, whole, micro):
    other = tune.run(asked(place, place / f"micro{micro}", micro_batch=micro), Silent())
    assert log(other).loss.to_list() == pytest.approx(log(whole).loss.to_list(), rel=1e-5)
    assert log(other).trained_tokens.to_list() == log(whole).trained_tokens.to_list()
    one, two = weights(whole), weights(other)
    assert one.keys() == two.keys()
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-6
    assert max(one[name].abs().max().item() for name in one if "lora_B" in name) > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_stopped_training_resumes_to_equal_bytes(place, whole, tmp_path, stopped, monkeypatch):
    class Stops(Silent):
        def __init__(self):
            self.left, self.begun = stopped, []

        def start(self, name, cells, done):
            self.begun.append(done)

        def step(self, parts, tokens):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    front = Stops()
    with pytest.raises(KeyboardInterrupt):
        tune.run(asked(place, tmp_path), front)
    assert not (tmp_path / "adapter_model.safetensors").exists()
    half = tmp_path / "checkpoints" / "checkpoint-9"  # as a process that was killed leaves it
    half.mkdir(parents=True)
    tune.run(asked(place, tmp_path), front)
    assert front.begun == [0, 2 if stopped == 3 else 0]
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()
    columns = ["step", "loss", "ce", "l1", "rate", "trained_tokens"]
    assert log(tmp_path)[columns].equals(log(whole)[columns])


def test_what_is_finished_is_left_alone_and_another_training_is_refused(place, whole):
    before = (whole / "mdlm_probe.json").read_bytes()
    tune.run(asked(place, whole, micro_batch=2), Silent())
    assert (whole / "mdlm_probe.json").read_bytes() == before
    with pytest.raises(ProbeError, match=r"another training:\n  recipe.rate: 0.001 -> 0.01"):
        tune.run(asked(place, whole, rate=1e-2), Silent())
    with pytest.raises(ProbeError, match=r"options.beta: 1.0 -> 0.0"):
        tune.run(
            asked(place, whole, own={"max_masks": 20, "curriculum_steps": 3, "beta": 0.0}), Silent()
        )


def test_fresh_starts_over(place, whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "again")
    chosen = replace(asked(place, folder, steps=1), fresh=True)
    with pytest.raises(ProbeError, match="unknown --targets"):
        tune.run(replace(chosen, options=chosen.options | {"targets": ("nothing",)}), Silent())
    assert not list(folder.glob("adapter_*")), "an unfinished training leaves no old adapter"
    tune.run(chosen, Silent())
    assert list(log(folder).step) == [1]


def test_the_adapter_is_what_adapter_loads(place, whole):
    entry = models.resolve(str(place / "model"))
    plain, adapted = (
        models.load(entry, LoadOptions("float32", "cpu", adapter=str(folder) if folder else ""))
        for folder in (None, whole)
    )
    assert adapted.facts["adapter"]["modules"] == 14
    ids = torch.tensor([[5, 60, 7, entry.mask_id]])
    one, two = (
        m.logprobs(m.states(ids, torch.tensor([4]), torch.tensor([0]), torch.tensor([3])))
        for m in (plain, adapted)
    )
    assert (one - two)[one.isfinite()].abs().max() > 1e-3


def test_an_adapter_of_a_single_layer(place, tmp_path):
    chosen = asked(place, tmp_path, "sft", {}, steps=1, targets=("layers.1.mlp.up_proj",))
    load = LoadOptions("float32", "cpu", adapter=str(tune.run(chosen, Silent())))
    model = models.load(models.resolve(str(place / "model")), load)
    assert model.facts["adapter"]["modules"] == 1


def test_stopped_after_the_last_step(place, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(tune, "_finish", lambda *_: {}["stopped"])
        with pytest.raises(KeyError):
            tune.run(asked(place, tmp_path), Silent())
    assert tuner.last_checkpoint(tmp_path / "checkpoints")[1] == STEPS
    tune.run(asked(place, tmp_path), Silent())
    name = "adapter_model.safetensors"
    assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("objective", ["ctc", "jitter", "sft", "blockwise"])
def test_every_objective_trains(place, tmp_path, objective):
    own = {"block": 2} if objective == "blockwise" else {}
    chosen = asked(place, tmp_path, objective, own, steps=2, targets=("attn_out",))
    rows = log(tune.run(chosen, Silent()))
    assert len(rows) == 2
    assert (rows.loss > 0).all()
    assert ("ctc" in rows) == (objective == "ctc")


def test_samples_that_hide_nothing_cost_nothing(place, tmp_path, monkeypatch):
    usual = placement.place

    def shown(*given):
        return replace(found := usual(*given), hidden=found.hidden & False)

    monkeypatch.setattr(placement, "place", shown)
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"prompt": "cat", "answer": "dog"}))
    chosen = asked(place, tmp_path / "out", "ctc", {}, steps=3, batch=4, data=str(data))
    assert (log(tune.run(chosen, Silent())).loss == 0).all()


def test_whole_weights_are_a_checkpoint_of_the_authors_names(place, tmp_path):
    chosen = replace(asked(place, tmp_path / "full", "sft", {}, steps=2), full=True)
    folder = tune.run(chosen, Silent())
    entry = models.resolve(str(folder))
    assert entry.kind == "masked"
    trained = models.load(entry, LoadOptions("float32", "cpu")).network.state_dict()
    before = models.load(models.resolve(chosen.model), LoadOptions("float32", "cpu"))
    changed = [n for n, w in before.network.state_dict().items() if not torch.equal(w, trained[n])]
    assert len(changed) == len(trained)
    assert not (folder / "adapter_config.json").exists()


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    place, tmp_path, monkeypatch, what
):
    usual, calls = mask_agnostic.MaskAgnostic.loss, []

    def breaks(self, logits, item):
        calls.append(1)
        found = usual(self, logits, item)
        late = len(calls) > 2 * OPTIONS["batch"]
        bad = (logits * 0).sum().sqrt() if what == "gradient" else torch.nan
        return found | {"loss": found["loss"] + bad} if late else found

    monkeypatch.setattr(mask_agnostic.MaskAgnostic, "loss", breaks)
    said = "loss of step 3 is nan" if what == "loss" else "gradient of step 3 is no finite number"
    with pytest.raises(ProbeError, match=said):
        tune.run(asked(place, tmp_path), Silent())
    path, step = tuner.last_checkpoint(tmp_path / "checkpoints")
    assert step == 2
    assert all(
        torch.isfinite(w).all() for w in load_file(path / "adapter_model.safetensors").values()
    )
    assert list(log(tmp_path).step) == [1, 2]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"data": ""}, "--data is missing"),
        ({"batch": 9}, "--batch 9 isn't a multiple of 4 samples at once"),
        ({"context": 999}, "--context 999 is more than"),
        ({"targets": ("nothing",)}, "unknown --targets 'nothing'"),
        ({"rate": -1.0}, "--rate has -1"),
    ],
)
def test_wrong_options_are_named(place, tmp_path, options, said):
    with pytest.raises(ProbeError, match=said):
        tune.run(asked(place, tmp_path, **options), Silent())


def test_a_tracker_that_is_not_installed(place, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ProbeError, match=r"--track wandb needs[\s\S]*mdlm-probe\[wandb\]"):
        tune.run(asked(place, tmp_path, track="wandb"), Silent())


@pytest.mark.parametrize(
    ("model", "said"), [("tiny-arlm", "a causal model"), ("oracle", "no network")]
)
def test_models_that_cannot_be_tuned(place, tmp_path, model, said):
    with pytest.raises(ProbeError, match=said):
        tune.run(replace(asked(place, tmp_path), model=model), Silent())


def test_other_weights_are_refused(place, tmp_path):
    shutil.copytree(place / "model", tmp_path / "model")
    chosen = replace(asked(place, tmp_path / "out"), model=str(tmp_path / "model"))
    chosen = replace(chosen, options=chosen.options | {"targets": ("nothing",)})
    with pytest.raises(ProbeError, match="unknown --targets"):
        tune.run(chosen, Silent())
    write_llada(tmp_path / "model", seed=1)
    with pytest.raises(ProbeError, match="has other weights than when"):
        tune.run(chosen, Silent())


def test_of_several_processes_only_the_first_writes(place, tmp_path, monkeypatch):
    monkeypatch.setattr(TrainingArguments, "process_index", 1)
    tune.run(asked(place, tmp_path, steps=2), Silent())
    found = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"rng_state.pth"}, "each has its own to resume with"


@pytest.mark.slow
@pytest.mark.parametrize("spare", [True, False])
def test_slack_goes_with_the_adapter(place, tmp_path, spare):
    """A row of the network that no token has stands for it, or a new one."""
    geometry = {} if spare else {"vocab": load_border(place).vocab}
    folder = write_llada(tmp_path / "model", **geometry)
    chosen = replace(asked(place, tmp_path / "out", "ctc", {"smax": 1.0}), model=str(folder))
    adapter = tune.run(chosen, Silent())
    entry = models.resolve(str(folder))
    model = models.load(entry, LoadOptions("float32", "cpu", adapter=str(adapter)))
    assert model.entry.slack_id == model.border.vocab
    assert model.vocab == models.load(entry).vocab + (not spare)
    with pytest.raises(ProbeError, match="no row for <slack>") if not spare else nullcontext():
        tune.run(replace(chosen, full=True, output=tmp_path / "full"), Silent())


class Writing(Silent):
    watches = False

    def wrote(self, tokens, steps=1):
        pass

    def watcher(self, text, engine, length):
        return None


def test_generate_says_how_much_slack_there_is(place, tmp_path):
    adapter = tune.run(asked(place, tmp_path / "out", "jitter", {"smax": 1.0}), Silent())
    for name, given in (("plain", ""), ("tuned", str(adapter))):
        load = LoadOptions("float32", "cpu", adapter=given)
        options = {"text": ("cat dog",), "length": 8}
        job = Job("generate", str(place / "model"), options, load, tmp_path / name, 500)
        (row,) = map(json.loads, generate.run(job, Writing()).read_text().splitlines())
        assert ("slack_share" in row) == bool(given)
        assert len(row["token_steps"]) == len(row["logprobs"]) == row["answer_tokens"]


def load_border(place):
    return models.load_border(models.resolve(str(place / "model")))
