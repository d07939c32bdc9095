"""The joint probe on a reader whose every answer is known, from masks to whole tables.

Its distribution at a mask depends on the text, the place, and on every other token of the window:
no two orders agree, and nothing that one mask tells of another is the same elsewhere.
"""

import itertools
import math

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.likelihood import chain_rule
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.probes.joint import report
from mdlm_probe.prompts import texts

WORDS = (" captain", " ember", " frozen")
MASKS, SPACING, ANCHORS, TOP, EPS = 6, (1, 3), 2, 4, 0.01
LENGTH, BUDGET, BUDGET_EPS = 4, (1, 2, 4), 0.9
AT = (0, 2)
"""First masks of pairs: the first, and the last whose widest pair fits into six masks."""
PAIR_SETS = """
lexicons:
  small:
    one: {text: " the pale {a} met the {b}.", pairs: [[wind, moon], [king, ship]]}
    two: {text: " a {a} and the old {b}", context: " once.", pairs: [[coin, jar], [door, gate],
          [hill, lake]]}
"""
SETS = {
    "one": (" the pale", " met the", ((" wind", " moon"), (" king", " ship"))),
    "two": (
        " once. a",
        " and the old",
        ((" coin", " jar"), (" door", " gate"), (" hill", " lake")),
    ),
}


class Reader:
    """The rule: weights of some words by text, place, and what else the window shows."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.vocab, self.mask = self.border.vocab, self.border.entry.mask_id
        self.words = [self.border.token(word) for word in WORDS]
        known = texts.load("decay", "small")
        self.texts = texts.chosen(known, ("prose", "question"), 2, "left")
        self.prompts = {self.border.encode(text.prompt): text for text in self.texts}
        self.sets = {}
        for name, (before, between, pairs) in SETS.items():
            sides = [
                [self.border.token(word) for word in side] for side in zip(*pairs, strict=True)
            ]
            self.sets[self.border.encode(before)] = name, len(self.border.pieces(between)), sides

    def __call__(self, ids, at):
        for before, (name, between, sides) in self.sets.items():
            if ids[: len(before)] == before:
                first = ids[len(before)]
                side = 0 if at == len(before) else 1
                assert side == 0 or at == len(before) + 1 + between
                return self.slot(name, side, -1 if first == self.mask else first, sides[side])
        prompt = next(prompt for prompt in self.prompts if ids[: len(prompt)] == prompt)
        return self.told(self.prompts[prompt], at - len(prompt), ids[len(prompt) :])

    def slot(self, name, side, first, words):
        weights = [planted.drawn(name, side, first, word) ** 2 for word in words]
        return {w: 0.6 * x / sum(weights) for w, x in zip(words, weights, strict=True)}

    def continuation(self, text, length):
        return self.border.pieces(text.continuation)[:length]

    def told(self, text, place, window):
        words = dict.fromkeys((*self.words, self.continuation(text, 9)[place]))
        weights = [0.02 + planted.drawn(text.id, place, window, word) for word in words]
        weights[2] = 1e-3  # a word that is rare, yet likelier than all others
        return {w: 0.999 * x / sum(weights) for w, x in zip(words, weights, strict=True)}

    def dense(self, text, place, window):
        """The whole distribution."""
        told = self.told(text, place, window)
        found = np.full(self.vocab, (1 - sum(told.values())) / (self.vocab - len(told) - 1))
        found[self.mask] = 0
        found[list(told)] = list(told.values())
        return found


def filled(length, mask, shown):
    """A window of masks with some tokens."""
    return tuple(shown.get(place, mask) for place in range(length))


@pytest.fixture(scope="module")
def reader():
    return Reader()


@pytest.fixture(scope="module")
def run(reader, tmp_path_factory):
    path = tmp_path_factory.mktemp("pairs") / "own.yaml"
    path.write_text(PAIR_SETS)
    options = {"masks": MASKS, "spacing": SPACING, "anchors": ANCHORS, "top": TOP, "eps": EPS}
    options |= {"length": LENGTH, "budget": BUDGET, "budget_eps": BUDGET_EPS, "random": 2}
    cells = joint.plan(
        **options, pairs=str(path), lexicon="small", tasks=("prose", "question"), limit=2
    )
    rows = planted.measured(joint, planted.engine(reader), cells)
    return report.tables(rows), rows, cells


def tasks(reader):
    """The texts of each task, and of all of them together."""
    found = {t: [one.id for one in reader.texts if one.task == t] for t in ("prose", "question")}
    return (found | {"all": [text.id for text in reader.texts]}).items()


# ---------------------------------------------------------------------- pairs of masks


def pair(reader, text, first, second):
    """The columns of a pair of masks."""
    window = filled(MASKS, reader.mask, {})
    i, j = (reader.dense(text, place, window) for place in (first, second))
    rows = {"mi": 0.0, "tv_joint": 0.0}
    drawn = {"unlikely": 0.0, "unlikely_sequential": 0.0}
    tops = np.argsort(-i)[:TOP].tolist()
    for name in drawn:  # a pair is unlikely whose first token alone is
        drawn[name] = 1 - i[tops].sum()
    assert np.delete(i, tops).max() < EPS
    for a in tops:
        shown = reader.dense(text, second, filled(MASKS, reader.mask, {first: a}))
        rare = i[a] * shown < EPS
        drawn["unlikely"] += i[a] * j[rare].sum()
        drawn["unlikely_sequential"] += i[a] * shown[rare].sum()
        kept = np.argsort(-shown)[:TOP]
        q, p = (np.append(v[kept], 1 - v[kept].sum()) for v in (shown, j))
        rows["mi"] += i[a] * (q * np.log(q / p)).sum()
        rows["tv_joint"] += i[a] * np.abs(q - p).sum() / 2
    a, b = int(i.argmax()), int(j.argmax())
    left = reader.dense(text, first, filled(MASKS, reader.mask, {second: b}))[a]
    right = reader.dense(text, second, filled(MASKS, reader.mask, {first: a}))[b]
    rows["circulation"] = math.log(left * j[b]) - math.log(right * i[a])
    rows |= {n: reader.border.decode([t]) for n, t in (("token_first", a), ("token_second", b))}
    return rows | drawn


@pytest.fixture(scope="module")
def pairs(reader):
    return {
        (text.id, at, distance): pair(reader, text, at, at + distance)
        for text in reader.texts
        for at in AT
        for distance in SPACING
    }


def test_every_pair_is_the_readers(run, pairs):
    _, rows, _ = run
    want = {
        key: line | dict.fromkeys(("unlikely_bound", "unlikely_sequential_bound"), 0)
        for key, line in pairs.items()
    }
    planted.compare(
        rows["pairs"],
        ["prompt", "masks_before", "pair_distance"],
        want,
        rel=1e-4,
    )
    assert all(line["mi"] > 1e-3 and 1e-3 < line["unlikely"] < 0.5 for line in want.values())


def test_the_pairs_and_their_circulation_are_the_readers(run, reader, pairs):
    tables, _, _ = run
    want, sizes = {}, {}
    for (task, own), d in itertools.product(tasks(reader), SPACING):
        some = [pairs[name, at, d] for name in own for at in AT]
        names = ("mi", "tv_joint", "unlikely", "unlikely_sequential")
        want[task, d] = {n: np.mean([line[n] for line in some]) for n in names} | {"n": len(own)}
    planted.compare(tables["pairs"], ["task", "pair_distance"], want, rel=1e-4)
    for d in (*SPACING, "all"):
        values = [line["circulation"] for (_, _, gap), line in pairs.items() if d in (gap, "all")]
        line = {"n": 4, "mask_pairs": len(values), "size": np.mean(np.abs(values))}
        sizes[(str(d),)] = line | {
            "q05": np.quantile(values, 0.05),
            "q95": np.quantile(values, 0.95),
        }
    planted.compare(tables["circulation"], ["pair_distance"], sizes, rel=1e-4)


# ---------------------------------------------------------------------- sets


def test_the_sets_are_the_readers(run, reader):
    tables, _, _ = run
    want = {}
    for name, _, (firsts, seconds) in reader.sets.values():
        first, alone = (
            np.array(list(reader.slot(name, side, -1, words).values()))
            for side, words in ((0, firsts), (1, seconds))
        )
        after = np.array([list(reader.slot(name, 1, a, seconds).values()) for a in firsts])
        line = {"set_pairs": len(firsts), "n": 1}
        for way, grid in (
            ("parallel", first[:, None] * alone),
            ("sequential", first[:, None] * after),
        ):
            line[f"mass_{way}"] = grid.sum()
            line[f"incoherent_{way}"] = 1 - np.trace(grid) / grid.sum()
        want[(name,)] = line
    both = pd.DataFrame(want.values())
    line = both.mean().to_dict() | {"n": 2, "set_pairs": 5}
    line["lost"] = line["incoherent_parallel"] - line["incoherent_sequential"]
    planted.compare(tables["sets"], ["set"], want | {("all",): line})


# ---------------------------------------------------------------------- orders


def scored(reader, text, tokens, order):
    """Log-likelihood one token after another; "confident" takes the surest place next."""
    shown, total = {}, 0.0
    while len(shown) < len(tokens):
        window = filled(len(tokens), reader.mask, shown)
        if order == "low_confidence":
            left = [place for place in range(len(tokens)) if place not in shown]
            place = max(left, key=lambda p: max(reader.told(text, p, window).values()))
        else:
            place = order[len(shown)]
        total += math.log(reader.dense(text, place, window)[tokens[place]])
        shown[place] = tokens[place]
    return total


@pytest.fixture(scope="module")
def orders(run, reader):
    """Nats per token by text and order, the random ones by their names."""
    found = {}
    for cell in run[2]:
        if cell.measure == "orders":
            (text,) = (t for t in reader.texts if t.id == cell.prompt)
            tokens = reader.continuation(text, LENGTH)
            order = {"left_to_right": range(LENGTH), "right_to_left": range(LENGTH)[::-1]}.get(
                cell.reveal_order, cell.reveal_order
            )
            if cell.reveal_order.startswith("random"):
                order = chain_rule.sequence("random", LENGTH, seed_of(cell))
            found[cell.prompt, cell.reveal_order] = scored(reader, text, tokens, order) / LENGTH
    return found


def test_orders_are_the_readers(run, reader, orders):
    tables, rows, _ = run
    want = {key: {"logp": LENGTH * value, "text_tokens": LENGTH} for key, value in orders.items()}
    planted.compare(rows["orders"], ["prompt", "reveal_order"], want)
    means, spread = {}, {}
    for task, own in tasks(reader):
        names = sorted({order for _, order in orders})
        wide = pd.DataFrame([[orders[text, name] for name in names] for text in own], columns=names)
        line = {"orders": 5, "n": len(own), "deviation": wide.std(axis=1).mean()}
        spread[(task,)] = line | {"span": (wide.max(axis=1) - wide.min(axis=1)).mean()}
        wide["random"] = (wide.pop("random-1") + wide.pop("random-2")) / 2
        for name in wide:
            gain = wide[name].mean() - wide["left_to_right"].mean()
            gain = math.nan if name == "left_to_right" else gain
            means[task, name] = {"n": len(own), "logp_per_token": wide[name].mean(), "gain": gain}
    planted.compare(tables["orders"], ["task", "reveal_order"], means)
    planted.compare(tables["spread"], ["task"], spread)


# ---------------------------------------------------------------------- budget


def written(reader, text, at_once):
    """What steps of so many masks write, and what it is worth one token at a time."""
    shown, order, own = {}, [], 0.0
    while len(shown) < LENGTH:
        window = filled(LENGTH, reader.mask, shown)
        told = {p: reader.dense(text, p, window) for p in range(LENGTH) if p not in shown}
        step = sorted(told, key=lambda p: -told[p].max())[:at_once]
        own += sum(math.log(told[p].max()) for p in step)
        order += step
        shown |= {p: int(told[p].argmax()) for p in step}
    tokens = [shown[place] for place in range(LENGTH)]
    return {
        "logp": scored(reader, text, tokens, order),
        "logp_steps": own,
        "steps": -(-LENGTH // at_once),
        "written": reader.border.decode(tokens),
        "text_tokens": LENGTH,
    }


def test_the_budget_is_the_readers(run, reader):
    tables, rows, _ = run
    want = {(t.id, n): written(reader, t, n) for t in reader.texts for n in BUDGET}
    planted.compare(rows["budget"], ["prompt", "at_once"], want)
    assert any(want[t.id, 4]["written"] != want[t.id, 1]["written"] for t in reader.texts)
    costs, bounds = {}, {}
    for task, own in tasks(reader):
        drops = {}
        for n in BUDGET:
            drops[n] = np.mean([want[t, 1]["logp"] - want[t, n]["logp"] for t in own]) / LENGTH
            gap = np.mean([want[t, n]["logp_steps"] - want[t, n]["logp"] for t in own]) / LENGTH
            costs[task, n] = {"n": len(own), "drop": drops[n], "illusion": gap}
        within = [n for n in BUDGET if all(drops[m] < BUDGET_EPS for m in BUDGET if m <= n)]
        bounds[(task,)] = {
            "n": len(own),
            "budget_eps": BUDGET_EPS,
            "by_mean": max(within, default=1),
        }
    planted.compare(tables["budget"], ["task", "at_once"], costs)
    planted.compare(tables["bound"], ["task"], bounds)


def test_holes_show_the_texts_own_tokens(reader):
    """All but the two masks; whose circulation is taken is the text's own tokens'."""
    how = {"canvas": "holes", "outcome": "true", "measure": ("pairs",), "spacing": (2,)}
    cells = joint.plan(
        **how, masks=4, anchors=2, top=TOP, lexicon="small", tasks=("prose",), limit=1
    )
    rows = planted.measured(joint, planted.engine(reader), cells)
    text, want = reader.texts[0], {}
    own = reader.continuation(text, 4)
    for first, second in ((0, 2), (1, 3)):
        shown = {place: own[place] for place in range(4) if place not in (first, second)}
        a, b = own[first], own[second]

        def p(place, token, *known, shown=shown):
            window = filled(4, reader.mask, shown | {q: own[q] for q in known})
            return reader.dense(text, place, window)[token]

        circulation = math.log(p(first, a, second) * p(second, b))
        circulation -= math.log(p(second, b, first) * p(first, a))
        want[first, 2] = {
            "circulation": circulation,
            "token_first": reader.border.decode([a]),
            "token_second": reader.border.decode([b]),
        }
    planted.compare(rows["pairs"], ["masks_before", "pair_distance"], want)
