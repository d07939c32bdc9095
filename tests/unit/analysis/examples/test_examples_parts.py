"""What examples are made of: differences, words, a canvas's tokens, masks in prompts."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from mdlm_probe.analysis.examples.answers import beside, differences, filling, places, tokens, words
from mdlm_probe.analysis.examples.parts import CanvasPart
from mdlm_probe.analysis.examples.rows import readable
from mdlm_probe.probes.needle import examples as needle
from mdlm_probe.prompts.prompt import MASK

CUT = st.lists(st.text("ab \n<é", min_size=1, max_size=2), max_size=12)


def joined(found, *kinds):
    return "".join(text for kind, text in found.pieces if kind in kinds)


@given(CUT, CUT)
def test_same_and_gone_are_the_first_text_same_and_new_the_second(first, second):
    found = differences("x", first, second)
    assert joined(found, "same", "gone") == "".join(first)
    assert joined(found, "same", "new") == "".join(second)
    assert all(text for _, text in found.pieces)
    assert all(a[0] != b[0] for a, b in zip(found.pieces, found.pieces[1:], strict=False))


@given(st.lists(st.sampled_from("abc"), max_size=9), st.lists(st.sampled_from("abc"), max_size=9))
def test_no_more_is_marked_than_edits_are_needed(first, second):
    found = differences("x", first, second)
    least = Levenshtein.distance(first, second)
    assert max(len(joined(found, "gone")), len(joined(found, "new"))) <= least
    assert least <= len(joined(found, "gone")) + len(joined(found, "new"))


def test_a_stretch_of_changes_is_one_gone_and_one_new():
    found = differences("x", [*"abcd"], [*"axd"])
    assert found.pieces == (("same", "a"), ("gone", "bc"), ("new", "x"), ("same", "d"))


def test_a_replaced_word_is_gone_and_new():
    found = differences("x", words("the red cat."), words("the blue cat."))
    assert found.pieces == (
        ("same", "the"),
        ("gone", " red"),
        ("new", " blue"),
        ("same", " cat."),
    )


@given(st.text())
@pytest.mark.slow
def test_words_joined_are_the_text(text):
    assert "".join(words(text)) == text


def test_masks_in_a_row_are_counted():
    asked = f"a{MASK}b{MASK * 50}\nc"
    assert readable(asked) == "a[MASK]b[MASK] × 50\nc"


# ---------------------------------------------------------------------- canvases


def row(texts, steps, answer, count):
    told = {"canvas": json.dumps(texts), "unmasked": " ".join(map(str, steps))}
    return {"answer": answer, "answer_tokens": str(count)} | told


def test_a_canvas_has_a_step_and_a_text_for_each_place():
    one = row(["a", "", "<|end|>"], [2, 0, 1], "a", 1)
    assert places(one) == ((2, "a"), (0, ""), (1, "<|end|>"))
    assert filling("x", one) == (CanvasPart("x", places(one)),)
    assert tokens(one) == ["a"]


def test_places_left_as_masks_are_no_tokens_of_an_answer():
    assert tokens(row(["a b", "", "c d"], [1, 0, 2], "a bc d", 2)) == ["a b", "c d"]


def test_texts_are_those_that_were_written_whatever_is_escaped():
    """In rows of today, JSON; in those of earlier versions its backslashes are doubled."""
    texts = ["\n", '"', "\\", " a"]
    one = row(texts, [1, 2, 3, 4], "".join(texts), 4)
    old = one | {"canvas": one["canvas"].replace("\\", "\\\\")}
    assert tokens(one) == tokens(old) == texts


def test_tokens_that_cut_a_character_are_none():
    one = row([[195], [169], " b"], [1, 2, 3], "é b", 3)
    assert places(one) == ((1, "\ufffd"), (2, "\ufffd"), (3, " b"))
    assert tokens(one) is None
    assert beside("x", one, one).pieces == (("same", "é b"),)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"canvas": "", "unmasked": ""},
        {"canvas": '["a"', "unmasked": "1"},
        {"canvas": '["a"]', "unmasked": "1 2"},
        {"canvas": '["a"]', "unmasked": "one"},
        {"canvas": '{"a": 1}', "unmasked": "1"},
        {"canvas": "[[900]]", "unmasked": "1"},
    ],
)
def test_rows_that_do_not_say_how_a_canvas_was_filled_have_no_filling(told):
    one = {"answer": "a b", "answer_tokens": "1"} | told
    assert filling("x", one) == ()
    assert tokens(one) is None


def test_answers_are_compared_by_tokens_only_where_both_have_them():
    ours, theirs = row(["a b", " c"], [1, 2], "a b c", 2), row(["a b", " d"], [1, 2], "a b d", 2)
    assert beside("x", ours, theirs).pieces == (("same", "a b"), ("gone", " c"), ("new", " d"))
    old = {"answer": "a d", "answer_tokens": "2"}
    assert beside("x", ours, old).pieces == (("same", "a"), ("gone", " b c"), ("new", " d"))


@settings(max_examples=20)
@given(CUT, CUT)
def test_whatever_was_written_both_answers_can_be_read_off(first, second):
    ours, theirs = (
        row(cut, range(1, len(cut) + 1), "".join(cut), len(cut)) for cut in (first, second)
    )
    found = beside("x", ours, theirs)
    assert joined(found, "same", "gone") == "".join(first)
    assert joined(found, "same", "new") == "".join(second)


# ---------------------------------------------------------------------- long texts


def test_of_a_long_text_the_sentences_far_from_the_fact_are_counted():
    told = {
        "needles": "needle",
        "lexicon": "full",
        "seed": "0",
        "item": "0",
        "context_length": "2000",
    }
    whole = needle._text(told | {"sentences": "16", "fact_after": "8"})
    assert "sentences ...]" not in whole
    fact = needle._needle(told).fact
    for before in ("0", "3", "60", "119", "120"):
        text = needle._text(told | {"sentences": "120", "fact_after": before})
        left = [int(n) for n in re.findall(r"\[\.\.\. (\d+) sentences \.\.\.\]", text)]
        assert text.count(fact) == 1
        kept = text.count(".") - 3 * 2 * len(left) - 1
        assert sum(left) + kept == pytest.approx(120, abs=3)
    assert fact not in needle._text(told | {"sentences": "120", "fact_after": ""})
