"""The canvas probe on an exact model: answers of geometric length, filled up with ends of text.

At each place an answer that goes on ends with the prompt's own chance q. Before anything is written
the mass on ends of text at the p-th place is 1 - (1 - q)^p, the model's exact marginal; after that
it is the exact posterior. Written by confidence it is right on short canvases, and empty on
long ones: a canvas of L masks ends first where 1 - (1 - q)^L exceeds the surest word's probability.
"""

import json
import math

import numpy as np
import planted
import pytest

from mdlm_probe.analysis import stats
from mdlm_probe.probes.canvas import probe as canvas
from mdlm_probe.probes.canvas import report

ENDS = {" the pale wind": 0.02, " the king found": 0.1, " the moon": 0.3, " the salt": 0.05}
"""Chance of an end at each place, by prompt."""
LENGTHS, SURE, WORDS = (4, 8, 24), 0.9, (" salt", " jar", " nest")


class Reader:
    """The exact posterior of an answer's words and its end."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.mask, (self.end, *_) = self.border.entry.mask_id, self.border.entry.eos_ids
        self.words = [self.border.token(word) for word in WORDS]
        self.prompts = {self.border.encode(text): chance for text, chance in ENDS.items()}

    def __call__(self, ids, at):
        (prompt,) = (one for one in self.prompts if ids[: len(one)] == one)
        return self.told(self.prompts[prompt], list(ids[len(prompt) :]), at - len(prompt))

    def told(self, chance, tokens, place):
        mass = self.ended(chance, tokens, place)
        first, second = self.words[place > 0 :][:2]
        return {self.end: mass, first: SURE * (1 - mass), second: (1 - SURE) * (1 - mass) - 1e-9}

    def ended(self, chance, tokens, place):
        """The probability that the answer has ended at a place."""
        words = [p for p, token in enumerate(tokens) if token not in (self.mask, self.end)]
        ends = [p for p, token in enumerate(tokens) if token == self.end]
        alive, over = max(words, default=-1), min(ends, default=math.inf)
        if place < alive or place > over:
            return float(place > over) * (1 - 2e-9)
        known = 1 - (1 - chance) ** (over - alive)
        return (1 - (1 - chance) ** (place - alive)) / known


def written(reader, chance, length):
    """The canvas and its steps: one mask per step, the surest, the leftmost among equals."""
    tokens, steps = [reader.mask] * length, [0] * length
    for step in range(1, length + 1):
        told = {p: reader.told(chance, tokens, p) for p in range(length) if not steps[p]}
        place = max(told, key=lambda p: (np.float32(math.log(max(told[p].values()))), -p))
        tokens[place] = max(told[place], key=told[place].get)
        steps[place] = step
    return tokens, steps


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.jsonl"
    lines = [{"prompt": text, "answer": "Salt"} for text in ENDS]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    reader = Reader()
    cells = canvas.plan(prompts=str(path), length=LENGTHS)
    rows = planted.measured(canvas, planted.engine(reader), cells)
    return rows, report.tables(rows), reader


def test_mass_before_anything_is_written_is_the_exact_marginal(run):
    rows, tables, _ = run
    for length in LENGTHS:
        part = rows[rows["length"] == length]
        for chance, told in zip(ENDS.values(), part["end_masses"], strict=True):
            exact = [1 - (1 - chance) ** place for place in range(1, length + 1)]
            assert [float(v) for v in told.split()] == pytest.approx(exact, rel=6e-3)
    table = tables["ends"].set_index(["length", "place"])
    for length, place in ((4, 1), (8, 8), (24, 17)):
        exact = np.array([1 - (1 - chance) ** place for chance in ENDS.values()])
        assert table.loc[(length, place), "end_mass_mean"] == pytest.approx(exact.mean(), rel=6e-3)
    assert len(table) == sum(LENGTHS)


def test_rows_are_what_the_posterior_writes(run):
    rows, _, reader = run
    for (length, _), part in rows.groupby(["length", "prompt"], sort=False):
        (row,) = part.to_dict("records")
        chance = list(ENDS.values())[int(row["prompt"]) - 1]
        tokens, steps = written(reader, chance, length)
        size = tokens.index(reader.end) if reader.end in tokens else length
        assert row["unmasked"] == " ".join(map(str, steps))
        assert row["answer"] == (reader.border.decode(tokens[:size]) if size else "")
        assert (row["answer_tokens"], row["ended"]) == (size, size < length)
        assert row["in_first_sentence"] == bool(size)
        assert (row["passes"], row["first_commits"]) == (length, 1)
        first = tokens[steps.index(1)] == reader.end
        assert row["first_ends"] == first
        assert row["first_end_place"] == (steps.index(1) + 1 if first else None) or not first
        later = [s > steps[size] for s in steps[:size]] if 0 < size < length else []
        assert row["end_first"] == (np.mean(later) if later else None) or not later
        mean = np.mean([1 - (1 - chance) ** place for place in range(1, length + 1)])
        assert row["mean_end_mass"] == pytest.approx(mean, rel=1e-5)


def test_tables_show_the_overflow(run):
    rows, tables, _ = run
    over = {
        length: [1 - (1 - q) ** length > SURE * (1 - q) for q in ENDS.values()]
        for length in LENGTHS
    }
    assert [sum(over[length]) for length in LENGTHS] == [1, 1, 2]
    table = tables["overview"].set_index("length")
    for length in LENGTHS:
        line, empty = table.loc[length], np.array(over[length])
        share = stats.proportion(~empty)
        assert line["in_first_sentence"] == share.mean
        assert line["in_first_sentence_low"] == share.low
        assert line["first_ends_share"] == pytest.approx(empty.mean())
        assert line["first_end_at"] == pytest.approx(1), "the last place first"
        assert line["answer_tokens"] == pytest.approx(length * (~empty).mean())
        assert (line["n"], line["with_answer"]) == (4, 4)
    table = tables["change"].set_index(["longer", "shorter"])
    assert list(table.index) == [(8, 4), (24, 8), (24, 4)]
    assert table.loc[(24, 8), "right_more"] == pytest.approx(-0.25)
    assert table.loc[(8, 4), "right_more"] == 0
    gained = rows.pivot(index="prompt", columns="length", values="answer_tokens")
    found = stats.paired(gained[24].to_numpy(), gained[4].to_numpy())
    line = table.loc[(24, 4)]
    assert (line["tokens_more"], line["tokens_more_low"]) == (found.mean, found.low)
    assert line["tokens_more_p"] == found.p
