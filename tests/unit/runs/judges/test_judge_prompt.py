"""The judge prompt: what it says, and which replies are verdicts."""

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.prompt import MASK
from mdlm_probe.runs.judges import judge_prompt

PROMPT = judge_prompt.load()


def test_texts_stand_where_they_belong_braces_and_all():
    system, user = PROMPT.messages("{prompt} {}", "{b}", "two")
    assert system["role"] == "system"
    assert [mark for mark in PROMPT.marks.values() if mark not in system["content"]] == []
    places = [user["content"].index(text) for text in ("{prompt} {}", "{b}", "two")]
    assert places == sorted(places)
    asked = PROMPT.letter("beginning", "one", "two", masked=False).text()
    assert asked.endswith("Answer:[")
    assert PROMPT.letter("beginning", "one", "two", masked=True).text() == asked + MASK + "]."


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[[A>>B]]", "A>>B"),
        ("A is better.\n[[A>B]]\n", "A>B"),
        ("so **[[A=B]]**.", "A=B"),
        ("not [[A>B]]\nbut\n[[B>>A]]", "B>>A"),
        ("[[B>A]] and again [[B>A]]", "B>A"),
        ("first [[A>B]]\nthen [[A>B]] or [[B>A]]", "unparsable"),
        ("[[A>B]]\nwords after it", "A>B"),
        ("```\n[[B>>A]]\n```\n", "B>>A"),
        ("[[B>A]]\nThat is, [[A>B]] or [[B>A]].\nIt was close.", "unparsable"),
        ("so: [[ A >> B ]].", "A>>B"),
        ("[[A\n>B]]", "unparsable"),
        ("[[A<B]] [[a>b]] [A>B] A>B", "unparsable"),
        ("B, since it is better", "unparsable"),
        ("", "unparsable"),
    ],
)
def test_the_last_mark_counts_and_nothing_is_guessed(reply, verdict):
    assert PROMPT.verdict(reply) == verdict


def test_other_words_are_another_prompt(tmp_path):
    text = judge_prompt.path().read_text()
    path = tmp_path / "judge.yaml"
    path.write_text(text.replace("Which text is better?", "Which text is worse?"))
    assert judge_prompt.load(path).digest != PROMPT.digest
    assert PROMPT.version >= 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  {b}\n  </text B>", "  </text B>", "'user': not every slot stands once"),
        ("{a}\n\n    Text B", "{a} {c}\n\n    Text B", "'letter.question': a slot that nothing"),
        ('"[[A>B]]"', '"[[A>>B]]"', "'marks': found"),
        ("version: 1", "version: one", "'version': found 'one'"),
        ("version: 1", "versions: 1", "'versions': unknown field"),
    ],
)
def test_faults_of_the_file_are_named(tmp_path, old, new, words):
    text = judge_prompt.path().read_text()
    assert text.count(old) == 1
    (tmp_path / "j.yaml").write_text(text.replace(old, new))
    with pytest.raises(ProbeError, match=words.replace("(", r"\(")):
        judge_prompt.load(tmp_path / "j.yaml")
