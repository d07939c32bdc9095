"""Pair files: what ships, how sentences are cut at their slots, and how faults are named."""

import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.probes.joint import word_pairs
from mdlm_probe.prompts import prompt, shipped, toy_language

OWN = """
name: own
lexicons:
  full:
    sound:
      context: "Listen: "
      text: "the {a} {b}!"
      pairs: [[cow, moos], [dog, barks],
              [7, 8]]
    tag:
      text: "<{a}>x</{b}>"
      pairs: [[p, p], [b, b]]
"""


@pytest.fixture
def own(tmp_path):
    def write(text=OWN):
        path = tmp_path / f"{abs(hash(text))}.yaml"
        path.write_text(text)
        return str(path)

    return write


def by_name(lexicon):
    return {found.name: found for found in word_pairs.load("pairs", lexicon)}


def test_the_shipped_pairs_are_enough():
    full, small = word_pairs.load(), word_pairs.load("pairs", "small")
    assert len(full) == 24
    large = [found for found in full if not found.name.startswith("agreement_")]
    assert len(large) == 20
    assert all(len(found.pairs) >= 6 for found in large)
    assert all(len(found.pairs) >= 8 for found in small)
    for found in (*full, *small):
        assert found.prompt().count(prompt.MASK) == 2
        assert not found.before.endswith(" ") or found.name == "answer"
        for side in (0, 1):
            assert len({pair[side] for pair in found.pairs}) == len(found.pairs)
    assert len({found.name for found in full}) == len(full)


def test_one_verb_agrees_with_one_noun():
    """Any singular agrees with any singular: of two nouns, only one may be singular."""
    sets = [found for found in word_pairs.load() if found.name.startswith("agreement_")]
    assert len(sets) == 4
    for found in sets:
        (one, does), (several, do) = found.pairs
        assert (one + "s", does) == (several, do + "s")


def test_mixtures_that_would_be_right_are_gone():
    sets = by_name("full")
    assert not {"possessive", "agreement", "together"} & set(sets)
    workplace = sets["workplace"]
    assert workplace.before.endswith(" a")
    assert workplace.between.endswith(" is a")
    assert not [w for pair in workplace.pairs for w in pair if w.strip()[0] in "aeiou"]
    assert " university" not in {second for _, second in workplace.pairs}
    assert (" rich", " poor") not in sets["opposite"].pairs, "poor is the opposite of good, too"


def test_the_small_pairs_are_the_proses_fixed_ones():
    fixed = zip(toy_language.FIRSTS.split(), toy_language.SECONDS.split(), strict=True)
    fixed = tuple((f" {first}", f" {second}") for first, second in fixed)
    sets = by_name("small")
    assert {name for name, found in sets.items() if found.pairs == fixed} == {
        *("object", "subject", "adjective", "place")
    }
    known = set(toy_language.prose().tokens)
    for found in sets.values():
        if found.pairs == fixed:
            text = found.fill(*found.pairs[0]).replace(".", " .").replace(",", " ,")
            assert {f" {word}" for word in text.split()} - known <= {" .", " ,"}
            assert text.startswith(" ")


def test_every_small_word_is_a_token_of_its_own():
    border = models.load_border(models.resolve("tiny-mdlm"))
    unknown = border.tokenizer.token_to_id("<unk>")
    for found in word_pairs.load("pairs", "small"):
        tokens = found.tokens(border.pieces)
        assert len(tokens) == len(found.pairs)
        masked = border.encode(found.prompt())
        first, second = (i for i, t in enumerate(masked) if t == border.entry.mask_id)
        for pair, ids in zip(found.pairs, tokens, strict=True):
            whole = border.encode(found.fill(*pair))
            assert unknown not in whole
            assert border.decode(whole) == found.fill(*pair)
            filled = list(masked)
            filled[first], filled[second] = ids
            assert tuple(filled) == whole


def test_the_answer_repeats_an_option_that_no_other_is():
    found = by_name("small")["answer"]
    assert all(a == b for a, b in found.pairs)
    assert not any(name in found.before + found.between for name, _ in found.pairs)


def test_a_sentence_is_cut_at_its_slots(own):
    sound, tag = word_pairs.load(own())
    assert sound == word_pairs.PairSet(
        *("sound", "Listen: ", "the", "", "!"),
        ((" cow", " moos"), (" dog", " barks"), (" 7", " 8")),
    )
    assert sound.prompt() == f"Listen: the{prompt.MASK}{prompt.MASK}!"
    assert sound.fill(*sound.pairs[1]) == "Listen: the dog barks!"
    assert tag == word_pairs.PairSet("tag", "", "<", ">x</", ">", (("p", "p"), ("b", "b")))


def test_the_space_can_belong_to_the_text(own):
    path = own(OWN.replace('{b}!"', '{b}!"\n      space: text'))
    sound = word_pairs.load(path)[0]
    assert (sound.before, sound.between) == ("the ", " ")
    assert sound.pairs[0] == ("cow", "moos")
    assert sound.fill(*sound.pairs[0]) == "Listen: the cow moos!"


def test_pairs_of_several_tokens_or_unknown_ones_are_left_out(own):
    sound = word_pairs.load(own())[0]
    ids = {" cow": (1,), " moos": (2,), " dog": (3,), " barks": (4, 5), " 7": (6,), " 8": (7,)}
    assert sound.tokens(ids.__getitem__) == ((1, 2), (6, 7))
    ids |= {" barks": (4,), " cow": (0,), " 7": (0,)}
    assert sound.tokens(ids.__getitem__) == ((3, 4),)


def test_the_digest_is_of_all_that_is_written(own):
    changes = [("cow", "calf"), ("Listen", "Hark"), ("!", "."), ("sound:", "noise:")]
    files = [OWN, *(OWN.replace(old, new) for old, new in changes)]
    assert len({word_pairs.digest(own(text)) for text in files}) == 5
    assert word_pairs.digest() != word_pairs.digest("pairs", "small")
    copy = own((shipped.folder() / "pairs.yaml").read_text())
    assert word_pairs.digest(copy) == word_pairs.digest()


def test_pairs_are_no_suite():
    assert "pairs" not in shipped.suites()
    with pytest.raises(ProbeError, match="unknown field"):
        word_pairs.load("few-shot")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: own", "nam: own", "line 2, field 'nam': unknown field"),
        ("  full:", "  fill:", "line 3, field 'lexicons': no lexicon 'full'\nexpected: one of fi"),
        ("context:", "contxt:", "line 6, field 'lexicons.full.sound.contxt': unknown field"),
        ("the {a} {b}", "the {b}", r"line 7, .*sound.text': \{a\} stands 0 times"),
        ("the {a} {b}", "the {a}", r"\{b\} stands 0 times"),
        ("the {a} {b}", "{a} {a} {b}", r"\{a\} stands 2 times"),
        ("the {a} {b}", "{a} {b} {b}", r"\{b\} stands 2 times"),
        ("the {a} {b}", "the {b} {a}", r"\{b\} stands first"),
        ("the {a} {b}", "the {a} " + prompt.MASK + "{b}", "text': holds U.E000"),
        ("Listen", prompt.MASK, "context': holds U.E000"),
        ('"Listen: "', "3", "context': found 3\nexpected: a text"),
        ('text: "the {a} {b}!"', "", "sound.text': is missing"),
        ('text: "the {a} {b}!"', "text: 3", "sound.text': found 3"),
        ("pairs: [[p, p], [b, b]]", "", "line 10, .*tag.pairs': is missing"),
        ("[[p, p], [b, b]]", "p", "line 12, .*tag.pairs': found 'p'\nexpected: a list"),
        ("[[p, p], [b, b]]", "[[p, p]]", "line 12, .*tag.pairs': found 1 pairs\nexpected: two"),
        ("[[p, p], [b, b]]", "[]", "found 0 pairs"),
        ("[7, 8]", "[7]", r"line 9, field 'lexicons.full.sound.pairs.2': found \[7\]"),
        ("[7, 8]", "[7, 8, 9]", r"found \[7, 8, 9\]\nexpected: a list of two words"),
        ("[7, 8]", "seven", "found 'seven'"),
        ("[7, 8]", "[7, ' ']", r"found \[7, ' '\]"),
        ("[7, 8]", "[7, [8]]", r"pairs.2': found \[7, \[8\]\]"),
        ("[7, 8]", "[yes, no]", r"found \[True, False\]\nexpected: words like yes and no in quo"),
        ("[7, 8]", f"[{prompt.MASK}, 8]", "pairs.2': found .*a mask"),
        ("[7, 8]", "[cow, 8]", "line 9, .*pairs.2': 'cow' is in two pairs on the first side"),
        ("[7, 8]", "[7, moos]", "line 9, .*pairs.2': 'moos' is in two pairs on the second side"),
        ('"<{a}>x</{b}>"', '"<{a}>x</{b}>"\n      space: both', "space': found 'both'"),
    ],
)
def test_faults_name_file_line_and_field(old, new, message, own):
    assert old in OWN
    path = own(OWN.replace(old, new))
    with pytest.raises(ProbeError, match=message) as caught:
        word_pairs.load(path)
    assert path in str(caught.value)


def test_no_pairs_at_all(own, tmp_path):
    with pytest.raises(ProbeError, match=r"lexicons\.full': found none"):
        word_pairs.load(own("name: own\nlexicons: {full: {}}\n"))
    with pytest.raises(
        ProbeError, match=r"no pairs named 'pear'\nexpected: pairs, toy\nhint: or give"
    ):
        word_pairs.load("pear")
    with pytest.raises(ProbeError, match="cannot read"):
        word_pairs.load(str(tmp_path / "none.yaml"))
    with pytest.raises(ProbeError, match="no lexicon 'tiny'"):
        word_pairs.load("pairs", "tiny")
