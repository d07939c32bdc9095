"""Files that are damaged, contradict each other, or were made to do harm: named, never a traceback,
and no number from weights other than those that are recorded.
"""

import json
import struct

import pytest
import torch
from checkpoints import (
    EOS,
    VOCAB,
    llada_name,
    llama_weights,
    save_weights,
    special_ids,
    write_dream,
    write_llada,
    write_llama,
)
from safetensors.torch import load_file, save_file

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import LoadOptions, _load, _weights

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


def load(folder, **options):
    return models.load(models.resolve(str(folder)), LoadOptions(**options))


def edit(path, change):
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


# ---------------------------------------------------------------------- which weights


def test_one_file_beside_an_index_of_others(tmp_path):
    """Transformers would read the one file; the index names what would be hashed."""
    folder = write_llada(tmp_path / "m", shards=2)
    other = {llada_name(name): w for name, w in llama_weights(seed=1).items()}
    save_weights(folder, other)
    with pytest.raises(ProbeError, match=f"holds {SINGLE}, and {INDEX}, which names") as error:
        load(folder)
    assert "nothing says which weights are meant" in error.value.expected


def test_an_index_of_the_one_file_itself(tmp_path):
    folder = write_llada(tmp_path / "m")
    named = dict.fromkeys(load_file(folder / SINGLE), SINGLE)
    (folder / INDEX).write_text(json.dumps({"weight_map": named}))
    assert SINGLE in load(folder).facts["files"]


def test_weights_that_the_config_names(tmp_path):
    """Transformers would read these in place of those that are checked and hashed."""
    folder = write_llama(tmp_path / "m", config={"transformers_weights": "other.safetensors"})
    save_file(llama_weights(seed=1), folder / "other.safetensors")
    with pytest.raises(ProbeError, match="key 'transformers_weights': found 'other"):
        load(folder)


# ---------------------------------------------------------------------- the index


@pytest.mark.parametrize("file", [5, None, ["a"], {"a": 1}, True, "weights.bin", ""])
def test_an_index_that_names_no_files(tmp_path, file):
    folder = write_llada(tmp_path / "m", shards=2)
    edit(folder / INDEX, lambda told: told["weight_map"].update({"x": file}))
    with pytest.raises(ProbeError, match=r"index\.json: 'x' is in"):
        load(folder)


@pytest.mark.parametrize("up", ["../other/", "/", "sub/", "..\\"])
def test_shards_outside_the_folder_are_never_opened(tmp_path, monkeypatch, up):
    folder = write_llada(tmp_path / "m", shards=2)
    (tmp_path / "other").mkdir()
    name = f"{up}model-00001-of-00002.safetensors"
    edit(folder / INDEX, lambda told: told["weight_map"].update({"x": name}))
    monkeypatch.setattr(_weights, "header", lambda file: pytest.fail(f"{file} was opened"))
    with pytest.raises(ProbeError, match=r"index\.json: 'x' is in") as error:
        load(folder)
    assert "in the same folder" in error.value.expected


# ---------------------------------------------------------------------- headers


def write_header(file, table, data=b""):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.mark.parametrize(
    "table",
    [
        [],
        5,
        {"w": []},
        {"w": {"dtype": "F32", "shape": [1]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]}},
        {"w": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}},
        {"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]}},
        {"w": {"dtype": "F33", "shape": [1], "data_offsets": [0, 4]}},
        {"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4]}},
        {n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"},
        b"[" * 100_000,
        b'{"w": "\xff"}',
    ],
    ids=lambda table: str(table)[:60],
)
def test_headers_that_are_wrong(tmp_path, table):
    write_header(tmp_path / SINGLE, table, b"1234")
    with pytest.raises(ProbeError, match=r"model\.safetensors is not a sound safetensors file"):
        _weights.header(tmp_path / SINGLE)


@pytest.mark.parametrize("kind", [torch.complex64, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_numbers_that_are_no_weights(tmp_path, kind):
    folder, name = write_llama(tmp_path / "m"), "model.layers.1.mlp.up_proj.weight"
    weights = load_file(folder / SINGLE)
    weights[name] = weights[name].to(kind)
    save_file(weights, folder / SINGLE, metadata={"format": "pt"})
    with pytest.raises(ProbeError, match=rf"model\.safetensors: weight '{name}' is of type") as e:
        load(folder)
    assert "BF16" in e.value.expected


@pytest.mark.parametrize("write", [write_llada, write_dream, write_llama])
def test_more_layers_than_weights_build_no_network(tmp_path, monkeypatch, write):
    key = "n_layers" if write is write_llada else "num_hidden_layers"
    folder = write(tmp_path / "m", config={key: 10**4})
    monkeypatch.setattr(_load, "_skeleton", lambda *_: pytest.fail("a network was built"))
    with pytest.raises(ProbeError, match="describes 10000 layers"):
        load(folder)


# ---------------------------------------------------------------------- texts


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", INDEX])
@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"a": "é"}'.encode("latin-1"), "is not UTF-8: byte 7 is 0xe9"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
        (b"\xef\xbb\xbf{}", "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON: it is nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "is not valid JSON"),
        (b'{"a": 1, "a": 2}', "is not valid JSON: key 'a' is there twice"),
        (b"", "is not valid JSON"),
        (b"7", "holds a int"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_texts_that_cannot_be_read(tmp_path, name, content, match):
    folder = write_llada(tmp_path / "m", shards=2)
    (folder / name).write_bytes(content)
    with pytest.raises(ProbeError, match=match) as error:
        load(folder)
    assert name in error.value.found


def test_a_template_in_another_encoding(tmp_path):
    folder = write_llada(tmp_path / "m")
    (folder / "chat_template.jinja").write_bytes("é".encode("latin-1"))
    with pytest.raises(ProbeError, match=r"chat_template\.jinja is not UTF-8"):
        load(folder)


@pytest.mark.parametrize("found", [5, True, {"a": "b"}, ["a"], [None], [[]], [{"name": []}, 3]])
def test_templates_that_are_no_texts(tmp_path, found):
    folder = write_llada(tmp_path / "m")
    edit(folder / "tokenizer_config.json", lambda told: told.update({"chat_template": found}))
    with pytest.raises(ProbeError, match=r"tokenizer_config\.json, key 'chat_template': found"):
        load(folder)


# ---------------------------------------------------------------------- numbers of a config


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, "1", 0, -1])
def test_numbers_that_are_none(tmp_path, value):
    folder = write_llada(tmp_path / "m", config={"rope_theta": value})
    with pytest.raises(ProbeError, match="key 'rope_theta': found"):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_attention_heads", 0),
        ("max_position_embeddings", "many"),
        ("hidden_size", 10**30),
        ("num_key_value_heads", -1),
        ("vocab_size", None),
        ("tie_word_embeddings", 1),
        ("eos_token_id", VOCAB),
        ("eos_token_id", [1, VOCAB]),
    ],
)
def test_sizes_of_a_causal_model(tmp_path, key, value):
    folder = write_llama(tmp_path / "m", config={key: value})
    with pytest.raises(ProbeError, match=rf"config\.json, key '{key}': found"):
        load(folder)


# ---------------------------------------------------------------------- token ids


def test_tokens_beyond_the_embedding(tmp_path):
    highest = max(special_ids().values())
    folder = write_llama(tmp_path / "m", vocab=highest, config={"eos_token_id": 1})
    match = rf"tokenizer\.json: token '<\|mdm_mask\|>' has id {highest}"
    with pytest.raises(ProbeError, match=match) as error:
        models.load_border(models.resolve(str(folder)))
    assert f"less than the {highest} rows of the embedding" in error.value.expected
    load(write_llama(tmp_path / "n", vocab=highest + 1))


def test_tokens_that_share_an_id(tmp_path):
    folder = write_llama(tmp_path / "m")

    def double(told):
        told["model"]["vocab"]["dog"] = told["model"]["vocab"]["cat"]

    edit(folder / "tokenizer.json", double)
    with pytest.raises(ProbeError, match=r"tokenizer\.json: 'cat', 'dog' have the same id"):
        load(folder)


def test_tokens_that_share_an_id_in_a_vocabulary_without_tokenizer_json(tmp_path):
    folder = write_dream(tmp_path / "m")
    edit(folder / "vocab.json", lambda told: told.update({"dog": told["cat"]}))
    with pytest.raises(ProbeError, match=r"vocab\.json: 'cat', 'dog' have the same id"):
        load(folder)


@pytest.mark.parametrize("write", [write_llada, write_dream])
def test_a_mask_that_is_the_end_of_text(tmp_path, write):
    """The mask is never predicted, so that no text would end."""
    folder = write(tmp_path / "m", config={"mask_token_id": special_ids()[EOS]})
    with pytest.raises(ProbeError, match=r"key 'mask_token_id': found .* ends a text"):
        load(folder)


def test_a_special_token_whose_id_is_another_than_the_file_says(tmp_path):
    """The library gives it the next free id, and only logs that."""
    folder = write_llama(tmp_path / "m")

    def move(told):
        token = next(t for t in told["added_tokens"] if t["content"] == EOS)
        token["id"] = 5

    edit(folder / "tokenizer.json", move)
    match = rf"special token '.*' would get id {special_ids()[EOS]}"
    with pytest.raises(ProbeError, match=match) as error:
        load(folder)
    assert error.value.expected.startswith("5")


@pytest.mark.parametrize("decoder", [[], 5, {"x": {"content": "a"}}, {"296": "x"}, {"296": {}}])
def test_special_tokens_of_the_wrong_type(tmp_path, decoder):
    folder = write_dream(tmp_path / "m")
    told = {"added_tokens_decoder": decoder or [1]}
    edit(folder / "tokenizer_config.json", lambda config: config.update(told))
    with pytest.raises(ProbeError, match=r"tokenizer_config\.json, key 'added_tokens_decoder'"):
        load(folder)
