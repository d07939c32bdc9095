"""Needle files: what is drawn from them, and how faults are named."""

import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.needle import facts
from mdlm_probe.prompts import shipped, toy_language

LEXICONS = ("full", "small")
OWN = """
name: own
lexicons:
  full:
    needles:
      code: {fact: "The code of {key} is {value}.", question: " Which code?",
             answer: "The code of {key}: <{value}", keys: doors, values: codes}
words:
  doors: [the red door, the blue door]
  codes: "11 12 13"
"""


@pytest.fixture
def own(tmp_path):
    def write(text=OWN):
        path = tmp_path / f"{abs(hash(text))}.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("lexicon", LEXICONS)
def test_needles_differ_and_their_forms_take_turns(lexicon):
    source = facts.load("needle", lexicon)
    drawn = [source.needle(item, 0) for item in range(60)]
    assert len({(n.form, n.key, n.value) for n in drawn}) == 60
    assert [n.form for n in drawn[: len(source.forms)]] == [form.name for form in source.forms]
    assert drawn != [source.needle(item, 1) for item in range(60)]
    assert drawn == [source.needle(item, 0) for item in range(60)]
    for needle in drawn:
        assert facts.names(needle.fact, needle.key)
        assert facts.names(needle.fact, needle.value)
        assert facts.names(needle.question + needle.opening, needle.key)
        assert not facts.names(needle.question + needle.opening, needle.value)
        assert needle.answer == " " + needle.value
        assert not needle.opening.endswith(" ")


def test_no_word_of_the_full_needles_is_in_the_filler_at_all():
    words = {token.strip() for token in toy_language.prose().tokens}
    for form in facts.load().forms:
        assert not words & {word.lower() for word in (*form.keys, *form.values)}


def test_the_small_needles_are_words_of_the_bundled_models():
    border = models.load_border(models.resolve("tiny-mdlm"))
    unknown = border.tokenizer.token_to_id("<unk>")
    source = facts.load("needle", "small")
    for item in range(180):
        needle = source.needle(item, 0)
        text = source.prompt(needle, ("the lake.",), 1).text() + needle.answer
        assert unknown not in border.pieces(text)
        assert len(border.pieces(needle.answer)) == 1


def test_the_prompt_puts_the_fact_before_a_sentence_or_leaves_it_out():
    source = facts.load("needle", "small")
    needle, lines = source.needle(0, 0), ("a tree.", "a lake.")
    texts = [source.prompt(needle, lines, at).text() for at in (0, 1, 2, None)]
    fact, asked = needle.fact, " " + needle.opening
    assert texts == [
        f" {fact} a tree. a lake.{asked}",
        f" a tree. {fact} a lake.{asked}",
        f" a tree. a lake. {fact}{asked}",
        f" a tree. a lake.{asked}",
    ]


def test_a_users_own_file_with_phrases_and_no_space_before_the_value(own):
    source = facts.load(own(), "full")
    drawn = {source.needle(item, 0) for item in range(6)}
    assert {n.key for n in drawn} == {"the red door", "the blue door"}
    needle = source.needle(0, 0)
    assert needle.opening == f"The code of {needle.key}: <"
    assert needle.answer == needle.value
    assert source.turn == "\n"
    with pytest.raises(ProbeError, match="only 6 needles"):
        source.needle(6, 0)


def test_keys_that_hold_their_value_are_left_out(own):
    source = facts.load(own(OWN.replace('"11 12 13"', "[red, 12]")), "full")
    drawn = [source.needle(item, 0) for item in range(3)]
    assert ("the red door", "red") not in [(n.key, n.value) for n in drawn]


def test_needles_are_no_suite_and_suites_are_no_needles():
    assert "needle" not in shipped.suites()
    with pytest.raises(ProbeError, match="unknown field"):
        facts.load("few-shot")


def test_the_digest_is_of_all_that_is_written(own):
    texts = [OWN, OWN.replace("Which", "What"), OWN.replace("13", "14"), OWN.replace("<", "")]
    digests = [facts.load(own(text), "full").digest() for text in texts]
    assert len(set(digests)) == 4
    assert facts.load("needle", "full").digest() != facts.load("needle", "small").digest()
    copy = own((shipped.folder() / "needle.yaml").read_text())
    assert facts.load(copy, "full").digest() == facts.load("needle", "full").digest()


def test_a_name_is_found_as_whole_words_only():
    assert facts.names("The Red door.", "red door")
    assert not facts.names("a scarred doorway", "red")
    assert facts.names("at 17.", "17")
    assert not facts.names("at 170", "17")
    assert facts.names("it is <x>.", "<x>")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: own", "nam: own", "line 2, field 'nam': unknown field"),
        ("  full:", "  fill:", "no lexicon 'full'"),
        ("    needles:", "    needle:", "line 5, field 'lexicons.full.needle': unknown field"),
        ("is {value}.", "is known.", r"line 6, .*fact': found .*is known.*\n.*{value} once"),
        ("of {key} is", "of {key} {key} is", "{key} once"),
        ("<{value}", "<{value}>", r"answer': found .*\n.*ends in {value}"),
        ("<{value}", "{value} {value}", "ends in {value}"),
        ("Which code", "Why {value}", "gives the {value} away"),
        ("of {key}: ", ": ", "does not say what it is about"),
        ("keys: doors", "keys: gates", r"no list 'gates' in words\n.*doors, codes"),
        ("11 12", "11 11", "words.codes': found .*11 11"),
        ('"11 12 13"', "[]", r"words.codes': found \[\]"),
        ("11 12", "code 12", "'code' stands in the texts themselves"),
        ("fact: ", "facts: ", "facts': unknown field"),
        ("doors: [the red door, the blue door]", "doors: 3", "a text or a list"),
    ],
)
def test_faults_name_file_line_and_field(old, new, message, own):
    assert old in OWN
    path = own(OWN.replace(old, new))
    with pytest.raises(ProbeError, match=message) as caught:
        facts.load(path, "full")
    assert path in str(caught.value)


def test_no_needles_at_all(own, tmp_path):
    text = OWN[: OWN.index("      code:")].replace("needles:", "needles: {}") + "words: {}\n"
    with pytest.raises(ProbeError, match="found none"):
        facts.load(own(text), "full")
    with pytest.raises(ProbeError, match="no needles named 'x'"):
        facts.load("x")
    with pytest.raises(ProbeError, match="cannot read"):
        facts.load(str(tmp_path / "missing.yaml"))
