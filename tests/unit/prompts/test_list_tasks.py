"""List tasks against enumeration of all answers, and their wording, which can be read back."""

import itertools
from collections import Counter

import numpy as np
import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FAMILIES, FOREIGN, ListTask, has_new_word
from mdlm_probe.prompts.prompt import MASK

WORDS = ("d", "b", "a", "c")
RIGHT = {
    "copy": {"dbac"},
    "reverse": {"cabd"},
    "sort": {"abcd"},
    "replace-index": {"deac"},
    "insert-index": {"debac"},
    "remove-index": {"dac"},
    "replace-random": {"ebac", "deac", "dbec", "dbae"},
    "insert-random": {"edbac", "debac", "dbeac", "dbaec", "dbace"},
    "remove-random": {"bac", "dac", "dbc", "dba"},
    "shuffle": {"".join(order) for order in itertools.permutations(WORDS)} - {"dbac"},
}


def made(family):
    return ListTask(family, WORDS, "e" if has_new_word(family) else "", 1)


def every(task):
    return itertools.product(range(len(task.all_words)), repeat=task.slots)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_right_answers_are_those_of_the_task(family):
    task = made(family)
    right = {"".join(task.all_words[n] for n in one) for one in every(task) if task.is_right(one)}
    assert right == RIGHT[family]
    assert task.count() == len(right)
    assert not task.is_right([FOREIGN] * task.slots)


@pytest.mark.parametrize("family", FAMILIES)
def test_marginals_are_shares_of_the_right_answers_that_agree(family):
    """Of every partial answer, one that no right answer agrees with among them."""
    task = made(family)
    right = [one for one in every(task) if task.is_right(one)]
    none = 0
    for told in itertools.product([None, *range(len(task.all_words))], repeat=task.slots):
        known = {slot: word for slot, word in enumerate(told) if word is not None}
        agree = [one for one in right if all(one[slot] == word for slot, word in known.items())]
        found = task.marginals(known)
        none += not agree
        if not agree:
            assert found is None
            continue
        counts = np.zeros((task.slots, len(task.all_words)))
        for one in agree:
            counts[range(task.slots), one] += 1 / len(agree)
        np.testing.assert_allclose(found, counts, atol=1e-12)
    assert none
    assert task.marginals({0: FOREIGN}) is None


@pytest.mark.parametrize("lexicon", ["full", "small"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_question_says_the_whole_task(family, lexicon):
    source = list_prompts.load("lists", lexicon)
    for item in range(5):
        task = source.task(family, 5, item, 0, lambda word: True)
        told = source.read(source.question(task))
        shown = task if family.endswith("-index") else ListTask(family, task.words, task.word)
        assert told == shown
        assert len({*task.all_words}) == 5 + has_new_word(family)
    assert source.read("something else") is None


def test_prompts_show_right_answers_and_end_in_masks():
    source = list_prompts.load()
    item, shot = (source.task("shuffle", 4, 0, 0, lambda word: True, n) for n in (0, 1))
    prompt = source.prompt(item, [shot], 3, True)
    (_, answered), (question, opened) = prompt.turns
    words = answered.removeprefix("Answer:").split()
    assert sorted(words) == sorted(shot.words)
    assert tuple(words) != shot.words
    assert opened == "Answer:" + 4 * MASK
    assert question.endswith("List: " + " ".join(item.words))
    assert source.prompt(item, [shot], 3, False).turns[-1][1] == "Answer:"


def test_examples_answers_are_drawn_evenly():
    task = made("replace-random")
    counts = Counter(list_prompts.right_answer(task, seed) for seed in range(400))
    assert set(counts) == set(task.arrangements())
    assert min(counts.values()) > 70  # of 100 each, 3.5 standard errors


def test_items_are_the_same_for_all_families_and_take_known_words_only():
    source = list_prompts.load()
    lists = {source.task(family, 6, 3, 0, lambda word: True).words for family in FAMILIES}
    assert len(lists) == 1
    (words,) = lists
    lacking = source.task("copy", 6, 3, 0, lambda word: word != f" {words[2]}").words
    assert lacking[:5] == (*words[:2], *words[3:])
    with pytest.raises(ProbeError, match="3 of the 110 words of 'lists' are a token each"):
        source.task("copy", 6, 3, 0, lambda word: word in (" apple", " tree", " wolf"))


OWN = """
lexicons:
  full:
    words: few
    tasks: {{copy: "{wording}"}}
words:
  few: {words}
"""


@pytest.mark.parametrize(
    ("wording", "words", "wrong"),
    [
        ("again:{words}", "[a, b, c]", ""),
        ("again:", "[a, b, c]", "a text with {words}, each once"),
        ("again {word}:{words}", "[a, b, c]", "a text with {words}, each once"),
        ("again:{words}", "[a, b, a]", "single words, each of them once"),
        ("again:{words}", "[a b, c]", "single words, each of them once"),
    ],
)
def test_a_file_of_ones_own(tmp_path, wording, words, wrong):
    path = tmp_path / "own.yaml"
    path.write_text(OWN.format(wording=wording, words=words))
    if not wrong:
        source = list_prompts.load(str(path), "full")
        assert (source.name, source.words, source.turn) == ("own", ("a", "b", "c"), "\n")
        assert source.digest() != list_prompts.load().digest()
        return
    with pytest.raises(ProbeError) as error:
        list_prompts.load(str(path), "full")
    assert error.value.expected == wrong
    assert f"{path}, line" in error.value.found
