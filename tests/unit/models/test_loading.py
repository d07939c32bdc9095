"""Devices, dtypes, the hub, silence, and what is recorded of a loaded model."""

import hashlib
import json
import logging
import sys
import types
import warnings

import pytest
import torch
from checkpoints import EOS, MASK_TEXT, special_ids, write_llada, write_llama
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _hf, _hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_llada(tmp_path_factory.mktemp("loading") / "m", shards=2)


@pytest.fixture(scope="module")
def entry(folder):
    return models.resolve(str(folder))


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtypes(entry, dtype):
    model = models.load(entry, LoadOptions(dtype=dtype))
    assert model.facts["dtype"] == dtype
    assert next(model.network.parameters()).dtype == getattr(torch, dtype)
    at = torch.tensor([0]), torch.tensor([1])
    row = model.logprobs(model.states(torch.tensor([[1, 2, 3]]), torch.tensor([3]), *at))
    assert row.dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dtype": "int8"}, "unknown dtype 'int8'"),
        ({"device": "gpu"}, "unknown device 'gpu'"),
        ({"device": "meta"}, "unknown device 'meta'"),
        ({"device": "cuda:99"}, "no device 'cuda:99' here"),
        ({"quantize": "3bit"}, "unknown quantisation '3bit'"),
        ({"revision": "abc"}, "revision 'abc' was asked for"),
    ],
)
def test_options_that_do_not_exist(entry, options, match):
    with pytest.raises(ProbeError, match=match):
        models.load(entry, LoadOptions(**options))


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_auto_on_a_machine_without_accelerator(entry):
    if not torch.backends.mps.is_available():
        model = models.load(entry)
        assert (model.device, model.facts["dtype"]) == ("cpu", "float32")


@pytest.mark.gpu
def test_auto_on_cuda(entry):
    model = models.load(entry)
    assert model.device.startswith("cuda")
    assert model.facts["dtype"] == "bfloat16"
    assert model.network.model.rotary_emb.inv_freq.dtype == torch.float32


# ---------------------------------------------------------------------- what is recorded


def test_facts(entry, folder):
    facts = models.load(entry).facts
    json.dumps(facts)
    ids = special_ids()
    told = {
        "kind": "masked",
        "attention": "sdpa",
        "mask_id": ids[MASK_TEXT],
        "eos_ids": [ids[EOS], ids["<|eot_id|>"]],
        "context": 128,
        "commit": "",
        "revision": "",
        "quantize": "",
        "adapter": None,
        "parameters": entry.geometry["parameters"],
    }
    assert facts.items() >= told.items()
    for name, recorded in facts["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == recorded
    assert {"config.json", "tokenizer.json"} < set(facts["files"])


def test_weight_hash_changes_with_the_weights_only(tmp_path, entry):
    same = write_llada(tmp_path / "a", shards=2, config={"max_sequence_length": 64})
    other = write_llada(tmp_path / "b", shards=2, seed=1)
    hashes = [
        models.load(models.resolve(str(f))).facts["weight_hash"]
        for f in (entry.source, same, other)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def hub_file(repository, name, text):
    """A file of the hub's cache: a link to a blob that its sha256 is said to name."""
    snapshot = repository / "snapshots" / ("c0ffee" + "0" * 34)
    snapshot.mkdir(parents=True, exist_ok=True)
    (repository / "blobs").mkdir(exist_ok=True)
    blob = repository / "blobs" / ("ab" * 32)
    blob.write_bytes(text)
    (snapshot / name).symlink_to(blob)
    return snapshot / name


def test_names_of_hub_blobs_save_reading_them(tmp_path):
    link = hub_file(tmp_path / "models--org--m", "model.safetensors", b"anything")
    assert _hub.fingerprints([link]) == {"model.safetensors": "ab" * 32}


def test_a_link_outside_the_hubs_cache_is_read_whatever_it_points_to(tmp_path):
    real = hashlib.sha256(b"anything").hexdigest()
    alike = hub_file(tmp_path / "mine", "model.safetensors", b"anything")
    foreign = hub_file(tmp_path / "models--org--m", "x", b"anything").resolve()
    local = tmp_path / "models--a--b" / "snapshots" / ("0" * 40) / "model.safetensors"
    local.parent.mkdir(parents=True)
    local.symlink_to(foreign)
    for link in (alike, local):
        assert _hub.fingerprints([link]) == {"model.safetensors": real}


def test_eval_mode_and_no_cache(entry):
    network = models.load(entry).network
    assert not network.training
    assert network.config.use_cache is False


# ---------------------------------------------------------------------- silence


@pytest.mark.parametrize("options", [{}, {"quantize": "8bit"}], ids=str)
def test_loading_prints_nothing(entry, capfd, monkeypatch, options):
    told = []
    monkeypatch.setattr(logging.Logger, "callHandlers", lambda _, record: told.append(record))
    logger = logging.getLogger("transformers")
    before = (logger.level, sys.stdout, sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        models.load(entry, LoadOptions(**options))
    assert capfd.readouterr() == ("", "")
    assert told == []
    assert (logger.level, sys.stdout, sys.stderr) == before


def test_remote_code_is_never_run(tmp_path):
    folder = write_llada(tmp_path / "m")
    for name in ("modeling_llada.py", "configuration_llada.py", "tokenization_llada.py"):
        (folder / name).write_text("raise SystemExit('remote code ran')")
    models.load(models.resolve(str(folder)))


# ---------------------------------------------------------------------- the hub


def refused(kind, status):
    response = types.SimpleNamespace(headers={}, request=None, status_code=status)
    return kind("no", response=response)


@pytest.mark.parametrize(
    ("error", "match", "hint"),
    [
        (refused(GatedRepoError, 403), "access to org/m is restricted", "HF_TOKEN"),
        (refused(RepositoryNotFoundError, 404), "the hub has no org/m", "spelling"),
        (refused(RevisionNotFoundError, 404), "org/m has no revision 'main'", ""),
        (refused(HfHubHTTPError, 500), "cannot download org/m: no", "local folder"),
        (LocalEntryNotFoundError("offline"), "hub cannot be reached: offline", "HF_HUB_OFFLINE"),
        (OSError("No space left on device"), "No space left", "local folder"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_hub_errors_say_what_to_do(monkeypatch, error, match, hint):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(ProbeError, match=match) as caught:
        models.resolve("org/m")
    assert hint in caught.value.hint


def test_hub_checkpoints(monkeypatch, folder, tmp_path):
    """Only the listed files are fetched; the commit is recorded; no weights for a plan."""
    commit = "c0ffee" + "0" * 34
    snapshot = tmp_path / "snapshots" / commit
    asked = []

    def fetch(repo, *, revision, allow_patterns, ignore_patterns):
        asked.append((repo, revision, allow_patterns, ignore_patterns))
        if not snapshot.exists():
            snapshot.parent.mkdir()
            snapshot.symlink_to(folder)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
    entry = models.resolve("org/some-chat", "v2")
    assert (entry.name, entry.source, entry.revision, entry.chat) == (
        "some-chat",
        "org/some-chat",
        "v2",
        True,
    )
    models.load_border(entry)
    assert all(not any("safetensors" in p for p in patterns) for _, _, patterns, _ in asked)
    facts = models.load(entry).facts
    repo, revision, patterns, never = asked[-1]
    assert (repo, revision, facts["commit"]) == ("org/some-chat", "v2", commit)
    assert "*.safetensors" in patterns
    assert not any(p.endswith((".py", ".bin")) for p in patterns)
    assert {"*.py", "*.bin", "*/*"} < set(never)


def test_offline_without_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ProbeError, match="org/nothing is not in the cache"):
        models.resolve("org/nothing")


def test_an_adapter_beside_the_model_is_not_applied_silently(tmp_path):
    folder = write_llama(tmp_path / "m")
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ProbeError, match=r"holds an adapter beside the model") as error:
        models.load(models.resolve(str(folder)))
    assert "--adapter" in error.value.hint


def test_the_output_layer_runs_in_float32_whatever_the_weights(tmp_path, monkeypatch):
    """In bfloat16 logits would lie on a coarse grid, where options tie."""
    folder = str(write_llada(tmp_path / "m"))
    model = models.load(models.resolve(folder), LoadOptions(dtype="bfloat16"))
    states = torch.randn(5, model.network.config.hidden_size).bfloat16() * 10
    weight = model.network.get_output_embeddings().weight.float()
    expected = states.float() @ weight.T
    expected[:, model.entry.mask_id] = -torch.inf
    found = model.logprobs(states)
    assert torch.allclose(found, expected.log_softmax(-1), atol=1e-4)
    monkeypatch.setitem(_hf.SLICE, "cpu", 7 * 4 * weight.shape[1])  # seven rows at a time
    assert torch.allclose(model.logprobs(states), found, atol=1e-5)
    coarse = model.network.get_output_embeddings()(states).float()
    assert not torch.allclose(coarse, states.float() @ weight.T, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("rows", [1, 300])
def test_the_output_layer_adds_up_in_float32_on_a_gpu(entry, dtype, rows):
    model = models.load(entry, LoadOptions(dtype=dtype, device="cuda"))
    weight = model.network.get_output_embeddings().weight
    states = (torch.randn(rows, weight.shape[1], device="cuda") * 10).to(weight.dtype)
    exact = states.double() @ weight.double().T
    assert torch.allclose(model._logits(states).double(), exact, atol=1e-4, rtol=1e-5)
    assert not torch.allclose((states @ weight.T).double(), exact, atol=1e-3)
