"""A watcher is told what the network says of all masks left, and changes nothing."""

import numpy as np
import pytest
from checkpoints import MASK_TEXT, special_ids, write_dream, write_llada

from mdlm_probe import models
from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout

MASK, MASKS = special_ids()[MASK_TEXT], 8
CANVAS = Canvas((5, 9, 30, *[MASK] * MASKS, 7), tuple(range(3, 3 + MASKS)), "canvas")


class Notes:
    """Keeps all that it is told."""

    wanted = (Readout("entropy"), Readout("top_id"))

    def __init__(self):
        self.seen = []

    def see(self, tokens, masks, answer):
        self.seen.append((tokens, list(masks), answer["entropy"], answer["top_id"]))


@pytest.fixture(scope="module", params=["llada", "dream"])
def engine(request, tmp_path_factory):
    write = {"llada": write_llada, "dream": write_dream}[request.param]
    path = write(tmp_path_factory.mktemp("watched") / request.param)
    return Engine(models.load(models.resolve(str(path))), batch_tokens=512, kv_cache_tokens=4096)


@pytest.mark.parametrize("cache", ["none", "prefix", "dual"])
@pytest.mark.parametrize("order", ["low_confidence", "random"])
def test_it_is_told_of_every_mask_that_a_pass_computes(engine, order, cache):
    schedule = Schedule(6, 4, order, cache=cache, stop=False)
    notes = Notes()
    (plain,) = loop.decode_all(engine, [CANVAS], [schedule])
    (watched,) = loop.decode_all(engine, [CANVAS], [schedule], watchers=[notes])
    assert (watched.tokens, watched.steps, watched.passes) == (
        plain.tokens,
        plain.steps,
        plain.passes,
    )
    assert watched.network_tokens == plain.network_tokens
    assert len(notes.seen) == max(watched.steps) == 6
    for number, (tokens, masks, entropies, ids) in enumerate(notes.seen, 1):
        left = [m for m in range(MASKS) if watched.steps[m] >= number]
        begun = number in (1, 4)
        # with a shift, the row of the block's last mask scores the one behind it
        own = [m for m in left if number > 3 or m < 4 + engine.entry.shift]
        assert masks == (own if cache == "dual" and not begun else left)
        state = watched.at(number - 1)
        assert tokens == tuple(state[place] for place in CANVAS.places)
        if cache == "none":
            places = tuple(CANVAS.places[mask] for mask in masks)
            (answer,) = engine.ask([Query(state, places, Notes.wanted)])
            np.testing.assert_allclose(entropies, answer["entropy"], rtol=1e-4)
            assert ids.tolist() == answer["top_id"].tolist()
