"""The shift probe on a reader whose every answer is known, from moves to whole tables.

What it writes at a place depends on the prompt, the place, and the word in front of it, so that
every change runs on; how sure it is says in which order. No mask is ever chosen with two free
sides, so that no coin is thrown, and what becomes of every hit can be written down.
"""

import itertools
import math

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.probes.shift import probe as shift
from mdlm_probe.probes.shift import report

LENGTH, BLOCK, END = 8, 4, 6
FRACS, KINDS = (0.5, 1.0), ("shift", "post-hoc", "replace", "hold")
PROMPTS = (" the pale wind", " the king found", " the old coin", " the moon")
RIGHT = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55)
SURE = {
    1: RIGHT,
    2: (0.9, 0.8, 0.7, 0.6, 0.6, 0.7, 0.8, 0.9),
    3: RIGHT,
    4: RIGHT[:4] + RIGHT[:3:-1],
}
"""By prompt and place: from left to right, or the second block from right to left."""
WORDS = (" captain", " ember", " frozen", " glove", " hunter", " jar", " lantern", " nest", " salt")


class Reader:
    """The rule: a place's word by prompt, place and the word in front; a second one is likely."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.words = [self.border.token(word) for word in WORDS]
        self.mask, self.eos = self.border.entry.mask_id, self.border.entry.eos_ids[0]
        self.prompts = {self.border.encode(text): n for n, text in enumerate(PROMPTS, 1)}

    def __call__(self, ids, at):
        prompt, place = ids[:-LENGTH], at - len(ids) + LENGTH
        number = self.prompts[prompt]
        best, second = self.told(number, place, ids[at - 1] if place else None)
        p = SURE[number][place]
        return {best: p, second: 1 - p - 1e-9}

    def told(self, number, place, before):
        """The best word and the second one; `before`: the word in front, or the mask."""
        best = int(9 * planted.drawn("best", number, place, before))
        second = (best + 1 + int(8 * planted.drawn("second", number, place, before))) % 9
        if (number, place) == (2, END):
            return self.eos, self.words[second]
        return self.words[best], self.words[second]

    def scorer(self, ids, at):
        """The causal model's rule: weights by the place and the token before."""
        told = {w: planted.drawn("score", ids[at - 1], at, w) for w in (*self.words, self.eos)}
        return {w: 0.9 * weight / sum(told.values()) for w, weight in told.items()}

    def nats(self, number, tokens):
        """What that makes of an answer."""
        ids = (*self.border.encode(PROMPTS[number - 1]), *tokens)
        first = len(ids) - len(tokens)
        return -sum(math.log(self.scorer(ids, at)[ids[at]]) for at in range(first, len(ids)))


class Course:
    """What is written in which step, by the rules as the probe's page says them."""

    def __init__(self, reader, number, kind="none", hits=frozenset()):
        self.reader, self.number, self.kind, self.hit = reader, number, kind, hits
        self.tokens, self.steps = [reader.mask] * LENGTH, [0] * LENGTH
        self.counted, self.moves, self.held = set(), [], set()
        self.late = self.passes = self.offered = 0
        for block in (range(BLOCK), range(BLOCK, LENGTH)):
            while left := [place for place in block if self.tokens[place] == reader.mask]:
                self.step(max(left, key=lambda place: SURE[number][place]))
                before = itertools.takewhile(lambda token: token != reader.eos, self.tokens)
                if reader.eos in self.tokens and reader.mask not in before:
                    return

    def step(self, place):
        self.passes += 1
        self.offered += place not in self.held
        best, second = self.reader.told(
            self.number, place, self.tokens[place - 1] if place else None
        )
        if self.kind == "shift":
            return self.shifted(place, best)
        if place in self.hit and self.kind == "hold" and place not in self.held:
            self.held.add(place)
            self.counted.add(place)
            self.moves.append((self.passes, place, place, best))
            return None
        if place in self.hit and self.kind == "replace":
            self.counted.add(place)
            self.moves.append((self.passes, place, place, best))
            best = second
        return self.write(place, best)

    def shifted(self, place, token):
        masked = {p for p in range(LENGTH) if self.tokens[p] == self.reader.mask}
        for p in masked:
            if not {p - 1, p + 1} & masked:
                self.counted |= {p} & self.hit
        hit = place in self.hit - self.counted
        self.counted |= {place} & self.hit
        sides = {place - 1, place + 1} & masked
        if not sides or len(self.counted) == len(self.moves):
            return self.write(place, token)
        (to,) = sides  # two would take a coin
        self.late += not hit
        self.moves.append((self.passes, place, to, token))
        self.counted |= {to} & self.hit
        return self.write(to, token)

    def write(self, place, token):
        self.tokens[place], self.steps[place] = token, self.passes


def cut(reader, tokens):
    """The answer: what stands before the first end, without masks."""
    return [t for t in itertools.takewhile(lambda t: t != reader.eos, tokens) if t != reader.mask]


def seen(reader, tokens):
    """The canvas, nothing behind an end."""
    end = tokens.index(reader.eos) if reader.eos in tokens else LENGTH
    return [token if place < end else reader.eos for place, token in enumerate(tokens)]


def distance(a, b):
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def row(reader, number, kind, hits):
    """All columns of an answer that the reader settles."""
    plain = Course(reader, number)
    course = Course(reader, number, "shift" if kind == "post-hoc" else kind, hits)
    tokens, wrote = list(course.tokens), {to for _, place, to, _ in course.moves}
    if kind == "post-hoc":
        tokens, shown = seen(reader, plain.tokens), seen(reader, plain.tokens)
        for _, place, to, _ in course.moves:
            tokens[to] = shown[place]
    answer, other = cut(reader, tokens), cut(reader, plain.tokens)
    repeats = planted.repetition(answer)
    passes = plain.passes if kind == "post-hoc" else course.passes
    line = repeats | {"answer_tokens": len(answer), "ended": reader.eos in tokens, "passes": passes}
    line |= {"answer": reader.border.decode(answer), "offered": course.offered}
    line |= {"nll": reader.nats(number, answer), "scorer_tokens": len(answer)}
    line |= {"hits": len(course.counted), "changed": len(course.moves)}
    line |= {"realised": len(course.moves) / course.offered}
    line["blocked"] = len(course.counted) - len(course.moves)
    line["moves"] = " ".join(f"{step}:{place}:{to}" for step, place, to, _ in course.moves)
    differ = {p for p in range(LENGTH) if seen(reader, tokens)[p] != seen(reader, plain.tokens)[p]}
    line["cascade"] = len(differ - (set() if kind == "hold" else wrote))
    line["edit_distance"] = distance(answer, other)
    end = tokens.index(reader.eos) if reader.eos in tokens else LENGTH
    line["visible"] = sum(to <= end for _, _, to, _ in course.moves)
    first = next(
        (p for p, (x, y) in enumerate(itertools.zip_longest(answer, other)) if x != y), None
    )
    line["divergence"] = math.nan if first is None else first
    for window in (8, 32):
        pairs = list(itertools.zip_longest(answer, other))[(first or 0) + 1 :][:window]
        parted = np.mean([x != y for x, y in pairs]) if first is not None and pairs else math.nan
        line[f"parted_{window}"] = parted
    if kind in ("shift", "post-hoc"):
        line |= {"late": course.late}
        line |= {"to_right": sum(to > place for _, place, to, _ in course.moves)}
        line |= {"to_left": sum(to < place for _, place, to, _ in course.moves)}
    if kind == "shift":
        later = [m for m in course.moves if course.steps[m[1]] > m[0]]
        line |= {"refilled": len(later)}
        line |= {"doubled": sum(course.tokens[place] == token for _, place, _, token in later)}
    return line


def hits_of(reader, number, canvas):
    """The places that were hit, by what `replace` wrote there: kinds have the same ones."""
    tokens = [reader.border.token(text) if text else reader.eos for text in canvas]
    order = sorted(range(LENGTH), key=lambda p: (p // BLOCK, -SURE[number][p]))
    found, written = set(), [reader.mask] * LENGTH
    for place in order:
        told = reader.told(number, place, written[place - 1] if place else None)
        assert tokens[place] in told
        found |= {place} if tokens[place] == told[1] else set()
        written[place] = tokens[place]
    return frozenset(found)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    reader = Reader()
    engine = planted.engine(reader)
    engine.scorer = planted.engine(reader.scorer, "oracle-causal")
    cells = shift.plan(
        prompts=str(path), length=LENGTH, block=BLOCK, frac=FRACS, intervention=KINDS
    )
    rows = planted.measured(shift, engine, cells)
    told = {}
    for number in SURE:
        told[str(number), "none", 0.0] = row(reader, number, "none", frozenset())
        replaced = rows[(rows["prompt"] == str(number)) & (rows["intervention"] == "replace")]
        for frac, kind in itertools.product(FRACS, KINDS):
            canvas = replaced[replaced["frac"] == frac]["canvas"].iloc[0]
            hits = hits_of(reader, number, canvas)
            assert len(hits) == frac * LENGTH
            told[str(number), kind, frac] = row(reader, number, kind, hits)
    return report.tables(rows), told, rows


def test_every_answer_is_the_readers(run):
    _, told, rows = run
    planted.compare(rows, ["prompt", "intervention", "frac"], told)
    sums = pd.DataFrame(told.values()).sum(numeric_only=True)
    for column in ("late", "to_right", "to_left", "refilled", "cascade", "blocked"):
        assert sums[column] > 0, f"no case with {column}"


# ---------------------------------------------------------------------- tables


def of(told, kind, frac):
    """An answer of every prompt, as columns."""
    found = pd.DataFrame([told[str(number), kind, frac] for number in SURE]).astype(
        {"ended": float}
    )
    plain = pd.DataFrame([told[str(number), "none", 0.0] for number in SURE])
    found["nats"] = found["nll"] / found["scorer_tokens"] - plain["nll"] / plain["scorer_tokens"]
    longer = np.maximum(found["answer_tokens"], plain["answer_tokens"])
    found["edits"] = found["edit_distance"] / longer
    return found


def test_the_unintervened_answers_are_the_readers(run):
    tables, told, _ = run
    plain = of(told, "none", 0.0)
    nats = (plain["nll"] / plain["scorer_tokens"]).mean()
    line = {"n": 4, "answer_tokens": plain["answer_tokens"].mean(), "nll_per_token": nats}
    line |= {"ended": plain["ended"].mean(), "perplexity": math.exp(nats)}
    planted.compare(tables["unintervened"], ["model"], {("m",): line})


def test_harm_is_the_readers(run):
    tables, told, _ = run
    want = {}
    for kind, frac in itertools.product(KINDS, FRACS):
        rows = of(told, kind, frac)
        line = {"n": 4, "scored": 4}
        line |= {"realised": rows["changed"].sum() / rows["offered"].sum()}
        line |= {"edits": rows["edits"].mean(), "nats": rows["nats"].mean()}
        want[kind, frac] = line | {"answers_differ": (rows["edit_distance"] > 0).mean()}
    planted.compare(tables["harm"], ["intervention", "frac"], want)


def test_compounding_is_the_readers(run):
    tables, told, _ = run
    want = {}
    for control, frac in itertools.product(KINDS[1:], FRACS):
        ours, theirs = of(told, "shift", frac), of(told, control, frac)
        line = {"n": 4}
        for name, rows in (("realised", ours), ("realised_control", theirs)):
            line[name] = rows["changed"].sum() / rows["offered"].sum()
        line["nats"] = (ours["nats"] - theirs["nats"]).mean()
        line["edits_points"] = 100 * (ours["edits"] - theirs["edits"]).mean()
        want[control, frac] = line
    planted.compare(tables["compounding"], ["against", "frac"], want)


def test_trends_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for kind in KINDS:
        each = [of(told, kind, frac) for frac in FRACS]
        x = np.array([(100 * rows["changed"] / rows["offered"]).mean() for rows in each])
        line = {"fracs": 2, "n": 4}
        for name, times in (("nats", 1), ("edits", 100)):
            y = np.array([times * rows[name].mean() for rows in each])
            line[f"{name}_slope"] = (x * y).sum() / (x * x).sum()
        want[(kind,)] = line
    planted.compare(tables["trend"], ["intervention"], want)


def test_cascades_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for kind, frac in itertools.product(KINDS, FRACS):
        rows = of(told, kind, frac)
        differing = rows[rows["edit_distance"] > 0]
        line = {"n": 4, "changed": rows["changed"].mean(), "differing": len(differing)}
        line["by_change"] = rows["cascade"].sum() / rows["changed"].sum()
        line["divergence"] = differing["divergence"].mean()
        for name in ("parted_8", "parted_32"):
            line[name] = differing[name].mean()
        want[kind, frac] = line
    planted.compare(tables["cascade"], ["intervention", "frac"], want)


def test_moves_are_the_readers(run):
    tables, told, _ = run
    want = {}
    for kind, frac in itertools.product(KINDS, FRACS):
        rows = of(told, kind, frac)
        line = {"hits": rows["hits"].sum(), "changed": rows["changed"].sum()}
        for name, by in (
            ("realised", "offered"),
            *((name, "hits") for name in ("blocked", "to_right", "to_left")),
            *((name, "changed") for name in ("late", "refilled", "doubled", "visible")),
        ):
            top = "changed" if name == "realised" else name
            named = name if name == "realised" else f"{name}_share"
            line[named] = rows[top].sum() / rows[by].sum() if top in rows else math.nan
        want[kind, frac] = line
    planted.compare(tables["moves"], ["intervention", "frac"], want)


def test_quality_and_frontier_are_the_readers(run):
    """Of answers as they are, too."""
    tables, told, _ = run
    lines = {
        (kind, frac): of(told, kind, frac)
        for kind, frac in [("none", 0.0), *itertools.product(KINDS, FRACS)]
    }
    names = planted.repetition([1])
    want = {
        key: {"n": 4, "answer_tokens": rows["answer_tokens"].mean()}
        | {name: rows[name].mean() for name in names}
        for key, rows in lines.items()
    }
    planted.compare(tables["quality"], ["intervention", "frac"], want)
    planted.compare(tables["frontier"], ["intervention", "frac"], planted.frontier(lines))
