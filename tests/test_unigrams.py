"""Frequent tokens: counted in texts, or as a list says."""

import numpy as np
import pytest

from mdlm_probe import models, unigrams
from mdlm_probe.errors import ProbeError
from mdlm_probe.texts import Text

TEXTS = (
    Text("a", "prose", " the wind crossed the hill.", " the door"),
    Text("b", "prose", " a hill."),
)


@pytest.fixture(scope="module")
def border():
    return models.load_border(models.resolve("tiny-mdlm"))


def written(folder, text):
    path = folder / "list.txt"
    path.write_text(text)
    return str(path)


def names(border, found):
    return [border.decode([token]) for token in found.frequent]


def test_the_corpus_is_prompts_and_continuations(border):
    found = unigrams.load(border, TEXTS, "corpus", 3)
    assert names(border, found) == [" the", " hill", "."]
    assert found.largest == 3 / 11
    assert sum(found.shares.values()) == pytest.approx(1)
    assert len(found.shares) == 7
    assert len(unigrams.load(border, TEXTS, "corpus", 100).frequent) == 7


def test_a_list_names_tokens_and_the_corpus_counts_them(border, tmp_path):
    found = unigrams.load(border, TEXTS, written(tmp_path, " a\n door\n a\n\n the\n"), 2)
    assert names(border, found) == [" a", " door"]
    assert found.shares == unigrams.load(border, TEXTS, "corpus", 3).shares


def test_counts_in_a_list_are_the_unigrams(border, tmp_path):
    found = unigrams.load(border, TEXTS, written(tmp_path, " a\t1\r\n door\t3\r\n"), 2)
    assert names(border, found) == [" door", " a"]
    assert found.largest == 0.75
    probs = np.zeros(border.vocab)
    probs[list(found.shares)] = 0.25, 0.75
    assert found.divergence(probs) == pytest.approx((0, 0))
    assert found.divergence(np.eye(border.vocab)[0]) == pytest.approx((np.log(2), 1))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no tokens in"),
        ("\n \n", "no tokens in"),
        (" a\t1\n the\n", "counts in some lines only"),
        (" a\tmany\n", "line 1: found"),
        (" the\t1\n a\t-1\n", "line 2: found"),
        ("\t4\n", "line 1: found"),
        (" a\tinf\n", "line 1: found"),
    ],
)
def test_a_bad_list_is_named(tmp_path, text, found):
    with pytest.raises(ProbeError, match=found):
        unigrams.read(written(tmp_path, text))


def test_a_list_that_is_not_there_is_named():
    with pytest.raises(ProbeError, match=r"cannot read nowhere.txt[^?]*expected: 'corpus'"):
        unigrams.digest("nowhere.txt")
