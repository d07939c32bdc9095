"""Attention in the open: the weights are those of an independent implementation, in every family,
and the network computes with them what it computes without anyone looking.
"""

import json

import pytest
import torch
from checkpoints import write_dream, write_llada, write_llama
from dense_checkpoints import write_dense
from expert_checkpoints import write_llada2, write_llada_moe
from plain import LLADA, LLAMA, Plain, close, read
from plain_experts import PlainLLaDA2, PlainLLaDAMoE

from mdlm_probe import models
from mdlm_probe.models import LoadOptions, llada2
from mdlm_probe.models._base import AttendingModel

TEXTS = ([5, 60, 7, 200, 12, 9, 33], [17 * n % 250 for n in range(11)])
"""Of two lengths: one is padded."""


def told(folder):
    return json.loads((folder / "config.json").read_text())


FAMILIES = {
    "llada": (write_llada, lambda at: Plain(read(at), LLADA)),
    "dream": (
        lambda at: write_dream(at, kv_heads=2),
        lambda at: Plain(read(at), LLAMA, kv_heads=2, theta=1e6, eps=1e-6),
    ),
    "causal": (write_llama, lambda at: Plain(read(at), LLAMA, causal=True)),
    "sdar": (
        lambda at: write_dense(at, "sdar", kv_heads=2, head_dim=16),
        lambda at: Plain(read(at), LLAMA, kv_heads=2, size=16, block=4, theta=1e6, eps=1e-6),
    ),
    "llada-moe": (write_llada_moe, lambda at: PlainLLaDAMoE(read(at), told(at))),
    "llada2": (write_llada2, lambda at: PlainLLaDA2(read(at), told(at), block=llada2.BLOCK)),
}


@pytest.fixture(scope="module", params=FAMILIES)
def both(request, tmp_path_factory):
    """A model, and the same in plain torch."""
    write, plain = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "m"
    write(folder)
    return models.load(models.resolve(str(folder)), LoadOptions()), plain(folder)


def opened(model, texts, removed=None):
    """Log-probabilities of every position, and the weights, of texts in one padded batch."""
    ids = torch.zeros(len(texts), max(map(len, texts)), dtype=torch.long)
    for row, text in enumerate(texts):
        ids[row, : len(text)] = torch.tensor(text)
    lengths = torch.tensor([len(text) for text in texts])
    asked = [(row, at) for row, text in enumerate(texts) for at in range(model.shift, len(text))]
    rows, positions = torch.tensor(asked).unbind(1)
    weights = [[] for _ in texts]

    def take(row, layer, own):
        assert layer == len(weights[row])
        weights[row].append(own.clone())

    hidden = removed or [()] * len(texts)
    states = model.states_with_attention(ids, lengths, rows, positions, hidden, take)
    usual = model.states(ids, lengths, rows, positions)
    rows = model.logprobs(states), model.logprobs(usual)
    return [torch.stack(own) for own in weights], *rows


def test_weights_are_those_of_an_independent_implementation(both):
    model, plain = both
    assert isinstance(model, AttendingModel)
    weights, ours, usual = opened(model, TEXTS)
    assert close(ours.double(), usual.double())  # nothing changes where nothing is removed
    for text, found in zip(TEXTS, weights, strict=True):
        expected = plain.attention(text)
        assert close(found.double(), expected, 1e-5)
        assert found.sum(-1).allclose(torch.ones(()), atol=1e-5)
        assert expected.std() > 0.01, "even weights would be equal whatever is computed"
        assert (found == 0).equal(expected == 0)  # unseen is not seen at all
    assert model.network.config._attn_implementation == "sdpa"


def test_what_is_seen_is_what_the_attention_is_declared_to_be(both):
    model, _ = both
    block = model.entry.block
    for text, found in zip(TEXTS, opened(model, TEXTS)[0], strict=True):
        query, key = torch.arange(len(text))[:, None], torch.arange(len(text))
        seen = {
            "bidirectional": torch.ones(len(text), len(text), dtype=torch.bool),
            "causal": key <= query,
            "block-causal": key // max(1, block) <= query // max(1, block),
        }[model.entry.attention]
        assert (found > 0).equal(seen.expand_as(found))


@pytest.mark.parametrize("kind", ["llada", "causal"])
def test_a_removed_key_is_seen_by_itself_alone(tmp_path, kind):
    """In the layer that is named, and in no other; other sequences of the batch keep theirs."""
    write, plain = FAMILIES[kind]
    model = models.load(models.resolve(str(write(tmp_path / "m"))), LoadOptions())
    removed = ((1, 2), (1, 4), (0, 0))
    weights, ours, _ = opened(model, TEXTS, [removed, ()])
    theirs, other = plain(tmp_path / "m"), plain(tmp_path / "m")
    theirs.removed = removed
    assert close(weights[0].double(), theirs.attention(TEXTS[0]), 1e-5)
    assert close(weights[1].double(), other.attention(TEXTS[1]), 1e-5)
    assert not weights[0][1, :, 5, 2].any()
    assert weights[0][1, :, 2, 2].all()
    first = len(TEXTS[0]) - model.shift
    rows = theirs.logprobs(TEXTS[0], model.entry.mask_id)[:first]
    assert close(ours[:first].double(), rows)
    assert not close(rows, other.logprobs(TEXTS[0], model.entry.mask_id)[:first], 1e-2)


def test_an_error_within_leaves_the_usual_attention(tmp_path):
    model = models.load(models.resolve(str(write_llada(tmp_path / "m"))), LoadOptions())

    def take(row, layer, own):
        raise RuntimeError("no memory")

    ids, one = torch.tensor([TEXTS[0]]), torch.tensor([0])
    with pytest.raises(RuntimeError, match="no memory"):
        model.states_with_attention(ids, torch.tensor([7]), one, one, [()], take)
    assert model.network.config._attn_implementation == "sdpa"
