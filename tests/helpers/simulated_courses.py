"""Courses of decoding without a network: random tokens, and confidences of several kinds.

They are for what depends on the order alone: which places are free when a token is committed.
"""

import numpy as np

from mdlm_probe.decoding import loop
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.models._checkpoint import Checkpoint

MASK, WORDS = 0, 50
ENTRY = Checkpoint("simulated", "oracle", "masked", mask_id=MASK, context=4096)


def noise(asked, ids, rng):
    """Confidences that say nothing: another order each time."""
    return rng.random(len(asked))


def beside_text(asked, ids, rng):
    """A place is the surer the nearer its written neighbours are, as in language models."""
    known, asked = np.flatnonzero(np.array(ids) != MASK), np.array(asked)
    after = known.searchsorted(asked)  # text comes first: one is always before
    right = known[np.minimum(after, len(known) - 1)]
    near = np.minimum(asked - known[after - 1], np.abs(right - asked))
    return 0.5**near + 0.2 * rng.random(len(asked))


def course(schedule, length, hook=None, confidences=noise, seed=0):
    """A whole canvas after two words of text, decoded with an intervention that asks nothing."""
    rng = np.random.default_rng(seed)
    canvas = Canvas((1, 2, *[MASK] * length), tuple(range(2, length + 2)))
    steps = loop.decode(canvas, schedule, ENTRY, hook)
    queries = next(steps)
    while True:
        (query,) = queries
        sure = np.clip(confidences(query.positions, query.ids, rng), 1e-6, 1)
        tokens = rng.integers(3, WORDS, len(sure))
        found = np.stack([tokens, np.log(sure), np.log(sure)], 1)
        try:
            queries = steps.send([{query.readouts[0]: found}])
        except StopIteration as end:
            return end.value
