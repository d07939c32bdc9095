"""Dream checkpoints: Qwen2's weights, attention in both directions, rows shifted by one."""

import json
import re

import pytest
import torch
from checkpoints import MASK_TEXT, SPECIALS, bpe, special_ids, write_dream
from plain import LLAMA, Plain, ask, close, read

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError

MASK_ID = special_ids()[MASK_TEXT]
TEXT = [5, 60, MASK_ID, 200, 12, MASK_ID, 33]
SHAPE = {"kv_heads": 2, "theta": 1e6, "eps": 1e-6}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dream(tmp_path_factory.mktemp("dream") / "m")


@pytest.fixture(scope="module")
def model(folder):
    return models.load(models.resolve(str(folder)))


def test_position_i_is_scored_by_the_row_before_it(model, folder):
    rows = Plain(read(folder), LLAMA, **SHAPE).logprobs(TEXT, MASK_ID)
    ours = ask(model, [TEXT], [(0, i) for i in range(1, len(TEXT))])
    assert close(ours, rows[:-1])
    assert not close(ours, rows[1:], 0.1)


def test_position_0_cannot_be_predicted(model):
    with pytest.raises(ProbeError, match="position 0"):
        ask(model, [TEXT], [(0, 3), (0, 0)])


def test_padding_is_exact(model, folder):
    plain = Plain(read(folder), LLAMA, **SHAPE)
    batch = [TEXT[:2], TEXT + TEXT, TEXT]
    asked = [(row, i) for row, ids in enumerate(batch) for i in range(1, len(ids))]
    expected = torch.cat([plain.logprobs(ids, MASK_ID)[:-1] for ids in batch])
    assert close(ask(model, batch, asked), expected)


def test_facts(model):
    assert model.entry.family == "dream"
    assert model.entry.mask_id == MASK_ID
    assert model.entry.context == 2048  # config.json repeats Qwen's 131072
    assert model.facts["shift"] == 1


def test_tokenizer_without_tokenizer_json(model):
    text = "Options: (A) cat, the dog's 12 <|mdm_mask|>\n\n  Answer:[é]."
    assert list(model.border.encode(text)) == bpe().encode(text).ids
    assert model.border.decode(model.border.encode(text)) == text
    for special in SPECIALS:
        assert model.border.token(special) == special_ids()[special]


def test_tokenizer_splits_words_as_qwen2_does(folder):
    """Checked against transformers' own Qwen2 tokenizer on the same vocabulary."""
    from transformers import Qwen2Tokenizer

    vocab, merges = str(folder / "vocab.json"), str(folder / "merges.txt")
    theirs = Qwen2Tokenizer(vocab=vocab, merges=merges)
    ours = models.load_border(models.resolve(str(folder)))
    for text in ("the cat's 12345\n\n  Answer:[A]", "  red\tdog ", "naïve ＡＢ", "I'LL x\r\n y"):
        assert list(ours.encode(text)) == theirs.backend_tokenizer.encode(text).ids


def test_special_token_that_would_get_another_id(tmp_path):
    folder = write_dream(tmp_path / "m")
    path = folder / "tokenizer_config.json"
    told = json.loads(path.read_text())
    told["added_tokens_decoder"]["999"] = {"content": "<|far|>", "special": True}
    path.write_text(json.dumps(told))
    with pytest.raises(ProbeError, match=re.escape("'<|far|>' would get id")):
        models.load_border(models.resolve(str(folder)))


def test_added_tokens_json_is_enough(tmp_path):
    folder = write_dream(tmp_path / "m")
    (folder / "tokenizer_config.json").write_text("{}")
    (folder / "added_tokens.json").write_text(json.dumps(special_ids()))
    assert models.load_border(models.resolve(str(folder))).token(MASK_TEXT) == MASK_ID


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("use_sliding_window", True),
        ("rope_scaling", {"type": "yarn"}),
        ("hidden_act", "gelu"),
        ("hidden_size", 30),
        ("num_key_value_heads", 3),
        ("num_key_value_heads", ...),
        ("mask_token_id", ...),
    ],
)
def test_config_violations_name_file_and_key(tmp_path, key, value):
    folder = write_dream(tmp_path / "m", config={key: value})
    named = "num_attention_heads" if key == "hidden_size" else key
    with pytest.raises(ProbeError, match=re.escape(f"config.json, key '{named}'")):
        models.resolve(str(folder))


@pytest.mark.hub
@pytest.mark.slow
def test_the_real_dream_loads_and_passes_its_self_test():
    model = models.load(models.resolve("dream-7b"))
    assert model.facts["parameters"] == 7615616512
    assert model.border.token("<|mask|>") == 151666
