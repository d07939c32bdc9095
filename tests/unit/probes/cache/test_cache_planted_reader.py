"""The cache probe on a reader whose every answer is known, with what it keeps and without.

What it keeps of a place is its token and how many masks there were when it was computed; its
distribution at a mask depends on that of all places, so that every place that isn't computed anew
makes a known error.
"""

import itertools
import math

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.cache import probe as cache
from mdlm_probe.probes.cache import report

PROMPTS = (" the pale wind", " the king found", " the moon")
WORDS = (" captain", " ember", " frozen", " glove", " hunter")
LENGTH, BLOCKS, STEPS, CACHES = 6, (2, 3), 5, ("prefix", "dual")
AMOUNTS = {2: ((1, 1), (1, 1), (2,)), 3: ((1, 1, 1), (2, 1))}
"""Masks of each step of each block: five steps, the first blocks and steps get what is left."""


class Keeping(planted.PlantedReader):
    """The reader; `layers` of a cache are what it keeps of each place."""

    def __init__(self):
        super().__init__(None)
        self.words = [self.border.token(word) for word in WORDS]
        self.mask = self.entry.mask_id
        self.prompts = [self.border.encode(text) for text in PROMPTS]

    def states(self, ids, lengths, rows, positions, origins=None):
        texts = [tuple(ids[row, :length].tolist()) for row, length in enumerate(lengths)]
        return self._stacked(texts, [self.values(text) for text in texts], rows, positions)

    def states_with_cache(
        self, ids, lengths, computed, rows, positions, caches, origins=None, read_only=False
    ):
        assert not read_only, "what a decoding keeps is written"
        texts = [tuple(ids[row, :length].tolist()) for row, length in enumerate(lengths)]
        for row, (text, kept) in enumerate(zip(texts, caches, strict=True)):
            anew = range(len(text)) if computed is None else computed[row].tolist()
            now = self.values(text)
            kept.layers = [now[p] if p in anew else kept.layers[p] for p in range(len(text))]
        return self._stacked(texts, [tuple(kept.layers) for kept in caches], rows, positions)

    def values(self, ids):
        """What a whole pass computes of each place."""
        return tuple((token, ids.count(self.mask)) for token in ids)

    def _stacked(self, texts, values, rows, positions):
        dense = []
        for row, at in zip(rows.tolist(), positions.tolist(), strict=True):
            self.rule = lambda ids, at, kept=values[row]: self.told(at, kept)
            dense.append(self._row(texts[row], at))
        return planted.torch.stack(dense)

    def told(self, at, values):
        """Weights of the words by place and text, and somewhat by all that is kept."""
        tokens = tuple(token for token, _ in values)
        number = next(n for n, p in enumerate(self.prompts) if tokens[: len(p)] == p)
        weights = [
            planted.drawn(number, at, word, tokens[at - 1])
            + 0.3 * planted.drawn(number, at, word, values)
            for word in self.words
        ]
        return {w: 0.95 * x / sum(weights) for w, x in zip(self.words, weights, strict=True)}


def best(told):
    return max(told, key=told.get)


def course(reader, number, block, kept):
    """A text: its tokens, passes, tokens through the network, and a line for each of its passes."""
    prompt = reader.prompts[number]
    ids, lines, fed = [*prompt, *[reader.mask] * LENGTH], [], 0
    for start, amounts in zip(range(len(prompt), len(ids), block), AMOUNTS[block], strict=True):
        values, left = (), list(range(start, start + block))
        for since, amount in enumerate(amounts):
            now = reader.values(ids)
            last = start + block if kept == "dual" else len(ids)
            anew = range(start, last) if since and kept != "none" else range(len(ids))
            values = tuple(now[p] if p in anew else values[p] for p in range(len(ids)))
            fed += len(anew)
            ours, exact = ({p: reader.told(p, v) for p in left} for v in (values, now))
            chosen, other = (
                sorted(left, key=lambda p, t=told: -max(t[p].values()))[:amount]
                for told in (ours, exact)
            )
            gaps = [abs(math.log(ours[p][best(e)] / e[best(e)])) for p, e in exact.items()]
            both = set(chosen) & set(other)
            lines.append(
                {
                    "since": since,
                    "compared_passes": 1,
                    "masks_asked": len(left),
                    "committed": amount,
                }
                | {"gap": sum(gaps), "dlogp_max": max(gaps), "same_choice": len(both)}
                | {"same_top": sum(best(ours[p]) == best(exact[p]) for p in left)}
                | {"same_commit": sum(best(ours[p]) == best(exact[p]) for p in both)}
            )
            for p in chosen:
                ids[p] = best(ours[p])
                left.remove(p)
    return tuple(ids[len(prompt) :]), len(lines), fed, lines


def summed(lines):
    """Passes as one line, shares of masks and of committed ones."""
    lines = pd.DataFrame(list(lines))
    found = lines.sum().to_dict() | {"dlogp_max": lines["dlogp_max"].max()}
    found["since"] = lines["since"].iloc[0]
    found["dlogp_mean"] = found.pop("gap") / found["masks_asked"]
    found["same_top"] /= found["masks_asked"]
    for name in ("same_choice", "same_commit"):
        found[name] /= found["committed"]
    return found


def distance(a, b):
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    reader = Keeping()
    engine = Engine(reader, batch_tokens=1024, kv_cache_tokens=100)
    cells = cache.plan(prompts=str(path), length=LENGTH, steps=STEPS, block=BLOCKS, cache=CACHES)
    rows = planted.measured(cache, engine, cells)
    texts, passes = {}, {}
    for kept, block, number in itertools.product(CACHES, BLOCKS, range(3)):
        exact, steps, whole, _ = course(reader, number, block, "none")
        ours, own, fed, lines = course(reader, number, block, kept)
        differ = [place for place in range(LENGTH) if exact[place] != ours[place]]
        texts[kept, block, number] = (
            {"passes": own, "passes_exact": steps, "fed": fed, "fed_exact": whole}
            | {
                "answer_tokens": LENGTH,
                "answer_tokens_exact": LENGTH,
                "edit_distance": distance(exact, ours),
            }
            | {"divergence": differ[0] if differ else math.nan, "differ": len(differ) / LENGTH}
            | {"answer": reader.border.decode(ours), "answer_exact": reader.border.decode(exact)}
        )
        for line in lines:
            passes.setdefault((kept, block, number), {}).setdefault(line["since"], []).append(line)
    return report.tables(rows), texts, passes, rows


def by_prompt(told):
    return {(kept, block, str(number + 1)): line for (kept, block, number), line in told.items()}


def test_every_text_is_the_readers(run):
    _, texts, _, rows = run
    own = rows["answers"]
    planted.compare(own, ["cache", "block", "prompt"], by_prompt(texts))
    edits = [line["edit_distance"] for line in texts.values()]
    assert 0 in edits
    assert max(edits) > 0


def test_every_error_is_the_readers(run):
    _, _, passes, rows = run
    want = {
        (*key, since): summed(lines)
        for key, own in by_prompt(passes).items()
        for since, lines in own.items()
    }
    own = rows["steps"]
    planted.compare(own, ["cache", "block", "prompt", "since"], want, rel=1e-4)
    assert all(line["dlogp_mean"] > 0.01 for (*_, since), line in want.items() if since)


NAMES = {"dlogp": "dlogp_mean", "same_top": "same_top"}
NAMES |= {"same_choice": "same_choice", "same_commit": "same_commit"}


def test_errors_and_savings_are_the_readers(run):
    tables, texts, passes, _ = run
    want = {}
    for kept, block in itertools.product(CACHES, BLOCKS):
        own = pd.DataFrame([texts[kept, block, n] for n in range(3)])
        reused = [
            summed(
                [line for since, some in passes[kept, block, n].items() if since for line in some]
            )
            for n in range(3)
        ]
        line = {to: np.mean([one[name] for one in reused]) for to, name in NAMES.items()}
        line |= {"n": 3, "dlogp_max": max(one["dlogp_max"] for one in reused)}
        line |= {
            "equal": (own["edit_distance"] == 0).mean(),
            "edits": own["edit_distance"].mean() / LENGTH,
        }
        line |= {"differ": own["differ"].mean()}
        want[kept, block] = line | {"saving": 1 - own["fed"].sum() / own["fed_exact"].sum()}
    planted.compare(tables["error"], ["cache", "block"], want, rel=1e-4)


def test_errors_by_steps_are_the_readers(run):
    tables, _, passes, _ = run
    want = {}
    for kept, block, since in itertools.product(CACHES, BLOCKS, (0, 1, 2)):
        if since >= max(map(len, AMOUNTS[block])):
            continue
        some = [summed(passes[kept, block, n][since]) for n in range(3)]
        line = {to: np.mean([one[name] for one in some]) for to, name in NAMES.items()}
        want[kept, block, since] = line | {"n": 3, "dlogp_max": max(o["dlogp_max"] for o in some)}
    planted.compare(tables["since"], ["cache", "block", "since"], want, rel=1e-4)
