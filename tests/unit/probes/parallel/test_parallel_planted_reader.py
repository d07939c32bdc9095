"""The parallel probe on a reader whose every answer is known, from prompts to whole tables.

What it writes into a slot depends on the list, on what is to be done with it, on the slot, and on
how many masks are left when the slot is filled in: mostly the word of one answer, the same one
always, else the word beside it, or a word of no list.
"""

import itertools
import math

import numpy as np
import planted
import pytest

from mdlm_probe.probes.parallel import probe as parallel
from mdlm_probe.probes.parallel import report
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FAMILIES, RANDOM
from mdlm_probe.prompts.prompt import MASK

LENGTHS, PACES, ITEMS, SEED = (3, 4), (1, 2, 3), 10, 7
FOREIGN, P = " the", 0.7
SURE = 0.85
"""The share of slots that hold the word that is meant."""


def source():
    return list_prompts.load("lists", "small")


def written(task, slot, left):
    """The word that a slot gets, with so many masks left, by its number; None: of no list."""
    coin = planted.drawn("list", task.family, task.words, slot, left)
    meant = intended(task)
    if coin < SURE:
        return meant[slot]
    return meant[slot - 1] if coin < 0.95 else None


def intended(task):
    """What it means to write: of some lists the list as it is, or one word too far."""
    n, coin = len(task.words), planted.drawn("meant", task.family, task.words)
    moved = (*range(1, n), 0)
    if coin < 0.3 and task.slots == n:
        return tuple(range(n)) if coin < 0.15 else moved
    return task.arrangements()[-1] if task.family != "shuffle" else moved


def answer(task, pace):
    """What an answer becomes, and the step of each slot, from left to right."""
    slots = range(task.slots)
    return [written(task, slot, task.slots - slot // pace * pace) for slot in slots], [
        slot // pace + 1 for slot in slots
    ]


class Reader:
    """The rule, by the text: its last question, and the masks that are left."""

    def __init__(self):
        self.border = planted.PlantedReader(None).border

    def __call__(self, ids, at):
        text = "".join(MASK if i == ids[at] else self.border.decode([i]) for i in ids)
        question = text.split("\n\n")[-2]
        task = source().read(question)
        word = written(task, at - len(ids) + task.slots, text.count(MASK))
        said = FOREIGN if word is None else f" {task.all_words[word]}"
        return {self.border.token(said): P}


@pytest.fixture(scope="module")
def run():
    cells = parallel.plan(
        families=FAMILIES,
        words=LENGTHS,
        per_step=PACES,
        order=("left_to_right",),
        temperature=0.0,
        shots=1,
        limit=ITEMS,
        lexicon="small",
        seed=SEED,
    )
    return planted.measured(parallel, planted.engine(Reader()), cells)


def every():
    """Each cell's key with its task and what becomes of it."""
    keys = itertools.product(FAMILIES, LENGTHS, range(ITEMS), PACES)
    for family, length, item, pace in keys:
        task = source().task(family, length, item, SEED, lambda word: True)
        yield (family, length, item, pace), task, *answer(task, pace)


def fault(task, words):
    if None in words:
        return "foreign"
    if task.is_right(words):
        return ""
    if len({*words}) < len(words):
        return "repeated"
    return "copied" if words == list(range(len(task.words))) else "misplaced"


def test_every_answer_is_the_readers(run):
    want = {}
    for key, task, words, steps in every():
        said = [FOREIGN if word is None else f" {task.all_words[word]}" for word in words]
        signs = {None: "?", len(task.words): "+"}
        want[key] = {
            "word_list": " ".join(task.words),
            "new_word": task.word,
            "answer": "".join(said),
            "arrangement": " ".join(
                signs.get(word, str(word + 1 if word is not None else 0)) for word in words
            ),
            "correct": task.is_right([-1 if word is None else word for word in words]),
            "fault": fault(task, words),
            "logp_written": task.slots * math.log(P),
            "per_step": task.slots / max(steps),
            "passes": max(steps),
            "unmasked": " ".join(map(str, steps)),
            "list_place": task.place + 1 if task.family.endswith("index") else math.nan,
        }
    planted.compare(run, ["family", "list_length", "item", "asked_per_step"], want)
    faults = {line["fault"] for line in want.values()}
    assert faults == {"", "foreign", "repeated", "misplaced", "copied"}
    assert 0.2 < np.mean([line["correct"] for line in want.values()]) < 0.8


def test_tables_are_the_readers(run):
    found = {}
    for (family, length, _, pace), task, words, _ in every():
        why = fault(task, words)
        found.setdefault((family, length, pace), []).append((why, tuple(words)))
    accuracy, faults = {}, {}
    for key, lines in found.items():
        reasons = [why for why, _ in lines]
        share = reasons.count("") / ITEMS
        best = run.query(
            "family == @key[0] and list_length == @key[1] and asked_per_step == @key[2]"
        )
        optimum = best["optimum"].mean()
        accuracy[key] = {"n": ITEMS, "correct": share, "optimum": optimum}
        accuracy[key]["excess_points"] = 100 * (share - optimum)
        names = ("foreign", "repeated", "copied", "misplaced")
        faults[key] = {f"{name}_share": reasons.count(name) / ITEMS for name in names}
        faults[key] |= {"right_answers": reasons.count("")}
        if key[0] in RANDOM and reasons.count("") > 1:
            faults[key] |= {"same_share": 1.0}  # it knows one arrangement only
    tables = report.tables(run)
    keys = ["family", "list_length", "asked_per_step"]
    planted.compare(tables["accuracy"], keys, accuracy)
    planted.compare(tables["faults"], keys, faults)
    whole = {}
    for length in LENGTHS:
        for family in (*FAMILIES, "all"):
            own = [v for k, v in accuracy.items() if k[1] == length and family in (k[0], "all")]
            share, best = (np.mean([line[name] for line in own]) for name in ("correct", "optimum"))
            line = {"n": ITEMS, "correct": share, "of_optimum": share / best if best else math.nan}
            whole[family, length] = line
    planted.compare(tables["overview"], ["family", "list_length"], whole)


def test_a_reader_of_one_arrangement_is_told_of(run):
    """It is right above the optimum: at temperature 0 an ideal reader's slots disagree."""
    tables = report.tables(run)["accuracy"]
    assert (tables.query("family == 'shuffle' and asked_per_step == 3")["excess_points"] > 10).all()
    told = "\n".join(report.notes(run))
    assert all(f"right answers to {family} are alike" in told for family in RANDOM)
    assert "copy" not in told
