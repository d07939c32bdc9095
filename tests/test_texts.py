"""Prompts to continue: what ships, what is made, and how faults of a user's file are named."""

import json
import re

import pytest

from mdlm_probe import grammar, models, tasks, texts
from mdlm_probe.errors import ProbeError

TASKS = ("arithmetic", "code", "prose", "question")


@pytest.fixture
def own(tmp_path):
    def write(*lines, name="own.jsonl"):
        path = tmp_path / name
        path.write_bytes(b"\n".join(x if isinstance(x, bytes) else dumped(x) for x in lines))
        return str(path)

    return write


def dumped(line):
    return (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)).encode()


@pytest.mark.parametrize("task", TASKS)
def test_each_shipped_task_has_its_prompts(task):
    found = [text for text in texts.load() if text.task == task]
    assert len(found) >= 25
    assert [text.id for text in found] == [f"{task}-{n:02}" for n in range(1, len(found) + 1)]
    assert len({text.prompt for text in found}) == len(found)
    for text in found:
        assert text.prompt == text.prompt.strip()
        assert text.continuation == text.continuation.rstrip()
        assert text.continuation[0] in " \n"
        if task == "code":
            assert 4 <= len(text.prompt.splitlines()) <= 12
        else:
            assert 30 <= len(text.prompt.split()) <= 80
            assert 20 <= len(text.continuation.split()) <= 60


def test_the_sums_of_the_arithmetic_texts_are_right():
    number = r"\d+(?:,\d{3})*(?:\.\d+)?"
    left = rf"(?<![\w/.(])(?<![×+/-] )({number}(?: [×+/-] {number})+)"
    sums = rf"{left} = ({number})(?![\d/]|,\d| [×+/-]|, remainder)"
    checked = 0
    for text in texts.load():
        for left, right in re.findall(sums, text.continuation) if text.task == "arithmetic" else ():
            value = eval(left.replace("×", "*").replace(",", ""))
            assert value == pytest.approx(float(right.replace(",", ""))), (text.id, left)
            checked += 1
    assert checked >= 60


def test_python_texts_are_python():
    begins = ("def ", "class ", "import csv", "from ")
    found = [text for text in texts.load() if text.prompt.startswith(begins)]
    assert len(found) == 8
    for text in found:
        compile(text.prompt + text.continuation, text.id, "exec")


@pytest.mark.parametrize("task", ["prose", "question"])
def test_the_small_language_has_fifty_prompts_of_each_task(task):
    found = [text for text in texts.load("decay", "small") if text.task == task]
    assert len(found) == len({text.prompt for text in found}) == 50
    border = models.load_border(models.resolve("tiny-mdlm"))
    unknown = border.tokenizer.token_to_id("<unk>")
    for text in found:
        whole = text.prompt + text.continuation
        ids = border.pieces(whole)
        assert unknown not in ids
        assert border.decode(ids) == whole
        cut = border.pieces(text.prompt)
        assert ids == cut + border.pieces(text.continuation)
        assert 40 <= len(cut) <= 64
        assert 28 <= len(ids) - len(cut) <= 34


def test_small_prose_is_the_chains_own_and_cut_anywhere():
    known = set(grammar.prose().tokens)
    prose = texts.load("decay", "small")[:50]
    assert 2 <= sum(text.prompt.endswith(grammar.STOP) for text in prose) <= 15
    for text in prose:
        assert len(re.findall(r" \w+|[,.]", text.continuation)) == 32
        assert set(re.findall(r" \w+|[,.]", text.prompt + text.continuation)) <= known


def test_small_questions_are_answered_rightly_and_never_of_the_training_split():
    suite = tasks.load("few-shot", "small")
    allowed = {word for words in suite.words.values() for word in words}
    allowed |= {str(number) for number in range(1, 41)}
    for text in texts.load("decay", "small")[50:]:
        turns = (text.prompt + text.continuation).split("\n\n")
        assert len(turns) == 8
        for turn in turns:
            options = re.findall(r"\([ABC]\) (\w+)", turn)
            assert len(options) == 3
            assert re.search(r"\nAnswer:\[(\w+)\]\.$", turn)[1] in options
            assert set(options) <= allowed
            assert tasks.split(options) == "test"


def test_loading_again_gives_the_same(own):
    made = texts.load("decay", "small")
    texts.load.cache_clear()
    assert texts.load("decay", "small") == made
    path = own({"prompt": "a"}, {"prompt": "b"})
    first = texts.digest(path)
    texts.load.cache_clear()
    assert texts.digest(path) == first


def test_the_digest_is_of_all_fields(own):
    line = {"id": "x", "task": "t", "prompt": "p", "continuation": "c"}
    lines = [line, *({**line, name: "other"} for name in line)]
    digests = {texts.digest(own(row, name=f"{n}.jsonl")) for n, row in enumerate(lines)}
    assert len(digests) == 5
    assert texts.digest() != texts.digest("decay", "small")


def test_a_file_of_ones_own_with_defaults(own):
    path = own(
        b"\xef\xbb\xbf" + dumped({"prompt": "Once upon a time"}),
        "",
        {"prompt": " a\u2028b ", "id": 7, "task": "odd", "continuation": " c", "more": [1]},
        "",
    )
    assert texts.load(path) == (
        texts.Text("1", "own", "Once upon a time"),
        texts.Text("7", "odd", " a\u2028b ", " c"),
    )
    assert texts.load(path, "small") == texts.load(path)
    assert texts.corpus(texts.load(path)) == "Once upon a time\n\n a\u2028b  c"


def test_windows_line_ends(own):
    path = own(dumped({"prompt": "a"}) + b"\r", dumped({"prompt": "b"}) + b"\r")
    assert [text.prompt for text in texts.load(path)] == ["a", "b"]


def test_arena_hard_is_read_as_it_is(own):
    newer = {"uid": "2e", "category": "hard_prompt", "subcategory": "coding", "prompt": "Write."}
    older = {
        "question_id": "32",
        "category": "arena-hard-v0.1",
        "cluster": "Puzzles",
        "turns": [{"content": "Solve."}, {"content": "Why?"}],
    }
    assert texts.load(own(newer, older)) == (
        texts.Text("2e", "coding", "Write."),
        texts.Text("32", "arena-hard-v0.1", "Solve."),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"text": "a"}, "field 'prompt': is missing"),
        ({"prompt": ""}, "field 'prompt': is empty"),
        ({"prompt": " \n"}, "field 'prompt': is empty"),
        ({"prompt": None}, "field 'prompt': found None"),
        ({"prompt": ["a"]}, r"field 'prompt': found \['a'\]\nexpected: a text"),
        ({"prompt": "a" + tasks.MASK}, r"stands for a mask"),
        ('{"prompt": "\\ud800"}', "half a surrogate pair"),
        ({"prompt": "a", "continuation": 3}, "field 'continuation': found 3"),
        ({"prompt": "a", "continuation": 0}, "field 'continuation': found 0"),
        ({"prompt": "a", "continuation": tasks.MASK}, "field 'continuation': holds U"),
        ({"prompt": "a", "id": True}, "field 'id': found True"),
        ({"prompt": "a", "id": ""}, "field 'id': is empty"),
        ({"prompt": "a", "task": 1.5}, "field 'task': found 1.5"),
        ({"prompt": "b", "id": "1"}, r"field 'id': '1' stands in own.jsonl, line 1, too"),
        ({"turns": []}, r"field 'turns': found \[\]"),
        ({"turns": ["a"]}, r"field 'turns': found \['a'\]"),
        ({"turns": "abc" * 50}, r"field 'turns': found 'abc.*\.\.\."),
        ({"turns": [{"content": " "}]}, "field 'turns.content': is empty"),
        ("[1]", "field 'the line': found list"),
        ("once upon a time", "field 'the line': not JSON"),
        ("[" * 100_000, "field 'the line': not JSON"),
        (b'{"prompt": "\xff"}', "field 'the line': not UTF-8"),
    ],
)
def test_faults_name_file_line_and_field(line, message, own):
    path = own({"prompt": "a"}, line)
    with pytest.raises(ProbeError, match=message) as caught:
        texts.load(path)
    assert f"{path}, line 2, field" in str(caught.value)
    assert "hint: a line looks like" in str(caught.value)


def test_files_that_are_not_there_or_empty(own, tmp_path):
    with pytest.raises(ProbeError, match=r"cannot read .*none\.jsonl: No such file"):
        texts.load(str(tmp_path / "none.jsonl"))
    with pytest.raises(ProbeError, match=r"cannot read .*: Is a directory"):
        texts.load(str(tmp_path))
    with pytest.raises(ProbeError, match="no prompts in"):
        texts.load(own("", " "))
    for name in ("decays", "", "words", "."):
        with pytest.raises(ProbeError, match=rf"no prompts named '{re.escape(name)}'\n.*: decay\n"):
            texts.load(name)
    with pytest.raises(ProbeError, match="no lexicon 'tiny'\nexpected: one of full, small"):
        texts.load("decay", "tiny")


def test_texts_are_no_suite():
    assert tasks.suites() == ["few-shot"]
