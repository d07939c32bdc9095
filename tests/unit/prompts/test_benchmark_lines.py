"""Question files of open-ended benchmarks, in exactly their forms: what becomes of each line."""

import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.prompt import Text

MT_BENCH = {"question_id": 81, "category": "writing", "turns": ["Write.", "Shorter."]}
WILDBENCH = {
    "id": "other",
    "session_id": "s1",
    "conversation_input": [
        {"role": "user", "content": "Hi", "language": "English"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Why?"},
    ],
    "primary_tag": "Planning",
    "checklist": ["Is it?"],
    "references": {},
}
CREATIVE = {
    "2": {"writing_prompt": "A <SEED> story", "seed_modifiers": ["sad", "odd"], "title": "x"},
    "9": {"writing_prompt": "A poem", "category": "verse", "seed_modifiers": ["one"]},
}


@pytest.fixture
def own(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content)
        return str(path)

    return write


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_mt_bench_has_two_turns(own):
    (found,) = texts.load(own("question.jsonl", lines(MT_BENCH)))
    assert found == Text("81", "writing", "Write.", then=("Shorter.",))
    arena = {**MT_BENCH, "turns": [{"content": "Solve."}, {"content": "Why?"}]}
    (old,) = texts.load(own("old.jsonl", lines(arena)))
    assert (old.prompt, old.then) == ("Solve.", ())


@pytest.mark.parametrize("name", ["wild.jsonl", "wild.json"])
def test_wildbench_has_a_conversation(own, name):
    content = lines(WILDBENCH) if name.endswith("l") else json.dumps([WILDBENCH])
    (found,) = texts.load(own(name, content))
    assert found == Text("s1", "Planning", "Why?", history=(("Hi", "Hello."),))
    assert found.conversation == "USER: Hi\n\nASSISTANT: Hello.\n\nUSER: Why?"
    assert found.asked("!").turns == (("Hi", "Hello."), ("Why?", "!"))
    assert found.asked("!").text() == "Hi\n\nHello.\n\nWhy?\n\n!"


def test_creative_writing_asks_every_prompt_three_times_with_its_seeds(own):
    found = texts.load(own("prompts_v3.json", json.dumps(CREATIVE, indent=1)))
    assert [(text.id, text.task, text.prompt) for text in found] == [
        ("2/1", "prompts_v3", "A sad story"),
        ("2/2", "prompts_v3", "A odd story"),
        ("2/3", "prompts_v3", "A sad story"),
        ("9/1", "verse", "A poem"),
        ("9/2", "verse", "A poem"),
        ("9/3", "verse", "A poem"),
    ]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({**MT_BENCH, "turns": ["a", 7]}, "field 'turns'"),
        ({**MT_BENCH, "turns": ["a", " "]}, "field 'turns': is empty"),
        ({**WILDBENCH, "conversation_input": WILDBENCH["conversation_input"][:2]}, "'assistant'"),
        ({**WILDBENCH, "conversation_input": [{"role": "user"}]}, "field 'conversation_input'"),
        ({**WILDBENCH, "conversation_input": "Hi"}, "messages of user and assistant by turns"),
        (
            {**WILDBENCH, "conversation_input": [{"role": "user", "content": None}]},
            "field 'conversation_input.content': found None",
        ),
    ],
)
def test_damaged_lines_are_named(own, row, words):
    with pytest.raises(ProbeError, match=r"line 1") as caught:
        texts.load(own("bad.jsonl", lines(row)))
    assert words in str(caught.value)


def test_a_writing_prompt_without_its_seeds_is_refused(own):
    content = {"2": {"writing_prompt": "A <SEED> story", "seed_modifiers": []}}
    with pytest.raises(ProbeError, match="field 'prompt': found None"):
        texts.load(own("bad.json", json.dumps(content)))


def test_conversations_are_part_of_the_digest(own):
    one = texts.digest(own("a.jsonl", lines(WILDBENCH)))
    said = [{**m, "content": m["content"].replace("Hello", "Bye")}
            for m in WILDBENCH["conversation_input"]]  # fmt: skip
    assert texts.digest(own("b.jsonl", lines({**WILDBENCH, "conversation_input": said}))) != one
    bare = {**WILDBENCH, "conversation_input": WILDBENCH["conversation_input"][2:]}
    plain = {"id": "s1", "task": "Planning", "prompt": "Why?"}
    assert texts.digest(own("c.jsonl", lines(bare))) == texts.digest(own("d.jsonl", lines(plain)))
    assert repr(texts.load(own("a.jsonl", lines(WILDBENCH)))[0]) == (
        "Text(id='s1', task='Planning', prompt='Why?', continuation='', answer='')"
    )
