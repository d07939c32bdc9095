"""Frequent tokens: counted in texts, or as a list says."""

from dataclasses import replace

import numpy as np
import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.decay import unigrams
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.texts import load

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


def test_a_models_own_counts_come_from_its_folder(tmp_path):
    """The bundled models count their training stream, of which half the tokens are frames."""
    border = models.load_border(models.resolve("tiny-mdlm"))
    texts = load("decay", "small")
    found = unigrams.load(border, texts, unigrams.MODEL, 100)
    assert len(found.frequent) == 100
    assert found.halves is None
    (frame,) = border.pieces("\nAnswer:[")
    assert found.shares[frame] == pytest.approx(found.shares[border.pieces("].")[0]], rel=0.05)
    assert sum(found.shares.values()) == pytest.approx(1)
    bare = models.load_border(models.resolve("tiny-mdlm"))
    bare.entry = replace(bare.entry, source=str(tmp_path))
    with pytest.raises(ProbeError, match="'tiny-mdlm' comes without counts of its own"):
        unigrams.load(bare, texts, unigrams.MODEL, 100)


def test_halves_say_how_far_counting_sets_samples_apart():
    border = models.load_border(models.resolve("tiny-mdlm"))
    prose = tuple(text for text in load("decay", "small") if text.task == "prose")
    few, many = (unigrams.load(border, part, "corpus", 100).halves for part in (prose[:4], prose))
    assert 0 < many < few < np.log(2)
    same = (prose[0], replace(prose[0], id="again"))
    assert unigrams.load(border, same, "corpus", 100).halves == pytest.approx(0)
