"""The suite: formats, categories, seeds, and errors that name file, line and field."""

import itertools
import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.few_shot_sets import Example, ask, shot, split
from mdlm_probe.prompts.prompt import MASK, Prompt
from mdlm_probe.prompts.suite import load

SUITE = load()
WORDS = {  # target <- where wrong options come from, arXiv 2511.21338
    "country": ["name"],
    "capitalised": ["lower"],
    "verb": ["adjective", "preposition", "object"],
    "adjective": ["verb", "preposition", "object"],
    "animal": ["object", "fruit", "sport"],
    "colour": ["animal", "object"],
    "emotion": ["colour", "object", "animal"],
    "object": ["emotion", "colour", "adjective"],
}


@pytest.mark.slow
def test_sixteen_sets_of_a_thousand_test_points():
    assert list(SUITE.sets) == [f"{w}-{n}" for w in WORDS for n in ("smallest", "largest")]
    for lexicon in ("full", "small"):
        for fs in load("few-shot", lexicon).sets.values():
            points = fs.items(1000, 0, 10)
            assert len(set(points)) == 1000
            assert not set(points) & set(fs.shots("relevant", 10, 0))
            rights = [p.right for p in points]
            assert all(280 < rights.count(i) < 390 for i in range(3))


def test_the_format_of_the_paper():
    fs = SUITE["animal-smallest"]
    example = Example(("915", "491", "266"), 2)
    turn = shot(fs.template, example, "letter")
    prompt = Prompt((turn, ask(fs.template, example, 0)), fs.template.turn, fs.template.end)
    assert prompt.text() == (
        "Options: (A) 915, (B) 491, (C) 266\nAnswer:[C].\n\n"
        f"Options: (A) 915, (B) 491, (C) 266\nAnswer:[{MASK}]."
    )
    assert ask(fs.template, example, None)[1] == "Answer:["
    assert ask(fs.template, example, 3)[1] == "Answer:[" + MASK * 3
    assert shot(fs.template, example, "word")[1] == "Answer:[266]."


def test_every_category_has_its_words_and_no_word_is_in_two_categories_of_a_task():
    words = SUITE.words
    for name, listed in words.items():
        assert len(listed) == len(set(listed))
        assert len(listed) >= {"preposition": 50, "colour": 70}.get(name, 100), name
    assert [w.capitalize() for w in words["lower"]] == list(words["capitalised"])
    for target, wrong in WORDS.items():
        for a, b in itertools.combinations([target, *wrong], 2):
            same = {w.lower() for w in words[a]} & {w.lower() for w in words[b]}
            assert target == "capitalised" or not same, (target, a, b, same)


@pytest.mark.parametrize("lexicon", ["full", "small"])
def test_right_options_come_from_the_target_and_wrong_ones_from_the_others(lexicon):
    suite = load("few-shot", lexicon)
    for fs in suite.sets.values():
        target, wrong = fs.relevant.name, WORDS[fs.relevant.name]
        seen = set()
        for example in fs.items(200, 0, 10):
            assert example.options[example.right] in suite.words[target]
            others = [o for i, o in enumerate(example.options) if i != example.right]
            for option in others:
                homes = {c for c in wrong if option in suite.words[c]}
                assert homes
                seen |= homes
        assert seen == set(wrong)


def test_number_tasks():
    for rule, pick in (("smallest", min), ("largest", max)):
        for example in SUITE[f"animal-{rule}"].shots("distractor", 300, 0):
            numbers = [int(o) for o in example.options]
            assert len(set(numbers)) == 3
            assert all(1 <= n <= 1000 for n in numbers)
            assert numbers[example.right] == pick(numbers)


def test_draws_are_prefixes_depend_on_seed_and_set_and_are_pinned():
    fs = SUITE["animal-smallest"]
    assert fs.items(1000, 0, 10)[:7] == fs.items(7, 0, 10)
    assert fs.shots("relevant", 3, 0) == fs.shots("relevant", 10, 0)[:3]
    assert fs.items(7, 0, 10) != fs.items(7, 1, 10)
    assert fs.items(7, 0, 10) != SUITE["animal-largest"].items(7, 0, 10)
    assert fs.shots("relevant", 1, 0) == (Example(("watch", "cheetah", "kumquat"), 1),)


@pytest.mark.parametrize("lexicon", ["full", "small"])
def test_every_letter_is_right_equally_often_among_the_examples(lexicon):
    """Ten examples with 4, 6 and 0 answers A, B and C teach that C is never right."""
    for count in (3, 5):
        for fs, side, seed in itertools.product(
            load("few-shot", lexicon, count).sets.values(), ("relevant", "distractor"), (0, 1)
        ):
            rights = [example.right for example in fs.shots(side, 40, seed)]
            for start in range(0, 40 - count, count):
                assert sorted(rights[start : start + count]) == list(range(count))
    orders = {tuple(e.right for e in fs.shots("relevant", 3, s)) for s in range(40)}
    assert len(orders) > 20, "the order of letters is drawn, too"


@pytest.mark.parametrize("lexicon", ["full", "small"])
@pytest.mark.slow
def test_no_test_point_has_a_word_of_an_example(lexicon):
    for fs, seed in itertools.product(load("few-shot", lexicon).sets.values(), (0, 1)):
        shown = {o.lower() for e in fs.shots("relevant", 30, seed) for o in e.options}
        asked = {o.lower() for e in fs.items(150, seed, 30) for o in e.options}
        assert not shown & asked
        assert fs.items(150, seed, 30) == fs.items(150, seed, 0), "however many examples there are"


def test_words_are_reused_where_the_lists_are_too_short(tmp_path):
    """Four cats and four dogs: halves have 2 x 2 pairs in 2 orders; then come the other 24."""
    fs = load(own(tmp_path))["cats-few"]
    items = fs.items(30, 0, 2)
    shown = {o for e in fs.shots("relevant", 8, 0) for o in e.options}
    reused = [bool(shown & set(e.options)) for e in items]
    assert reused == [False] * 8 + [True] * 22
    assert len(set(items)) == 30
    one = OWN.replace("lion, tiger, lynx, puma", "lion")
    assert len(load(own(tmp_path, one))["cats-few"].items(6, 0, 2)) == 6, "no halves at all"


def test_questions_of_a_file_are_balanced_as_far_as_they_go(tmp_path):
    rows = [{"options": [f"a{i}", f"b{i}"], "answer": f"{'ab'[i > 5]}{i}"} for i in range(8)]
    fs = load(own(tmp_path, lines=[json.dumps(row) for row in rows]))["mine-few"]
    rights = [example.right for example in fs.shots("relevant", 8, 0)]
    assert rights.count(1) == 2
    assert [sorted(rights[i : i + 2]) for i in (0, 2)] == [[0, 1], [0, 1]]
    assert rights[4:] == [0] * 4
    assert len(fs.items(5, 0, 3)) == 5


def test_splits_ignore_order_and_have_their_shares():
    numbers = itertools.combinations(map(str, range(1, 41)), 3)
    found = [split(triple) for triple in numbers]
    assert found.count("test") / len(found) == pytest.approx(2 / 8, abs=0.02)
    assert found.count("train") / len(found) == pytest.approx(5 / 8, abs=0.02)
    assert len({split(p) for p in itertools.permutations(["cat", "dog", "red"])}) == 1


@pytest.mark.slow
def test_the_small_lexicon_draws_test_splits_only():
    for fs in load("few-shot", "small").sets.values():
        drawn = (
            *fs.items(1000, 0, 10),
            *fs.shots("relevant", 60, 0),
            *fs.shots("distractor", 60, 0),
        )
        assert {split(example.options) for example in drawn} == {"test"}
    full = {split(e.options) for e in SUITE["animal-smallest"].items(100, 0, 10)}
    assert full == {"test", "validation", "train"}


def test_other_numbers_of_options():
    for count in (2, 5):
        suite = load("few-shot", "full", count)
        for fs in suite.sets.values():
            assert all(len(e.options) == count for e in fs.items(20, 0, 10))


# ---------------------------------------------------------------------- a user's own files

OWN = """\
words: {cat: [lion, tiger, lynx, puma], dog: [wolf, fox, dingo, coyote]}
options: 2
shots: 2
distractors: 1
template:
  question: "{question}\\nPick: {options}"
  option: "{letter}) {text}"
  between: " "
  answer: "It is {answer}!"
  turn: " "
  end: "\\n"
relevant:
  cats: {target: cat, wrong: [dog]}
  mine: {questions: own.jsonl}
distractor:
  few: {numbers: largest, span: [1, 9]}
"""


def own(tmp_path, text=OWN, lines=None):
    rows = [{"options": [f"a{i}", f"b{i}"], "answer": f"b{i}", "question": "Hm?"} for i in range(9)]
    lines = [json.dumps(row) for row in rows] if lines is None else lines
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    (tmp_path / "own.yaml").write_text(text)
    return str(tmp_path / "own.yaml")


def test_own_suite_with_words_and_questions(tmp_path):
    suite = load(own(tmp_path))
    assert (suite.shots, suite.distractors, suite.options) == (2, 1, 2)
    assert list(suite.sets) == ["cats-few", "mine-few"]
    fs = suite["mine-few"]
    shots, items = fs.shots("relevant", 2, 0), fs.items(7, 0, 2)
    assert not set(shots) & set(items)
    assert len({*shots, *items}) == 9
    asked, answer = ask(fs.template, items[0], 0)
    assert asked.startswith("Hm?\nPick: A) ")
    assert answer == f"It is {MASK}!"
    with pytest.raises(ProbeError, match="only 7 test points"):
        fs.items(8, 0, 2)
    with pytest.raises(ProbeError, match="only"):
        suite["cats-few"].items(500, 0, 2)


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "found"),
    [
        ("options: 2", "options: many", 2, "options", "'many'"),
        ("options: 2", "options: 9", 2, "options", "found 9"),
        ("shots: 2", "shoots: 2", 3, "shoots", "unknown field"),
        ('  answer: "It is {answer}!"', '  answer: "It is"', 9, "template.answer", "It is"),
        ('  between: " "\n', "", 5, "template.between", "is missing"),
        ("wrong: [dog]", "wrong: [bird]", 13, "relevant.cats", "no word list 'bird'"),
        ("target: cat, ", "", 13, "relevant.cats", "none of them"),
        ("target: cat,", "target: cat, numbers: largest,", 13, "relevant.cats", "target and"),
        ("lion, tiger", "lion, lion", 1, "words.cat", "stands twice"),
        ("wolf, fox", "wolf, lion", 13, "relevant.cats", "both right and wrong"),
        ("numbers: largest", "numbers: middle", 16, "distractor.few.numbers", "'middle'"),
        ("span: [1, 9]", "span: [1, 1]", 16, "distractor.few.span", "[1, 1]"),
        ("span: [1, 9]", "span: [1]", 16, "distractor.few.span", "[1]"),
        ("span: [1, 9]", "span: [a, b]", 16, "distractor.few.span", "['a', 'b']"),
        ("wrong: [dog]", "wrong: []", 13, "relevant.cats.wrong", "0 words"),
        ("wolf, fox, dingo, coyote", "", 13, "relevant.cats", "no word list 'dog'"),
        ("{letter}) {text}", "{letter}) {text} {colour}", 5, "template", "colour"),
        ("relevant:", "lexicons: {full: {words: x}}\nrelevant:", 12, "lexicons.full.words", "'x'"),
        ("own.jsonl", "none.jsonl", 14, "relevant.mine.questions", "no file"),
        ("distractor:\n  few: {numbers: largest, span: [1, 9]}\n", "", 1, "distractor", "missing"),
        ("options: 2", "options: 2\nanswer: yes", 3, "answer", "True"),
        ("words: {", "words: nowhere #", 1, "words", "no folder"),
    ],
)
def test_bad_suites_name_file_line_and_field(tmp_path, old, new, line, field, found):
    assert old in OWN
    path = own(tmp_path, OWN.replace(old, new))
    with pytest.raises(ProbeError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}, field '{field}'"), message
    assert found in message


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{", "the line"),
        ("[1]", "the line"),
        ('{"options": ["a"], "answer": "a"}', "options"),
        ('{"options": ["a", "a"], "answer": "a"}', "options"),
        ('{"options": [["a"], "b"], "answer": "b"}', "options"),
        ('{"options": ["a", "b"], "answer": "c"}', "answer"),
    ],
)
def test_bad_questions_name_file_line_and_field(tmp_path, line, field):
    good = '{"options": ["a", "b"], "answer": "b"}'
    path = own(tmp_path, lines=[good, line])
    with pytest.raises(ProbeError, match=rf"own\.jsonl, line 2, field '{field}'"):
        load(path)


def test_unreadable_and_unknown_suites(tmp_path):
    with pytest.raises(ProbeError, match="cannot read"):
        load(str(tmp_path / "none.yaml"))
    with pytest.raises(ProbeError, match="no suite named 'fewshot'"):
        load("fewshot")
    (tmp_path / "x.yaml").write_text("a: [")
    with pytest.raises(ProbeError, match="not valid YAML"):
        load(str(tmp_path / "x.yaml"))
    (tmp_path / "x.yaml").write_text("- a\n")
    with pytest.raises(ProbeError, match="a mapping of fields"):
        load(str(tmp_path / "x.yaml"))
    with pytest.raises(ProbeError, match="no set 'animals-smallest'"):
        SUITE["animals-smallest"]
    with pytest.raises(ProbeError, match="no lexicon 'tiny'"):
        load("few-shot", "tiny")


def test_too_few_wrong_words_end_in_a_message_not_in_a_loop(tmp_path):
    text = OWN.replace("options: 2", "options: 3").replace("wolf, fox, dingo, coyote", "wolf")
    with pytest.raises(ProbeError, match="come from 1 words"):
        load(own(tmp_path, text.replace("  mine: {questions: own.jsonl}\n", "")))


def test_questions_that_are_no_text(tmp_path):
    path = own(tmp_path)
    (tmp_path / "own.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ProbeError, match="JSONL in UTF-8"):
        load(path)


def test_a_suites_digest_changes_with_everything_it_draws_from(tmp_path):
    before = load(own(tmp_path)).digest()
    load.cache_clear()
    assert load(own(tmp_path)).digest() == before
    for text in (
        OWN.replace("puma", "cougar"),
        OWN.replace("Pick", "Choose"),
        OWN.replace("9]", "8]"),
    ):
        load.cache_clear()
        assert load(own(tmp_path, text)).digest() != before
    load.cache_clear()
    assert SUITE.digest() != load("few-shot", "small").digest()


def test_no_questions_and_anchors_inside_themselves(tmp_path):
    with pytest.raises(ProbeError, match="no questions in"):
        load(own(tmp_path, lines=[""]))
    (tmp_path / "x.yaml").write_text("a: &a [*a]\n")
    with pytest.raises(ProbeError, match="inside itself"):
        load(str(tmp_path / "x.yaml"))
