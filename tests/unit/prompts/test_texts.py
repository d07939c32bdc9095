"""Prompts to continue: what ships, what is made, and how faults of a user's file are named."""

import hashlib
import io
import json
import re
import unicodedata
from pathlib import Path

import pytest

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import prompt, shipped, text_files, texts, toy_language
from mdlm_probe.prompts.few_shot_sets import split
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.suite import load

ROOT = Path(__file__).parent.parent.parent.parent
TASKS = ("arithmetic", "code", "prose", "question")
REQUESTS = ("code", "explain", "plan", "writing")
WORKED = (
    *(38 + 47, 512 - 269, 17 * 6, 144 // 9, 7 + 8 * 5, (23 - 8) * 4 - 11),
    *(7 * 12, 53 - 18 + 6, 34 - 9 + 5 - 12, 2 * 8 + 3 * 5, 45 % 6, 14 + 2 * 14),
    *((21 * 60 + 25) - (19 * 60 + 40), 2 * (13 + 8), 96 - 96 // 4),
)
"""The sums among the open prompts, in their order."""


@pytest.fixture
def own(tmp_path):
    def write(*lines, name="own.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\n".join(x if isinstance(x, bytes) else dumped(x) for x in lines))
        return str(path)

    return write


@pytest.fixture
def piped(monkeypatch):
    """Puts bytes into the standard input, which counts how often it is read."""

    class Once(io.BytesIO):
        reads = 0

        def read(self, *size):
            self.reads += 1
            return super().read(*size)

    def pipe(data):
        forget()
        source = Once(data)
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(source))
        return source

    def forget():
        texts.load.cache_clear()
        text_files._stdin.cache_clear()

    yield pipe
    forget()


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


DOMAINS = ("conversation", "documentation", "law", "news", "table")
SCRIPTS = {
    "arabic": "ARABIC",
    "chinese": "CJK",
    "hindi": "DEVANAGARI",
    "japanese": "HIRAGANA",
    "korean": "HANGUL",
    "russian": "CYRILLIC",
}


@pytest.mark.parametrize(
    ("prompts", "tasks"), [("domains", DOMAINS), ("languages", tuple(SCRIPTS))]
)
def test_domains_and_languages_have_their_prompts(prompts, tasks):
    loaded = texts.load(prompts)
    assert tuple(dict.fromkeys(text.task for text in loaded)) == tasks
    assert len({text.prompt for text in loaded}) == len({text.id for text in loaded}) == len(loaded)
    for task in tasks:
        found = [text for text in loaded if text.task == task]
        assert [text.id for text in found] == [f"{task}-{n:02}" for n in range(1, len(found) + 1)]
        assert len(found) >= 25
        for text in found:
            assert text.prompt == text.prompt.strip()
            assert text.continuation == text.continuation.rstrip()
            assert len(text.prompt.encode()) >= 70
            assert len(text.continuation.encode()) >= 50


@pytest.mark.parametrize("task", SCRIPTS)
def test_a_language_is_written_in_its_script(task):
    for text in texts.load("languages"):
        if text.task == task:
            letters = [c for c in text.prompt + text.continuation if c.isalpha()]
            names = [unicodedata.name(c) for c in letters]
            own = sum(name.startswith((SCRIPTS[task], "CJK")) for name in names)
            assert own > 0.8 * len(letters), text.id
            assert any(name.startswith(SCRIPTS[task]) for name in names), text.id


def rows_of(text):
    """A table's rows as lists of fields, for those with commas or bars between them."""
    whole = (text.prompt + text.continuation).splitlines()
    mark = {"|": "|", ",": ",", ";": ";"}.get(next((c for c in whole[0] if c in "|,;"), ""), "")
    return [line.strip("| ").split(mark) for line in whole] if mark else []


def test_rows_of_tables_have_as_many_fields_as_their_heads():
    checked = 0
    for text in texts.load("domains"):
        rows = rows_of(text) if text.task == "table" else []
        if rows and "|" not in text.prompt:
            assert {len(row) for row in rows} == {len(rows[0])}, text.id
            checked += 1
        elif rows:
            bars = {line.count("|") for line in (text.prompt + text.continuation).splitlines()}
            assert len(bars) == 1, text.id
            checked += 1
    assert checked >= 15


def test_names_are_joined_by_plus():
    joined = texts.load("decay+domains")
    assert joined == texts.load("decay") + texts.load("domains")
    assert texts.load("decay+decay") == texts.load("decay")
    with pytest.raises(ProbeError, match="no prompts named 'domain'"):
        texts.load("decay+domain")


@pytest.mark.parametrize("prompts", ["domains", "languages", "decay+open"])
def test_what_isnt_there_in_the_small_vocabulary_is_refused(prompts):
    with pytest.raises(ProbeError, match="small vocabulary") as caught:
        texts.load(prompts, "small")
    assert caught.value.option == "prompts"


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


def test_open_prompts_are_requests_and_sums():
    found = texts.load("open")
    assert len({text.id for text in found}) == len({text.prompt for text in found}) == 63
    assert [text.id for text in found] == [
        *(f"arithmetic-{n:02}" for n in range(1, 16)),
        *(f"{task}-{n:02}" for task in REQUESTS for n in range(1, 13)),
    ]
    for text in found:
        assert text.id.startswith(text.task)
        assert text.continuation == ""
        assert text.prompt == text.prompt.strip()
        assert 5 <= len(text.prompt.split()) <= 80
    assert not {text.prompt for text in found} & {text.prompt for text in texts.load()}


def test_the_answers_of_open_sums_are_right():
    answers = {text.task: [] for text in texts.load("open")}
    for text in texts.load("open"):
        answers[text.task].append(text.answer)
        asks = re.search(r"number only\.|only the number\.", text.prompt)
        assert bool(asks) == bool(text.answer)
    assert tuple(map(int, answers.pop("arithmetic"))) == WORKED
    assert answers == {task: [""] * 12 for task in REQUESTS}


@pytest.mark.parametrize("prompts", ["decay", "open"])
@pytest.mark.parametrize("task", ["prose", "question"])
def test_the_small_language_has_fifty_prompts_of_each_task(task, prompts):
    found = [text for text in texts.load(prompts, "small") if text.task == task]
    assert len({text.id for text in found}) == 50
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
        asked = 9 if text.answer else 0
        assert 40 <= len(cut) - asked <= 64
        assert 28 <= len(ids) - len(cut) + asked <= 34


def test_small_prose_is_the_chains_own_and_cut_anywhere():
    known = set(toy_language.prose().tokens)
    prose = texts.load("decay", "small")[:50]
    assert 2 <= sum(text.prompt.endswith(toy_language.STOP) for text in prose) <= 15
    for text in prose:
        assert len(re.findall(r" \w+|[,.]", text.continuation)) == 32
        assert set(re.findall(r" \w+|[,.]", text.prompt + text.continuation)) <= known


def test_small_questions_are_answered_rightly_and_never_of_the_training_split():
    suite = load("few-shot", "small")
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
            assert split(options) == "test"


def test_small_open_prompts_are_the_same_prose_and_questions_with_an_open_answer():
    prose, questions = texts.load("open", "small")[:50], texts.load("open", "small")[50:]
    assert prose == texts.load("decay", "small")[:50]
    suite = load("few-shot", "small")
    sources = {fs.relevant.name: fs.relevant for fs in suite.sets.values()}
    for number, text in enumerate(questions):
        assert text.prompt.endswith("\nAnswer:[")
        assert text.continuation.startswith(text.answer + "].\n\n")
        target = list(sources.values())[number % 8].target
        turns = (text.prompt + text.continuation).split("\n\n")
        assert len(turns) == len(set(turns)) == 8
        for turn in turns:
            options = re.findall(r"\([ABC]\) (\w+)", turn)
            right = re.search(r"\nAnswer:\[(\w+)\]\.$", turn)[1]
            assert [word for word in options if word in target] == [right]
            assert split(options) == "test"
        assert turns[5].endswith(f"[{text.answer}].")
        assert text.prompt.count("Answer:[") == 6


def test_finished_runs_keep_the_hash_of_their_prompts(own):
    runs = [json.loads(path.read_text()) for path in ROOT.glob("results/reference/decay/run.json")]
    written = re.findall(r"'prompts': '([0-9a-f]{16})'", repr(runs))
    assert set(written) == {texts.digest("decay", "small")}
    four = [("1", "own", "a", ""), ("2", "own", "b", " c"), ("in tokens",)]
    bare = own({"prompt": "a", "answer": ""}, {"prompt": "b", "continuation": " c"})
    assert texts.digest(bare) == hashlib.blake2b(repr(four).encode(), digest_size=8).hexdigest()


def test_the_digest_says_which_text_has_which_answer(own):
    answered = [("", ""), ("x", ""), ("", "x"), ("x", "x"), ("y", "")]
    paths = [
        own({"prompt": "a", "answer": a}, {"prompt": "b", "answer": b}, name=f"{n}/own.jsonl")
        for n, (a, b) in enumerate(answered)
    ]
    assert len({texts.digest(path) for path in paths}) == 5


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
        Text("1", "own", "Once upon a time"),
        Text("7", "odd", " a\u2028b ", " c"),
    )
    assert {text.answer for text in texts.load(path)} == {""}
    assert texts.load(path, "small") == texts.load(path)
    assert texts.corpus(texts.load(path)) == "Once upon a time\n\n a\u2028b  c"


def test_windows_line_ends(own):
    path = own(dumped({"prompt": "a"}) + b"\r", dumped({"prompt": "b"}) + b"\r")
    assert [text.prompt for text in texts.load(path)] == ["a", "b"]


def test_answers_are_texts_or_whole_numbers(own):
    answers = ("yes", 42, 0, "", None, " a b")
    path = own(*({"prompt": "a", "answer": answer} for answer in answers))
    assert [text.answer for text in texts.load(path)] == ["yes", "42", "0", "", "", " a b"]


def test_a_text_file_has_a_prompt_a_line(own):
    lines = ("\ufeffOnce upon", "", ' {"prompt": "b"}\r', "\t\r", "c\u2028d ", "é", "")
    path = own(*lines, name="mine.txt")
    assert texts.load(path) == (
        Text("1", "mine", "Once upon"),
        Text("3", "mine", ' {"prompt": "b"}'),
        Text("5", "mine", "c\u2028d "),
        Text("6", "mine", "é"),
    )
    assert texts.load(path, "small") == texts.load(path)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"prompt": "a"}\n{"prompt": "b", "id": "x", "task": "t", "answer": 3}\n', "json"),
        (b'\xef\xbb\xbf\n \n {"prompt": "a", "id": 1}\r\n{"prompt": "b", "id": "x", '
         b'"task": "t", "answer": "3"}', "json"),
        (b'{"prompt": "a"\nb', ['{"prompt": "a"', "b"]),
        (b'once\n\n{"prompt": "a"}\n', ["once", '{"prompt": "a"}']),
        (b"[1]\r\n42\n", ["[1]", "42"]),
        (b"[" * 100_000, ["[" * 100_000]),
    ],
)  # fmt: skip
def test_the_standard_input_is_jsonl_or_a_prompt_a_line_and_read_once(data, expected, piped):
    source = piped(data)
    found = texts.load("-")
    if expected == "json":
        wanted = Text("1", "stdin", "a"), Text("x", "t", "b", answer="3")
        assert found == wanted
    else:
        assert [text.prompt for text in found] == expected
        assert {text.task for text in found} == {"stdin"}
    assert texts.load("-", "full") == texts.load("-", "small") == found
    first = texts.digest("-")
    assert first == texts.digest("-", "small")
    assert source.reads == 1
    piped(data + b"\n\n")
    assert texts.digest("-") == first
    piped(b"other")
    assert texts.digest("-") != first


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no prompts in stdin\nexpected: one JSON object per line"),
        (b' \n{"prompt": "a"}\n{"text": 1}', "stdin, line 3, field 'prompt': is missing\n"),
        (b'{"prompt": "a"}\nb', "stdin, line 2, field 'the line': not JSON"),
        (b'{"prompt": "a"}\n{"prompt": "b", "id": 1}', "'1' stands in stdin, line 1, too"),
        (b"a\n\xff", "stdin, line 2, field 'the line': not UTF-8.*\n.*\nhint: every line is a"),
        (prompt.MASK.encode(), "stdin, line 1, field 'prompt': holds U.E000"),
    ],
)
def test_faults_of_the_standard_input_name_it(data, message, piped):
    source = piped(data)
    for _ in range(2):
        with pytest.raises(ProbeError, match=message):
            texts.load("-")
    assert source.reads == 1


def test_a_closed_standard_input(piped, monkeypatch):
    piped(b"")
    monkeypatch.setattr("sys.stdin", None)
    with pytest.raises(ProbeError, match="cannot read stdin: it is closed"):
        texts.load("-")


def test_a_file_named_as_the_standard_input_is_a_file(piped, tmp_path, monkeypatch):
    piped(b"from stdin")
    monkeypatch.chdir(tmp_path)
    for name in ("stdin", "-"):
        (tmp_path / name).write_text('{"prompt": "from a file"}')
        assert [text.prompt for text in texts.load(f"./{name}")] == ["from a file"]
    assert [text.prompt for text in texts.load("-")] == ["from stdin"]


def test_faults_of_a_text_file_name_file_and_line(own):
    path = own("a", b"\xff", name="mine.txt")
    with pytest.raises(ProbeError, match="line 2, field 'the line': not UTF-8") as caught:
        texts.load(path)
    assert str(caught.value).startswith(path)
    assert str(caught.value).endswith("\nhint: every line is a prompt, empty ones apart")
    with pytest.raises(ProbeError, match=r"no prompts in .*\nexpected: one prompt per line\n"):
        texts.load(own("", " ", name="empty.txt"))
    with pytest.raises(ProbeError, match=r"cannot read none\.txt: No such file"):
        texts.load("none.txt")


def test_arena_hard_is_read_as_it_is(own):
    newer = {"uid": "2e", "category": "hard_prompt", "subcategory": "coding", "prompt": "Write."}
    older = {
        "question_id": "32",
        "category": "arena-hard-v0.1",
        "cluster": "Puzzles",
        "turns": [{"content": "Solve."}, {"content": "Why?"}],
    }
    assert texts.load(own(newer, older)) == (
        Text("2e", "coding", "Write."),
        Text("32", "arena-hard-v0.1", "Solve."),
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"text": "a"}, "field 'prompt': is missing"),
        ({"prompt": ""}, "field 'prompt': is empty"),
        ({"prompt": " \n"}, "field 'prompt': is empty"),
        ({"prompt": None}, "field 'prompt': found None"),
        ({"prompt": ["a"]}, r"field 'prompt': found \['a'\]\nexpected: a text"),
        ({"prompt": "a" + prompt.MASK}, r"stands for a mask"),
        ('{"prompt": "\\ud800"}', "half a surrogate pair"),
        ({"prompt": "a", "continuation": 3}, "field 'continuation': found 3"),
        ({"prompt": "a", "continuation": 0}, "field 'continuation': found 0"),
        ({"prompt": "a", "continuation": prompt.MASK}, "field 'continuation': holds U"),
        ({"prompt": "a", "answer": 1.5}, "field 'answer': found 1.5"),
        ({"prompt": "a", "answer": False}, "field 'answer': found False"),
        ({"prompt": "a", "answer": [3]}, r"field 'answer': found \[3\]"),
        ({"prompt": "a", "answer": " "}, "field 'answer': is empty"),
        ({"prompt": "a", "answer": prompt.MASK}, "field 'answer': holds U"),
        ({"prompt": "a", "id": True}, "field 'id': found True"),
        ({"prompt": "a", "id": ""}, "field 'id': is empty"),
        ({"prompt": "a", "task": 1.5}, "field 'task': found 1.5"),
        ({"prompt": "b", "id": "1"}, r"field 'id': '1' stands in own.jsonl, line 1, too"),
        ({"turns": []}, r"field 'turns': found \[\]"),
        ({"turns": [7]}, r"field 'turns': found \[7\]"),
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
        with pytest.raises(
            ProbeError,
            match=rf"named '{re.escape(name)}'\n.*: decay, domains, languages, open, recall\n",
        ):
            texts.load(name)
        with pytest.raises(ProbeError, match="no prompts named"):
            texts.load(name, "small")
    with pytest.raises(ProbeError, match="no lexicon 'tiny'\nexpected: one of full, small"):
        texts.load("decay", "tiny")


def test_texts_are_no_suite():
    points = ["points", "points-alternating", "points-grouped"]
    assert shipped.suites() == ["few-shot", *points]
