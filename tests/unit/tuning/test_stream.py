"""The stream: the same samples for all objectives, corrupted by themselves and the step alone."""

import numpy as np
import torch
from corrupted import END, TOKENS, sample

from mdlm_probe.tuning.objectives import mask_agnostic, sft
from mdlm_probe.tuning.stream import Stream, collate

SAMPLES = [sample(answer=4 + n % 5, seed=n) for n in range(10)]


def stream(objective=None, steps=6, batch=4, seed=0):
    return Stream(SAMPLES, objective or sft.plan(), TOKENS, steps, batch, seed)


def which(made):
    """The samples of a stream, by their prompts, which nothing hides."""
    prompts = {one.prompt: n for n, one in enumerate(SAMPLES)}
    return [prompts[tuple(made[i].rows[0, :5])] for i in range(len(made))]


def test_every_sample_comes_once_before_any_comes_again():
    order = which(stream())
    assert len(order) == 24
    assert sorted(order[:10]) == sorted(order[10:20]) == list(range(10))
    assert order[:10] != order[10:20]
    assert which(stream(seed=1)) != order


def test_all_objectives_read_the_same_samples_in_the_same_order():
    assert which(stream()) == which(stream(mask_agnostic.plan(max_masks=9)))


def test_corruption_knows_nothing_of_how_items_are_asked_for():
    one, other = stream(), stream()
    forwards = [one[i] for i in range(24)]
    backwards = [other[i] for i in reversed(range(24))][::-1]
    np.random.seed(7)
    for a, b in zip(forwards, backwards, strict=True):
        assert (a.rows == b.rows).all()
        assert (a.places == b.places).all()
    first, again = (i for i, n in enumerate(which(one)) if n == 0)
    assert forwards[first].rows.tolist() != forwards[again].rows.tolist()


def test_a_batch_is_padded_where_nothing_attends():
    items = [stream(mask_agnostic.plan(max_masks=9))[i] for i in range(3)]
    batch = collate(items, END, shift=1)
    longest = max(item.rows.shape[1] for item in items)
    assert batch["input_ids"].shape == (6, longest)
    held = batch["attention_mask"].bool()
    kept = batch["logits_to_keep"].nonzero()
    at = 0
    for number, item in enumerate(items):
        for row in range(2):
            line = 2 * number + row
            length = item.rows.shape[1]
            assert batch["input_ids"][line, :length].tolist() == item.rows[row].tolist()
            assert held[line].tolist() == [True] * length + [False] * (longest - length)
            asked = kept[at : at + len(item.places)]
            assert asked.tolist() == [[line, place - 1] for place in item.places]
            at += len(item.places)
    assert at == len(kept)
    assert (batch["input_ids"][~held] == END).all()


def test_a_batch_without_padding_has_no_mask():
    (item,) = [stream()[0]]
    assert collate([item], END, 0)["attention_mask"] is None
    assert collate([item], END, 0)["input_ids"].dtype == torch.long
