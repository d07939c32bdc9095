"""The decay probe on a reader whose every distribution is known, from masks to whole tables.

At each mask it has another distribution, by the prompt and the mask's place; far from visible text
they become alike.
"""

import collections
import itertools
import math

import numpy as np
import planted
import pytest

from mdlm_probe.probes.decay import probe as decay
from mdlm_probe.probes.decay import report
from mdlm_probe.prompts import texts

MASKS, LONGER, LAG, LIMIT = 9, 12, 2, 2
WORDS = (".", " wind", " nest", "<eos>", "Betty", " the")
ZIPF = {"zipf_exponent": 2.0, "zipf_ranks": 3, "floor": 0.05}
OPTIONS = {"lexicon": "small", "limit": LIMIT, "masks": MASKS, "frequent_count": 4, **ZIPF}
PAIRS = {
    "left": {(1, 3), (1, 4), (3, 4), (3, 5), (4, 6)},
    "both": {*itertools.combinations((1, 3, 4, 6, 7, 9), 2), (3, 5), (5, 7)},
}
"""Of the distances 1, 3 and 4 among nine masks, and of each with the one two tokens farther."""
NEAR = {
    "left": {1: [(1, 3)], 3: [(3, 5)], 4: [(4, 6)]},
    "both": {1: [(1, 3), (7, 9)], 3: [(3, 5), (5, 7)]},
}
"""Of these, the pairs whose distances from the text are two apart."""
MIDDLE = {"left": range(3, 8), "both": range(3, 8)}
"""The masks whose centre is in the middle half of the canvas: 9/4 to 27/4 masks from its start."""
BEFORE_EDGE = {"left": 7, "both": 5}
"""The largest distance that isn't in the last quarter before the end of the canvas."""


class Reader:
    """The rule: a distribution by prompt and place, the same for all the farther it is."""

    def __init__(self, model="oracle"):
        self.border = planted.PlantedReader(None, model).border
        self.mask = self.border.entry.mask_id
        self.words = [self.border.token(word) for word in WORDS]
        self.texts = texts.chosen(
            texts.load("decay", "small"), ("prose", "question"), LIMIT, "both"
        )
        self.every = texts.chosen(texts.load("decay", "small"), ("all",), 10**6, "both")
        self.vocab = self.border.vocab

    def __call__(self, ids, at):
        """Of a masked model: both ends of the text say which it is."""
        first = ids.index(self.mask)
        text = next(t for t in self.every if self.border.encode(t.prompt) == ids[:first])
        masks = ids.count(self.mask)
        follows = self.border.pieces(text.continuation)
        assert ids[first:] in ((self.mask,) * masks, (self.mask,) * masks + follows)
        context = "left" if len(ids) == first + masks else "both"
        return self.told(text.id, context, at - first + 1, masks)

    def continued(self, ids, at):
        """Of a causal model: by how far it is behind the prompt."""
        prompts = [(self.border.encode(t.prompt), t) for t in self.texts]
        ((prompt, text),) = ((p, t) for p, t in prompts if ids[: len(p)] == p)
        return self.told(text.id, "left", at - len(prompt) + 1)

    def told(self, text, context, place, masks=MASKS):
        apart = 0.25 if place == 6 else 0.4 ** far(context, place)  # neighbours part once more
        weights = [drawn(text, context, (place, masks), word, apart) for word in WORDS]
        if self.mask is None:  # what is sampled goes on
            weights[3] = 1e-9
        return {w: 0.9 * x / sum(weights) for w, x in zip(self.words, weights, strict=True)}

    def dense(self, *coordinates):
        """The whole distribution."""
        told = self.told(*coordinates)
        others = self.vocab - len(told) - (self.mask is not None)
        found = np.full(self.vocab, (1 - sum(told.values())) / others)
        if self.mask is not None:
            found[self.mask] = 0
        found[list(told)] = list(told.values())
        return found

    def counts(self, task):
        """How often each token stands in the texts of a task, or in all where these are few."""
        every = list(texts.load("decay", "small"))
        own = [text for text in every if text.task == task]
        found = collections.Counter()
        for text in own if len(own) >= 20 else every:
            found.update(self.border.pieces(text.prompt + text.continuation))
        return found

    def sets(self, text, context):
        """Frequent tokens, the prompt's own, and ends of text."""
        own = self.border.pieces(text.prompt)
        own += self.border.pieces(text.continuation) if context == "both" else ()
        frequent = [token for token, _ in self.counts(text.task).most_common(4)]
        return {"frequent_mass": frequent, "prompt_mass": set(own), "end_mass": [self.words[3]]}

    def row(self, text, context, place):
        """The columns of a mask."""
        p = self.dense(text.id, context, place)
        line = {"top1_prob": p.max(), "top": WORDS[self.words.index(p.argmax())]}
        line |= {name: p[list(s)].sum() for name, s in self.sets(text, context).items()}
        line |= {"distance": far(context, place), "entropy": entropy(p)}
        if context == "left":
            largest, d = 1 / (1 + 1 / 4 + 1 / 9), place
            line["greedy"] = largest**d + (1 - largest ** (d - 1)) * 0.05
        return line


def far(context, place):
    """From the nearest visible token."""
    return place if context == "left" else min(place, MASKS + 1 - place)


def drawn(text, context, place, word, apart):
    own, common = planted.drawn(text, context, place, word), planted.drawn("far", word)
    return 0.5 + 0.5 * common + 20 * apart * own**8


def entropy(p):
    return -(p[p > 0] * np.log(p[p > 0])).sum()


def divergences(p, q):
    """Jensen-Shannon and total variation."""
    return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2, np.abs(p - q).sum() / 2


@pytest.fixture(scope="module", params=["left", "both"])
def run(request):
    reader, context = Reader(), request.param
    tasks, grid = ("prose", "question"), ("1", "3", "4")
    cells = decay.plan(**OPTIONS, tasks=tasks, context=context, grid=grid, lag=LAG)
    rows = planted.measured(decay, planted.engine(reader), cells)
    return report.tables(rows), reader, context, rows


def groups(reader):
    """The texts of each task."""
    return {
        task: [t for t in reader.texts if t.task == task] for task in ("prose", "question")
    }.items()


def places(context):
    """The places at each distance."""
    found = {}
    for place in range(1, MASKS + 1):
        found.setdefault(far(context, place), []).append(place)
    return found


def curves(reader, context, task):
    """Means over texts and sides by distance: {distance: {column: value}}."""
    own = dict(groups(reader))[task]
    lines = {
        d: [reader.row(t, context, p) for t in own for p in at] for d, at in places(context).items()
    }
    return {
        d: {c: np.mean([line[c] for line in some]) for c in some[0] if c not in ("top", "distance")}
        for d, some in lines.items()
    }


@pytest.mark.slow
def test_every_mask_is_the_readers(run):
    _, reader, context, rows = run
    want = {
        (text.id, place): reader.row(text, context, place)
        for text in reader.texts
        for place in range(1, MASKS + 1)
    }
    planted.compare(rows["places"], ["prompt", "place"], want)
    assert rows["places"]["top"].nunique() > 3


def test_every_pair_is_the_readers(run):
    tables, reader, context, rows = run
    want = {}
    for text, (a, b) in itertools.product(reader.texts, PAIRS[context]):
        js, tv = divergences(*(reader.dense(text.id, context, place) for place in (a, b)))
        line = {"js": js, "tv": tv, "distance": min(far(context, a), far(context, b))}
        want[text.id, a, b] = line
    planted.compare(rows["pairs"], ["prompt", "place", "other_place"], want)
    means = {
        (task, *pair): {
            name: np.mean([want[text.id, *pair][name] for text in own]) for name in ("js", "tv")
        }
        for task, own in groups(reader)
        for pair in PAIRS[context]
    }
    planted.compare(tables["matrix"], ["task", "place", "other_place"], means)
    near = {
        (task, d): {
            "n": LIMIT,
            **{n: np.mean([means[task, *p][n] for p in pairs]) for n in ("js", "tv")},
        }
        for task, _ in groups(reader)
        for d, pairs in NEAR[context].items()
    }
    assert all(d <= BEFORE_EDGE[context] for _, d in near)
    planted.compare(tables["neighbours"], ["task", "distance"], near)
    alike = {(task,): {"n": LIMIT, **homogenised(near, task)} for task, _ in groups(reader)}
    planted.compare(tables["homogenisation"], ["task"], alike)


def homogenised(near, task):
    """From which distance on neighbours are alike."""
    steps = sorted(d for name, d in near if name == task)
    found = {"last": near[task, steps[-1]]["js"]}
    for threshold in (0.1, 0.01, 0.001):
        stays = [d for d in steps if all(near[task, e]["js"] < threshold for e in steps if e >= d)]
        found[f"below_{threshold:g}"] = stays[0] if stays else math.nan
    return found


def test_curves_are_the_readers(run):
    tables, reader, context, _ = run
    want = {
        (task, d): line | {"n": LIMIT}
        for task, _ in groups(reader)
        for d, line in curves(reader, context, task).items()
    }
    planted.compare(tables["curve"], ["task", "distance"], want)


def test_halves_are_the_readers(run):
    """Down to the middle of the canvas; what comes behind it does not count."""
    tables, reader, context, _ = run
    want = {}
    for task, _ in groups(reader):
        curve = {
            d: line["top1_prob"]
            for d, line in curves(reader, context, task).items()
            if d <= BEFORE_EDGE[context]
        }
        last = np.mean([curve[d] for d in {far(context, place) for place in MIDDLE[context]}])
        line = {"n": LIMIT, "first": curve[1], "far": last, "halved": falls(curve, curve[1] / 2)}
        half = falls(curve, (curve[1] + last) / 2) if last < curve[1] else math.nan
        want[(task,)] = line | {"half": half}
    planted.compare(tables["half"], ["task"], want)


def falls(curve, to):
    """Where a curve first falls to a value, on straight lines."""
    for d in range(2, max(curve) + 1):
        if curve[d] <= to:
            return d - 1 + (curve[d - 1] - to) / (curve[d - 1] - curve[d])
    return math.nan


def test_the_far_end_is_the_readers(run):
    tables, reader, context, rows = run
    at = MIDDLE[context]
    want, lines, shares = {}, {}, {}
    for text in reader.texts:
        p = np.mean([reader.dense(text.id, context, place) for place in at], axis=0)
        counts = reader.counts(text.task)
        unigrams = np.array([counts[token] for token in range(reader.vocab)], dtype=float)
        js, tv = divergences(p, unigrams / unigrams.sum())
        line = {"js": js, "tv": tv, "top1_prob": p.max(), "entropy": entropy(p)}
        line |= {name: p[list(s)].sum() for name, s in reader.sets(text, context).items()}
        want[(text.id,)] = line
        lines.setdefault((text.task,), []).append(line)
        for word, token in zip(WORDS, reader.words, strict=True):
            one = shares.setdefault((text.task, word), {"share": 0, "prompts_with": 0})
            one["share"] += p[token] / LIMIT
            one["prompts_with"] += 1
            one["unigram"] = unigrams[token] / unigrams.sum()
    planted.compare(rows["far"], ["prompt"], want)
    means = {
        key: {name: np.mean([line[name] for line in some]) for name in some[0]} | {"n": LIMIT}
        for key, some in lines.items()
    }
    kept = ("js", "tv", "top1_prob", "entropy", "frequent_mass", "prompt_mass", "end_mass", "n")
    means = {key: {name: line[name] for name in kept} for key, line in means.items()}
    planted.compare(tables["limit"], ["task"], means)
    table = tables["tokens"]
    planted.compare(table[table["token"].isin(WORDS)], ["task", "token"], shares)


def test_other_canvases_are_the_readers(run):
    """The next prompt's at equal distance; a longer one, which the last mask is compared with."""
    tables, reader, context, rows = run
    prompts, edge = {}, {}
    for task, own in groups(reader):
        names = [t.id for t in reader.every if t.task == task]
        for d in (1, 4, 5):
            pairs = [
                divergences(*(reader.dense(name, context, d) for name in (t.id, following)))
                for t in own
                for following in [names[(names.index(t.id) + 1) % len(names)]]
            ]
            js, tv = np.mean(pairs, axis=0)
            prompts[task, d] = {"n": LIMIT, "js": js, "tv": tv}
        if context == "left":
            pairs = [
                divergences(*(reader.dense(t.id, context, MASKS, m) for m in (MASKS, LONGER)))
                for t in own
            ]
            js, tv = np.mean(pairs, axis=0)
            edge[task, MASKS, 1] = {"n": LIMIT, "js": js, "tv": tv, "longer_masks": LONGER}
    planted.compare(tables["prompts"], ["task", "distance"], prompts)
    if edge:
        planted.compare(tables["edge"], ["task", "distance", "from_end"], edge)
    laws = {}
    for text in reader.texts:
        p = np.sort(reader.dense(text.id, context, 1))[::-1]
        some = p[p > 0]
        laws[(text.id,)] = {
            "log_rank": some @ np.log(np.arange(1, len(some) + 1)),
            "entropy": entropy(p),
            "support": len(some),
        }
    planted.compare(rows["next-tokens"], ["prompt"], laws)


def test_sampled_continuations_are_read_where_they_stand():
    """What a causal model says does not depend on what it wrote here: averages are its own."""
    reader = Reader("oracle-causal")
    cells = decay.plan(**OPTIONS, tasks=("prose",), ar_sample=4)
    engine = planted.engine(reader.continued, "oracle-causal")
    table = report.tables(planted.measured(decay, engine, cells))["curve"]
    want = {
        (d,): {name: line[name] for name in ("top1_prob", "frequent_mass", "prompt_mass", "greedy")}
        for d, line in curves(reader, "left", "prose").items()
    }
    planted.compare(table, ["distance"], want, rel=1e-4)
