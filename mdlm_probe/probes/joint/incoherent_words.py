"""Incoherent words: how often two slots are filled with words that don't go together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Readout

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.probes.joint.word_pairs import PairSet


def mix(asker: Asker, pair_set: PairSet, name: str) -> MultiStep[list[dict[str, Any]]]:
    """How often two slots get words that don't go together, and how often words of the set at all.

    Returns:
        `words`: pairs whose words are a token each for this model; with fewer than two there is no
        more. `mass_parallel`, `mass_sequential`: probability that both slots get words of the set;
        `incoherent_parallel`, `incoherent_sequential`: given that they do, that the words are of
        two pairs. Sequential: the left slot first.
    """
    ids = asker.border.encode(pair_set.prompt())
    tokens = pair_set.tokens(asker.border.pieces)
    if asker.border.is_rough:  # each word may be one token
        tokens = ((0, 0),) * len(pair_set.pairs)
    if len(tokens) < 2:
        return [{"set_pairs": len(tokens)}]
    places = tuple(i for i, token in enumerate(ids) if token == asker.entry.mask_id)
    canvas = Canvas(ids, places, name, asker.entry.origin_at(places[0]))
    firsts, seconds = (tuple(side) for side in zip(*tokens, strict=True))
    left, right = Readout("chosen", firsts), Readout("chosen", seconds)
    alone, *after = yield [
        canvas.query({}, (0, 1), (left, right)),
        *(canvas.query({0: a}, (1,), (right,)) for a in firsts),
    ]
    first = np.exp(alone[left][0], dtype=float)
    second = np.exp(alone[right][1], dtype=float)
    given = np.exp(np.concatenate([answer[right] for answer in after]), dtype=float)
    found: dict[str, Any] = {"set_pairs": len(tokens)}
    joints = {"parallel": np.outer(first, second), "sequential": first[:, None] * given}
    for way, joint in joints.items():
        mass = float(joint.sum())
        apart = mass - float(np.trace(joint))
        found |= {f"incoherent_{way}": apart / mass if mass else None, f"mass_{way}": mass}
    return [found]
