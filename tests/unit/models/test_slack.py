"""`<slack>`: its id, its row, and texts, in which it stands for nothing."""

import json

import pytest
import torch
from checkpoints import VOCAB, bpe_parts, special_ids, write_llada

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import answers
from mdlm_probe.models import LoadOptions, _slack

TOKENS = len(bpe_parts()[0]) + len(special_ids())
"""What the tokenizer of the written checkpoints knows."""


def load(folder):
    return models.load(models.resolve(str(folder)), LoadOptions("float32", "cpu"))


def told(folder, slack):
    (folder / _slack.FILE).write_text(json.dumps({"slack_id": slack}))
    return folder


@pytest.mark.parametrize("tied", [False, True])
def test_a_checkpoint_with_rows_to_spare_takes_the_first(tmp_path, tied):
    folder = write_llada(tmp_path / "m", tied=tied)
    plain = load(folder)
    assert _slack.slack_id(plain.border) == TOKENS < VOCAB
    assert plain.entry.slack_id is None
    model = load(told(folder, TOKENS))
    assert model.entry.slack_id == TOKENS
    assert model.vocab == plain.vocab == VOCAB
    for name, weight in model.network.state_dict().items():
        assert torch.equal(weight, plain.network.state_dict()[name])


@pytest.mark.parametrize("tied", [False, True])
def test_one_without_gets_a_row_that_is_always_the_same(tmp_path, tied):
    folder = write_llada(tmp_path / "m", tied=tied, vocab=TOKENS)
    plain = load(folder).network
    one, two = load(told(folder, TOKENS)), load(folder)
    assert one.vocab == TOKENS + 1
    for get in ("get_input_embeddings", "get_output_embeddings"):
        table, before = getattr(one.network, get)().weight, getattr(plain, get)().weight
        assert torch.equal(table[:TOKENS], before)
        assert torch.equal(table, getattr(two.network, get)().weight)
        assert 0.5 < table[TOKENS].std() / before.std() < 2
    assert (
        one.network.get_input_embeddings().weight.data_ptr()
        == (one.network.get_output_embeddings().weight.data_ptr())
    ) is tied


@pytest.mark.parametrize(
    ("slack", "said"),
    [(TOKENS + 1, "the network has"), (-1, "slack_id is -1"), ("a", "slack_id is 'a'")],
)
def test_an_id_that_cannot_be_is_named(tmp_path, slack, said):
    folder = told(write_llada(tmp_path / "m", vocab=TOKENS), slack)
    with pytest.raises(ProbeError, match=said):
        load(folder)


def test_texts_and_answers_hold_no_slack(tmp_path):
    border = load(told(write_llada(tmp_path / "m"), TOKENS)).border
    cat, dog = border.pieces("cat dog")
    end, mask = border.entry.eos_ids[0], border.entry.mask_id
    assert border.decode([TOKENS, cat, TOKENS, dog]) == "cat dog"
    assert (border.decode([TOKENS]), border.decode([])) == ("<slack>", "")
    assert answers.pieces(border, border.entry, (cat, TOKENS, mask)) == ["cat", "<slack>", ""]
    found = answers.cut(border, border.entry, (cat, TOKENS, mask, dog, end, TOKENS), None)
    assert (found.ids, found.places, found.text) == ((cat, dog), (0, 3), "cat dog")
    assert found.slack_share == 0.25
    only = answers.cut(border, border.entry, (TOKENS, TOKENS), None)
    assert (only.ids, only.text, only.slack_share) == ((), "", 1)
    assert answers.cut(border, border.entry, (end,), None).slack_share == 0


def test_models_that_write_none_say_nothing_of_it(tmp_path):
    border = load(write_llada(tmp_path / "m")).border
    ids = border.pieces("cat dog")
    assert answers.cut(border, border.entry, ids, None).slack_share is None
