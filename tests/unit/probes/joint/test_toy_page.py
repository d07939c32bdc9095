"""docs/toy.md: every number of the page computed again, and found by the command's own measures."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.probes.joint import probe as joint
from mdlm_probe.probes.joint import word_pairs
from mdlm_probe.prompts import two_tokens

PAGE = Path(__file__).parents[4] / "docs" / "toy.md"
NUMBER = re.compile(r"-?(?<![\d.])\d*\.\d+")
A, B = 0.55, 0.69
GIVEN = {".55", ".69", ".45", ".31", ".14", ".24", ".345"}
"""What is known or chosen, and what subtraction makes of it, as it stands in calculations."""


def language(a):
    """P of the four pairs, A and A' down, B and B' across."""
    return np.array([[a, A - a], [B - a, 1 - A - B + a]]).round(12)


def entropy(p):
    return -sum(x * math.log(x) for x in np.ravel(p) if x > 0)


def total(p):
    return entropy(p.sum(0)) + entropy(p.sum(1)) - entropy(p)


def incoherent(p):
    return p[0, 1] + p[1, 0]


def said(x):
    text = f"{x + 0.0:.4f}".replace("-0.0000", "0.0000")
    return text.replace("0.", ".", 1) if abs(x) < 1 else text


P = language(0.55)
PRODUCT = np.outer(P.sum(1), P.sum(0))
AFTER = P[1] / P[1].sum()


def in_words():
    """All numbers of the page's text and calculations that aren't given."""
    lost = incoherent(PRODUCT) - incoherent(P)
    steps = math.log(PRODUCT[0, 0]) - math.log(P[0, 0])
    numbers = [incoherent(PRODUCT), incoherent(P), lost, *AFTER, entropy(AFTER), total(P)]
    numbers += [entropy(P.sum(1)), entropy(P.sum(0)), entropy(P), total(P) / 2]
    numbers += [A / B, math.log(A), steps, steps / 2, 1 - P[0, 0], PRODUCT[0, 0], PRODUCT[0, 1]]
    odds = [math.log(P[i] / PRODUCT[i]) for i in ((0, 0), (1, 0), (1, 1))]
    return {said(x) for x in (*numbers, *odds, *map(abs, odds))}


def tables():
    """The rows of the page's tables."""
    lines = [*np.column_stack([P, P.sum(1)]), [*P.sum(0), 1.0], *PRODUCT]
    heads = ["A", "A'", "both", "A", "A'"]
    found = [[head, *map(said, line)] for head, line in zip(heads, lines, strict=True)]
    by_hand = {
        "entropy of the first token": entropy(P.sum(1)),
        "entropy of the second": entropy(P.sum(0)),
        "entropy of both, first to last": entropy(P.sum(1)) + P[1].sum() * entropy(AFTER),
        "total correlation": total(P),
        "per token": total(P) / 2,
    }
    found += [[name, said(value)] for name, value in by_hand.items()]
    for name, i in (("AB", (0, 0)), ("A'B", (1, 0)), ("A'B'", (1, 1))):
        found.append([name, said(P[i]), said(math.log(P[i] / PRODUCT[i]))])
    for a in (0.24, 0.3, A * B, 0.45, 0.5, 0.55):
        p = language(a)
        # one at a time, the surer B comes first
        one = math.log(p[:, 0].max())
        line = [a, total(p), total(p) / 2, incoherent(p), incoherent(PRODUCT) - incoherent(p)]
        found.append([*map(said, line), said(one - math.log(p[0, 0]))])
    return found


@pytest.fixture(scope="module")
def page():
    """The page's text without tables and source, the rows of its tables, and how some are done."""
    text = PAGE.read_text().replace("arXiv 2510.03289", "")
    lines, by_hand, rows, ways = text.splitlines(), False, [], []
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        by_hand = (by_hand and line[:1] == "|") or "by hand" in cells
        if line[:1] == "|" and NUMBER.search(line):
            ways += [cells.pop(1)] if by_hand else []
            rows.append(cells)
    plain = "\n".join(line for line in lines if line[:1] != "|")
    return plain, rows, ways


def test_every_row_of_its_tables_is_so(page):
    assert page[1] == tables()


def test_every_number_of_its_text_is_so(page):
    plain, _, ways = page
    found = {number.lstrip("-") for part in (plain, *ways) for number in NUMBER.findall(part)}
    known = {number.lstrip("-") for number in in_words()}
    assert found - known == GIVEN
    assert len(found & known) > 15


def test_the_calculations_come_out_as_they_are_written():
    """With the digits that stand there, as a pencil would: .55 x .31 + .45 x .69 = .4810."""
    text = PAGE.read_text().replace("\n", " ")
    sums = re.findall(r"((?:\.\d+ [x/+-] )+\.\d+) = (-?\.\d+)", text)
    assert len(sums) == 5
    for calculation, result in sums:
        value = eval(calculation.replace("x", "*"), {})
        assert value == pytest.approx(float(result), abs=1.5e-4), calculation


def test_greedy_filling_at_once_is_right_from_345_on():
    assert language(0.3449)[1, 0] > 0.3449
    assert language(0.3451)[1, 0] < 0.3451
    for a in (0.24, 0.345, 0.55):
        assert language(a).sum(1).argmax() == language(a).sum(0).argmax() == 0


# ---------------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def engine():
    return Engine(models.load(models.resolve("oracle-toy")), batch_tokens=4096)


@pytest.fixture(scope="module")
def measured(engine, tmp_path_factory):
    """What the page's commands measure, by measure."""
    path = tmp_path_factory.mktemp("toy") / "own.txt"
    path.write_text("".join(two_tokens.CONTEXT) + "\n")
    how = {"masks": 2, "length": 2, "draws": 80, "lexicon": "small", "pairs": "toy"}
    cells = joint.plan(**how, prompts=str(path), measure=("pairs", "sets", "budget", "total"))
    found = {}
    for cell, kinds in joint.measure(engine, cells):
        found.setdefault(cell.measure, []).extend((cell, row) for row in kinds[cell.measure])
    return found


def test_the_sets_are_the_pages(measured):
    ((_, row),) = measured["sets"]
    assert row["incoherent_parallel"] == pytest.approx(incoherent(PRODUCT), abs=1e-5)
    assert row["incoherent_sequential"] == pytest.approx(incoherent(P), abs=1e-5)
    assert row["mass_parallel"] == pytest.approx(1, abs=1e-5)


def test_the_pairs_are_the_pages(measured):
    ((_, row),) = measured["pairs"]
    assert row["mi"] == pytest.approx(total(P), abs=1e-4)
    assert row["unlikely"] == pytest.approx(PRODUCT[0, 1], abs=1e-4)
    assert row["circulation"] == pytest.approx(0, abs=1e-5)


def test_draws_are_the_pages(measured):
    both = [(cell, row) for cell, row in measured["total"] if row["together"] == 2]
    for order, after in (("left_to_right", P[1]), ("random", None)):
        own = [row for cell, row in both if cell.reveal_order == order]
        joint_entropies = np.array([row["entropy_sequential"] for row in own])
        alone = np.array([row["entropy_parallel"] for row in own])
        assert alone == pytest.approx(entropy(P.sum(0)) + entropy(P.sum(1)), abs=1e-4)
        error = joint_entropies.std() / math.sqrt(len(own))
        assert alone.mean() - joint_entropies.mean() == pytest.approx(total(P), abs=4 * error)
        if after is not None:  # the only ones: after A, and after A'
            known = {entropy(P.sum(1)), entropy(P.sum(1)) + entropy(after / after.sum())}
            for value in known:
                assert (np.abs(joint_entropies - value) < 1e-4).any()
            gaps = np.min([np.abs(joint_entropies - value) for value in known], axis=0)
            assert gaps.max() < 1e-4


def test_greedy_filling_is_the_pages(measured):
    for cell, row in measured["budget"]:
        assert row["written"] == "".join((two_tokens.FIRSTS[0], two_tokens.SECONDS[0]))
        assert row["logp"] == pytest.approx(math.log(A), abs=1e-5)
        own = math.log(PRODUCT[0, 0]) if cell.at_once == 2 else math.log(A)
        assert row["logp_steps"] == pytest.approx(own, abs=1e-5)


def test_the_pair_set_has_the_languages_words():
    (toy,) = word_pairs.load("toy", "small")
    assert toy.prompt().startswith("".join(two_tokens.CONTEXT))
    assert toy.pairs == tuple(zip(two_tokens.FIRSTS, two_tokens.SECONDS, strict=True))
    assert word_pairs.load("toy", "full") == (toy,)
