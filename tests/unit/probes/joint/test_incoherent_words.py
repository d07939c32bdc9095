"""Words that only go together against closed forms of an exact joint."""

import numpy as np
import pytest
from oracles import engine, joint, model

from mdlm_probe.engine import multi_step
from mdlm_probe.engine.dry_run import DryRun
from mdlm_probe.probes.joint import incoherent_words
from mdlm_probe.probes.joint.word_pairs import PairSet

PROMPT = (0, 2)


@pytest.mark.parametrize("seed", range(4))
def test_mixtures_equal_the_closed_form(seed):
    """p(x_0 x_1 | a c): of the words a, b, d first and b, c, a second, only a-b, b-c, d-a agree."""
    pairs = PairSet("s", "a", "c", "", "", (("a", "b"), ("b", "c"), ("d", "a")))
    ((row,),) = multi_step.run(engine(seed), [incoherent_words.mix(engine(seed), pairs, "c")])
    table = joint(seed, PROMPT, 2)
    words = np.ix_([0, 1, 3], [1, 2, 0])
    for way, cells in (
        ("parallel", np.outer(table.sum(1), table.sum(0))[words]),
        ("sequential", table[words]),
    ):
        assert row[f"mass_{way}"] == pytest.approx(cells.sum(), abs=1e-5)
        apart = cells.sum() - np.trace(cells)
        assert row[f"incoherent_{way}"] == pytest.approx(apart / cells.sum(), abs=1e-5)


def test_a_set_of_unknown_words_asks_nothing():
    pairs = PairSet("s", "a", "c", "", "", (("ab", "b"), ("b", "c")))
    counter = DryRun(model(0).entry, model(0).border)
    assert multi_step.run(engine(0), [incoherent_words.mix(engine(0), pairs, "c")]) == [
        [{"set_pairs": 1}]
    ]
    multi_step.run(counter, [incoherent_words.mix(counter, pairs, "c")])
    assert counter.lengths == []
