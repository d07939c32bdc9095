"""The blocks probe on a reader whose every answer is known, from canvases to whole tables.

What it writes and how sure it is depends on the prompt, the length, the place, and the word in
front, so that every order, block size and number of steps makes another text.
"""

import itertools
import math
from functools import cache

import numpy as np
import pandas as pd
import planted
import pytest

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.probes.blocks import probe as blocks
from mdlm_probe.probes.blocks import report

PROMPTS = (" the pale wind", " the king found", " the moon")
WORDS = (" captain", " ember", " frozen", " glove", " hunter", " jar", " lantern", " nest", " salt")
LENGTHS, BLOCKS, STEPS, THRESHOLD = (4, 8), (2, 4, 8), (3, 4, 6, 8), 0.8
ORDERS = ("low_confidence", "entropy", "margin", "random", "left_to_right", "threshold")
ENDS = {2: {4: 3, 8: 5}}
"""By prompt and length: the place from which on the reader says that the text has ended."""
KEYS = ["length", "block", "steps", "order"]


class Reader:
    """The rule: a word and how likely it is, by prompt, length, place and the word in front."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border
        self.words = [self.border.token(word) for word in WORDS]
        self.mask, self.eos = self.border.entry.mask_id, self.border.entry.eos_ids[0]
        self.prompts = [self.border.encode(text) for text in PROMPTS]

    def __call__(self, ids, at):
        (number,) = (n for n, p in enumerate(self.prompts, 1) if ids[: len(p)] == p)
        first = len(self.prompts[number - 1])
        return self.told(number, len(ids) - first, at - first, ids[at - 1] if at > first else -1)

    def told(self, number, length, place, before):
        """The likeliest token first; the end of text where a text ends."""
        coordinates = number, length, place, before
        p = 0.55 + 0.4 * planted.drawn("sure", *coordinates)
        share = 0.5 + 0.5 * planted.drawn("second", *coordinates)
        first = int(9 * planted.drawn("word", *coordinates))
        words = [self.words[(first + n) % 9] for n in range(3)]
        if place >= ENDS.get(number, {}).get(length, length):
            words[0] = self.eos
        rest = (1 - 1e-9 - p) * share, (1 - 1e-9 - p) * (1 - share)
        return dict(zip(words, (p, *rest), strict=True))

    def scorer(self, ids, at):
        """The causal model's rule: weights by the place and the token before."""
        told = {w: planted.drawn("score", ids[at - 1], at, w) for w in self.words}
        return {w: 0.9 * weight / sum(told.values()) for w, weight in told.items()}

    def nats(self, number, tokens):
        """What that makes of an answer."""
        ids = (*self.prompts[number - 1], *tokens)
        first = len(ids) - len(tokens)
        return -sum(math.log(self.scorer(ids, at)[ids[at]]) for at in range(first, len(ids)))


def confidence(order, ps):
    """How sure an order takes a place to be, by its probabilities, the largest first."""
    if order == "entropy":
        return sum(p * math.log(p) for p in ps if p)
    return ps[0] - max(ps[1:]) if order == "margin" else ps[0]


def shared(whole, parts):
    """Evenly, the remainder first."""
    return [whole // parts + (n < whole % parts) for n in range(parts)]


def row(reader, number, length, block, steps, order):
    """All columns of an answer that the reader settles."""
    tokens, when, ps = [reader.mask] * length, [0] * length, [0.0] * length
    first = Schedule(order="random", seed=seed_of("blocks", str(number), 0)).priorities(length)
    made, decided = 0, 0
    starts = range(0, length, block)
    for start, own in zip(starts, shared(steps, len(starts)), strict=True):
        amounts = iter(shared(block, own))
        while left := [p for p in range(start, start + block) if not when[p]]:
            told = {p: reader.told(number, length, p, tokens[p - 1] if p else -1) for p in left}
            sure = {p: confidence(order, list(t.values())) for p, t in told.items()}
            by_order = {"random": lambda p: first[p], "left_to_right": lambda p: p}
            by_order = by_order.get(order, lambda p, sure=sure: -sure[p])
            ranked = sorted(left, key=by_order)
            if order == "threshold":
                count = max(1, sum(max(t.values()) > THRESHOLD for t in told.values()))
            else:
                count = next(amounts)
            made += count > 0
            for p in ranked[:count]:
                tokens[p], ps[p] = next(iter(told[p].items()))
                when[p] = made
            whole = list(itertools.takewhile(lambda t: t != reader.eos, tokens))
            decided = decided or made * (reader.mask not in whole)
    size = tokens.index(reader.eos) if reader.eos in tokens else length
    answer, tail = tokens[:size], when[size:]
    line = {"answer": reader.border.decode(answer), "answer_tokens": size, "ended": size < length}
    line |= {"nll": reader.nats(number, answer), "scorer_tokens": size, "passes": made}
    line["confidence"] = math.exp(np.mean(np.log(ps[:size])))
    line |= {"decided": decided, "canvas_tokens": made * (len(reader.prompts[number - 1]) + length)}
    line |= {"tau": tau(when), "answer_tau": tau(when[:size]), "per_step": length / made}
    line["end_first"] = np.mean([s > tail[0] for s in when[:size]]) if tail else math.nan
    line["tail_eos_first"] = np.mean([s == 1 for s in tail]) if tail else math.nan
    line |= planted.repetition(answer)
    return line | {"unmasked": " ".join(map(str, when))}


def tau(steps):
    """Kendall's tau-b, by its definition: pairs in the right order minus others; ties in steps."""
    pairs = list(itertools.combinations(steps, 2))
    signs = [(b > a) - (b < a) for a, b in pairs]
    apart = sum(sign != 0 for sign in signs)
    return sum(signs) / math.sqrt(len(pairs) * apart) if apart else math.nan


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompts") / "planted.txt"
    path.write_text("\n".join(PROMPTS) + "\n")
    reader = Reader()
    engine = planted.engine(reader)
    engine.scorer = planted.engine(reader.scorer, "oracle-causal")
    options = {"length": LENGTHS, "block": BLOCKS, "order": ORDERS, "threshold": THRESHOLD}
    options["steps"] = STEPS
    rows = planted.measured(blocks, engine, blocks.plan(prompts=str(path), **options))
    combinations = list(dict.fromkeys(rows[KEYS].itertuples(index=False, name=None)))
    return report.tables(rows), reader, combinations, rows


@cache
def of(reader, *combination):
    """An answer to every prompt, as columns."""
    found = [row(reader, number, *combination) for number in (1, 2, 3)]
    return pd.DataFrame(found).astype({"ended": float})


def quality(rows):
    """Of a combination: sums by sums, and means."""
    sums = rows.sum(numeric_only=True)
    line = {"n": 3, "perplexity": math.exp(sums["nll"] / sums["scorer_tokens"])}
    line |= {"passes_a_token": sums["passes"] / sums["answer_tokens"]}
    line |= {"tokens_a_pass": sums["answer_tokens"] / sums["passes"]}
    names = ("ended", "answer_tokens", "passes", "decided", "canvas_tokens", "per_step")
    names = (*names, "end_first", "tail_eos_first", "confidence", "tau", "answer_tau")
    names = (*names, *(n for n in planted.repetition([1]) if rows[n].notna().any()))
    return line | {name: rows[name].mean() for name in names}


@pytest.mark.slow
def test_every_answer_is_the_readers(run):
    _, reader, combinations, rows = run
    want = {
        (str(number), *one): row(reader, number, *one)
        for one in combinations
        for number in (1, 2, 3)
    }
    planted.compare(rows, ["prompt", *KEYS], want)
    assert rows.groupby("prompt")["answer"].nunique().min() > 6


def test_the_qualities_are_the_readers(run):
    tables, reader, combinations, _ = run
    want = {one: quality(of(reader, *one)) for one in combinations}
    planted.compare(tables["quality"], KEYS, want)
    short = ("n", "perplexity", "ended", "answer_tokens", "passes", "tokens_a_pass", "tau")
    want = {one: {name: line[name] for name in short} for one, line in want.items()}
    planted.compare(tables["overview"], KEYS, want)


@pytest.mark.parametrize("by", ["orders", "blocks"])
def test_orders_are_the_readers(run, by):
    """Beside the answers from left to right in as many steps of as large blocks, asked or not."""
    tables, reader, combinations, _ = run
    parts = {}
    for length, block, steps, order in combinations:
        if block * steps == length or order == "left_to_right":
            continue
        for name in (order, "left_to_right"):
            key = (length, name) if by == "orders" else (length, steps, block, name)
            parts.setdefault(key, set()).add((length, block, steps))
    want = {}
    for key, part in parts.items():
        ours, left = (
            pd.concat([of(reader, *at, order) for at in sorted(part)])
            for order in (key[-1], "left_to_right")
        )
        line = {"n": 3, "nll_excess": nats(ours) - nats(left)}
        for name in ("tau", "answer_tau", "end_first", "tail_eos_first", "per_step"):
            line[name] = ours.groupby(level=0)[name].mean().mean()
        want[key] = line
    keys = ["length", "order"] if by == "orders" else ["length", "steps", "block", "order"]
    planted.compare(tables[by], keys, want)


def nats(rows):
    return rows["nll"].sum() / rows["scorer_tokens"].sum()


def test_lengths_are_the_readers(run):
    """A mask a step, in one block and in blocks of two, which both lengths have."""
    tables, reader, _, _ = run
    want = {}
    for order, size, length in itertools.product(ORDERS, ("2", "whole"), LENGTHS):
        line = quality(of(reader, length, length if size == "whole" else 2, length, order))
        kept = ("perplexity", "ended", "answer_tokens", "passes_a_token")
        want[1.0, order, size, length] = {name: line[name] for name in kept}
    planted.compare(tables["lengths"], ["a_step", "order", "blocks", "length"], want)


def test_the_frontier_is_the_readers(run):
    tables, reader, combinations, _ = run
    want = {}
    for length in LENGTHS:
        lines = {one: of(reader, *one) for one in combinations if one[0] == length}
        want |= planted.frontier(lines)
    planted.compare(tables["frontier"], KEYS, want)
    assert len({line["matched"] > 0 for line in want.values()}) == 2


def test_the_front_is_the_readers(run):
    """What no other combination beats in all of cost, perplexity and entropy."""
    tables, reader, combinations, _ = run
    want = {}
    for length in LENGTHS:
        lines = {one: of(reader, *one) for one in combinations if one[0] == length}
        known = {one: quality(rows) for one, rows in lines.items()}

        def score(one, known=known):
            line = known[one]
            return line["passes_a_token"], line["perplexity"], -line["entropy_1"]

        scores = {one: score(one) for one in known}
        kept = {}
        for one, own in scores.items():
            others = [other for other in scores.values() if other != own]
            if not any(all(a <= b for a, b in zip(o, own, strict=True)) for o in others):
                kept.setdefault(own, one)  # of equal ones the first
        front = planted.frontier({one: lines[one] for one in kept.values()})
        for one, line in front.items():
            shown = {name: line[name] for name in ("n", "perplexity", "entropy_1")}
            want[one] = shown | {"nll_excess": line["matched"], "passes_a_token": scores[one][0]}
    planted.compare(tables["front"], KEYS, want)
