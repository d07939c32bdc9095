"""When the answer is there, on a reader that knows it for some numbers of written tokens only."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.probes.blocks import answer_tables, report
from mdlm_probe.probes.blocks import probe as blocks
from mdlm_probe.probes.blocks.answer_steps import settled_at

MASKS = 6
PROMPTS = {" the pale wind": {3, 4, 5}, " the king found": {0, 1, 3, 5}, " the moon": set()}
"""By prompt: the numbers of written tokens at which the reader would write the right word."""
ORDERS = ("low_confidence", "left_to_right")


class Reader:
    """The word in front, a bracket behind it, and others; the farther to the right the surer."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.prompts = {self.border.encode(text): known for text, known in PROMPTS.items()}
        self.right, self.wrong, self.other = map(self.border.token, (" salt", " jar", " nest"))
        self.bracket = self.border.token("].")

    def __call__(self, ids, at):
        (prompt,) = (one for one in self.prompts if ids[: len(one)] == one)
        written = sum(token != self.border.entry.mask_id for token in ids[len(prompt) :])
        return self.told(at - len(prompt), written, self.prompts[prompt])

    def told(self, place, written, known):
        word = self.right if written in known else self.wrong
        token = word if place == 0 else self.bracket if place == 1 else self.other
        return {token: 0.4 + 0.09 * place}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.jsonl"
    lines = [{"prompt": text, "answer": "salt"} for text in PROMPTS]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    reader = Reader()
    options = {"length": (MASKS,), "block": (3, MASKS), "steps": (MASKS,), "order": ORDERS}
    cells = blocks.plan(prompts=str(path), scorer="none", **options)
    rows = planted.measured(blocks, planted.engine(reader), cells)
    return rows.set_index(["order", "block", "prompt"]).sort_index(), reader, rows


def test_of_one_block_the_surest_are_written_from_the_right(run):
    rows, reader, _ = run
    at = rows.loc["low_confidence", MASKS]
    assert at["unmasked"].unique().tolist() == ["6 5 4 3 2 1"]
    # before step s there are s - 1 tokens: known at 3, 4, 5; at 0, 1, 3, 5; never
    assert at["first_predicted"].tolist() == [4, 1, pytest.approx(math.nan, nan_ok=True)]
    assert at["predicted_step"].tolist() == [4, 6, pytest.approx(math.nan, nan_ok=True)]
    assert at["written_step"].tolist() == [6, 6, pytest.approx(math.nan, nan_ok=True)]
    assert at["correct"].tolist() == [1, 1, 0]
    assert at["steps_made"].tolist() == [6, 6, 6]
    assert (at["local_ar_1"] == 0).all()
    assert at["global_ar_4"].tolist() == pytest.approx([4 / 6] * 3)
    entropies = [
        np.mean([planted.entropy(reader.told(p, 0, ()), reader.border.vocab) for p in range(left)])
        for left in range(MASKS, 0, -1)
    ]
    assert at["path_entropy"].tolist() == pytest.approx([np.mean(entropies)] * 3, rel=1e-5)
    told = [[float(v) for v in text.split()] for text in at["state_entropy"]]
    assert told == [pytest.approx(entropies, abs=0.006)] * 3, "two decimals each"


def test_from_left_to_right_the_first_prediction_is_what_is_written(run):
    rows, _, _ = run
    at = rows.loc["left_to_right", 3]
    assert at["correct"].tolist() == [0, 1, 0], "the word is written first, with nothing written"
    assert at["predicted_step"].fillna(0).tolist() == [0, 1, 0]
    assert at["written_step"].fillna(0).tolist() == [0, 1, 0]
    assert (at["first_predicted"].fillna(0).tolist()) == [0, 1, 0]
    known = at[["local_ar_1", "local_ar_4", "global_ar_1", "tau"]].to_numpy(dtype=float)
    assert known == pytest.approx(np.ones((3, 4)))


def test_of_blocks_masks_of_later_ones_are_watched_too(run):
    rows, _reader, _ = run
    at = rows.loc["low_confidence", 3]
    assert at["unmasked"].unique().tolist() == ["3 2 1 6 5 4"]
    # the word is written in step 3, as the reader has it with two tokens written: wrongly
    assert at["correct"].tolist() == [0, 0, 0]
    assert at["first_predicted"].fillna(0).tolist() == [0, 1, 0]
    first = at["state_entropy"].str.split().str[0].astype(float)
    alike = rows.loc["low_confidence", MASKS]["state_entropy"].str.split().str[0].astype(float)
    assert first.tolist() == alike.tolist(), "before the first step all six are left"


def test_tables_say_when(run):
    _, _, rows = run
    table = report.tables(rows)["answers"].set_index(["order", "block"]).sort_index()
    line = table.loc["low_confidence", MASKS]
    assert (line["n"], line["right_answers"], line["lost"]) == (3, 2, 0)
    assert line["predicted_half"] == 0, "after 4 and 6 of 6 steps"
    assert line["predicted_share"] == pytest.approx((4 / 6 + 1) / 2)
    assert line["written_share"] == 1
    lost = table.loc["low_confidence", 3]
    assert (lost["correct"], lost["lost"]) == (0, pytest.approx(1 / 3))
    assert np.isnan(lost["predicted_share"])
    assert table.loc["left_to_right", 3]["predicted_half"] == pytest.approx(1 / 3)
    curve = answer_tables.arrivals(rows).set_index(["where", "order", "what", "made"])["there"]
    curve = curve.sort_index()
    own = curve.loc["one block", "low_confidence", "predicted"]
    assert [own[at] for at in (0, 65, 70, 95, 100)] == pytest.approx([0, 0, 1 / 3, 1 / 3, 2 / 3])


def test_settled_is_the_first_of_the_last_right_ones():
    expected = {(False,): None, (True,): 1, (True, False, True): 3, (True, True): 1, (): None}
    assert {right: settled_at(right) for right in expected} == expected


# ---------------------------------------------------------------------- accuracy and parallelism


def area_by_steps(points, best):
    """The sum of arXiv 2601.07568, written down: (tokens per pass, accuracy in percent)."""
    points = sorted(points)
    kept = [(p, a) for p, a in points if a >= points[0][1] - 5]
    weight = {a: min(math.exp(-3 * (1 - a / best)), 1) for _, a in kept}
    total = kept[0][0] * kept[0][1]
    for (p, a), (q, b) in itertools.pairwise(kept):
        total += (q - p) * (a * weight[a] + b * weight[b]) / 2
    return total


def test_the_area_is_that_of_the_paper():
    draw = np.random.default_rng(0)
    for _ in range(50):
        count = draw.integers(1, 6)
        tokens, right = draw.permutation(9)[:count] + 1.0, draw.uniform(80, 95, count)
        expected = area_by_steps(list(zip(tokens, right, strict=True)), 93)
        assert answer_tables.aup(tokens, right, 93) == pytest.approx(expected)
    # accuracy that no parallelism costs: all of the rectangle
    assert answer_tables.aup(np.array([4.0, 1.0, 2.0]), np.full(3, 70.0), 70) == 4 * 70
    assert answer_tables.aup(np.array([1.0, 2.0]), np.array([90.0, 80.0]), 90) == 90, (
        "lost too much"
    )


def test_parallelism_is_over_prompts_and_points():
    """Each number of steps is a point; the interval is that of resampled prompts."""
    rows = []
    for steps, right in ((8, (1, 1, 1, 0)), (4, (1, 1, 1, 0)), (2, (1, 0, 0, 0))):
        for prompt, hit in enumerate(right):
            rows.append(
                {"model": "m", "task": "t", "prompt": str(prompt), "length": 8, "block": 8}
                | {"steps": steps, "order": "random", "answer_tokens": 6 + prompt % 2}
                | {"passes": steps, "correct": float(hit)}
            )
    (line,) = answer_tables.parallelism(pd.DataFrame(rows)).to_dict("records")
    tokens = [6.5 / 8, 6.5 / 4, 6.5 / 2]
    points = list(zip(tokens, (75, 75, 25), strict=True))
    assert line["aup"] == pytest.approx(area_by_steps(points, 75)) == pytest.approx(75 * 6.5 / 4)
    assert (line["n"], line["settings"], line["most_correct"]) == (4, 3, 0.75)
    assert (line["slowest_correct"], line["fastest_correct"]) == (0.75, 0.25)
    assert line["fastest_tokens"] == pytest.approx(6.5 / 2)
    assert line["aup_low"] < line["aup"] < line["aup_high"]


def test_prompts_without_right_answers_make_neither_table(run):
    _, _, rows = run
    unknown = rows.assign(correct=np.nan)
    assert not len(answer_tables.answers(unknown))
    assert not len(answer_tables.parallelism(unknown))
    assert not len(answer_tables.arrivals(unknown))
