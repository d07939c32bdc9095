"""Total correlation on a reader whose every answer is known: pairs of copies in a window.

Each two masks that stand together say the same word, one of `WORDS` of its text, evenly. So n masks
from the left have a total correlation of ln(words) for each whole pair among them, and n masks at
random places one for each pair that both are in, whatever is drawn.
"""

import math

import numpy as np
import planted
import pytest

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.joint import headlines, report
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.prompts import texts

LENGTH, EPS, DRAWS = 8, 0.4, 3
WORDS = {"prose-01": 2, "prose-02": 5, "question-01": 3, "question-02": 4}
COUNTS = (1, 2, 4, 8)
SURE = 1 - 1e-10
"""All the probability: an engine takes an impossible token for damage."""


class Copies:
    """The rule. `sharpened`: alone, a pair's second mask is nearly sure of a word it needn't be."""

    def __init__(self, sharpened=False):
        self.border = planted.PlantedReader(None).border
        self.mask, self.sharpened = self.border.entry.mask_id, sharpened
        known = texts.chosen(texts.load("decay", "small"), ("prose", "question"), 2, "left")
        self.prompts = {self.border.encode(text.prompt): text.id for text in known}
        self.words = [self.border.token(w) for w in (" wind", " hill", " door", " ship", " king")]

    def __call__(self, ids, at):
        prompt = next(prompt for prompt in self.prompts if ids[: len(prompt)] == prompt)
        place, words = at - len(prompt), self.words[: WORDS[self.prompts[prompt]]]
        other = ids[len(prompt) + (place ^ 1)]
        if other != self.mask:
            return {other: SURE}
        if self.sharpened and place % 2:
            return {words[0]: 0.9} | dict.fromkeys(words[1:], (SURE - 0.9) / (len(words) - 1))
        return dict.fromkeys(words, SURE / len(words))


def measured(reader):
    cells = joint.plan(
        measure=("total", "budget"),
        length=LENGTH,
        draws=DRAWS,
        budget_eps=EPS,
        limit=2,
        lexicon="small",
    )
    return cells, planted.measured(joint, planted.engine(reader), cells)


@pytest.fixture(scope="module")
def run():
    cells, rows = measured(Copies())
    return cells, rows, report.tables(rows)


def whole_pairs(places):
    """Pairs of which both masks are among some places."""
    return sum({2 * pair, 2 * pair + 1} <= {*places} for pair in range(LENGTH // 2))


@pytest.fixture(scope="module")
def expected(run):
    """Whole pairs among the first n masks, by text, order, seed and n."""
    found = {}
    for cell in run[0]:
        if cell.measure == "total":
            order = chain_rule.sequence(cell.reveal_order, LENGTH, seed_of(cell))
            where = cell.prompt, cell.reveal_order, cell.seed
            found |= {(*where, n): whole_pairs(order[:n]) for n in COUNTS}
    return found


def test_every_draw_is_the_readers(run, expected):
    want = {}
    for (prompt, order, seed, n), pairs in expected.items():
        nats = math.log(WORDS[prompt])
        want[prompt, order, seed, n] = {
            "entropy_parallel": n * nats,
            "entropy_sequential": (n - pairs) * nats,
            "logp_parallel": -n * nats,
            "logp_sequential": -(n - pairs) * nats,
        }
    keys = ["prompt", "reveal_order", "seed", "together"]
    planted.compare(run[1]["total"], keys, want)
    scattered = {
        pairs for (_, order, _, n), pairs in expected.items() if (order, n) == ("random", 4)
    }
    assert len(scattered) > 1, "draws of random places differ"
    assert {pairs for (_, order, _, n), pairs in expected.items() if n == 8} == {4}


def groups():
    return {
        "prose": ("prose-01", "prose-02"),
        "question": ("question-01", "question-02"),
        "all": tuple(WORDS),
    }.items()


def test_the_curves_and_the_bounds_are_the_readers(run, expected):
    lines, bounds = {}, {}
    for task, own in groups():
        for order in ("left_to_right", "random"):
            curve = {}
            for n in COUNTS:
                draws = [
                    [math.log(WORDS[p]) * expected[p, order, s, n] for s in range(DRAWS)]
                    for p in own
                ]
                means = np.mean(draws, axis=1)
                curve[n] = means.mean() / n
                se = math.sqrt((np.var(draws, axis=1, ddof=1) / DRAWS).sum()) / len(own)
                lines[task, order, n] = {"total_correlation": means.mean(), "sampling_se": se}
                lines[task, order, n] |= {"total_per_token": curve[n], "n": len(own)}
                lines[task, order, n] |= {"draw_loss_per_token": curve[n], "draws": DRAWS}
            within = [n for n in COUNTS if all(curve[m] < EPS for m in COUNTS if m <= n)]
            line = {"by_mean": max(within), "draws_by_mean": max(within), "budget_eps": EPS}
            bounds[task, order] = line | {"n": len(own)}
    keys = ["task", "reveal_order"]
    planted.compare(run[2]["total"], [*keys, "together"], lines)
    planted.compare(run[2]["total_bound"], keys, bounds)
    assert len({line["by_mean"] for line in bounds.values()}) > 1, "a bound that doesn't move"


def test_the_likeliest_tokens_lose_nothing_where_draws_do(run):
    """Both masks of a pair take the first word: the budget sees no loss at any n."""
    budget = run[2]["budget"]
    assert budget["drop"].to_numpy() == pytest.approx(0, abs=1e-5)
    assert (run[2]["bound"]["by_mean"] == LENGTH).all()
    (found,) = headlines.HEADLINES[1].find(run[2], run[1])
    assert (found.value, found.n) == (1, 4)
    assert "left_to_right" in found.setting


@pytest.mark.slow
def test_marginals_that_are_too_sure_hide_what_the_draws_still_lose():
    """No joint has these marginals: entropies are less than in it, and losses more."""
    _, rows = measured(Copies(sharpened=True))
    tables = report.tables(rows)
    line = tables["total"].set_index(["task", "reveal_order", "together"])
    line = line.loc[("all", "left_to_right", 8)]
    words = np.array([*WORDS.values()])
    sharp = 0.9 * math.log(1 / 0.9) + 0.1 * np.log((words - 1) / 0.1)
    assert line["total_correlation"] == pytest.approx(4 * sharp.mean(), rel=1e-4)
    assert line["total_correlation"] < 0.8 * 4 * np.log(words).mean()
    assert line["draw_loss_per_token"] > 1.2 * np.log(words).mean() / 2
    said = report.notes(rows)
    assert said[0].startswith("m has no one joint (left_to_right, 8 masks)")
