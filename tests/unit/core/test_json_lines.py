"""The resumable log: whatever byte a process stops at, the next one ends with the same file."""

import errno
import json
import os
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulations import repeats, simulation

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.decoding.answers import Answer
from mdlm_probe.harness import AnswerLog
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.answer_writer import record_of
from mdlm_probe.runs.judges.answer_pairs import AnswerPair, JudgedAnswer
from mdlm_probe.runs.judges.judge_calls import Call
from mdlm_probe.runs.judges.replies import Replies

RECORDS = [{"id": "é\n", "n": 1.5}, {"id": "", "x": [None, True]}, {"id": "c\u2028\r", "a": {}}]
WHOLE = '{"id": "é\\n", "n": 1.5}\n{"id": "", "x": [null, true]}\n{"id": "c\u2028\\r", "a": {}}\n'


def opened(path, **style):
    return JsonLines(path, "record", ("id",), **style)


def test_an_object_is_a_line_and_nothing_is_made_before_the_first(tmp_path):
    log = opened(tmp_path / "log")
    log.append([])
    assert not log.path.exists()
    log.append(RECORDS[:1])
    log.append(iter(RECORDS[1:]))
    assert log.path.read_text(encoding="utf-8") == WHOLE
    assert opened(log.path).records == RECORDS
    assert log.records == []  # what was there when it was opened


def test_it_is_resumed_at_every_byte(tmp_path):
    path, whole = tmp_path / "log", WHOLE.encode()
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        log = opened(path)
        assert log.records == RECORDS[: whole[:size].count(b"\n")]
        assert path.read_bytes() == whole[: whole[:size].rfind(b"\n") + 1]
        log.append(RECORDS[len(log.records) :])
        assert path.read_bytes() == whole


@pytest.mark.parametrize("count", range(5))
def test_it_is_cut_to_its_first_lines(tmp_path, count):
    path = tmp_path / "log"
    path.write_text(WHOLE, encoding="utf-8")
    log = opened(path)
    log.cut(count)
    assert log.records == RECORDS[:count]
    assert path.read_bytes() == b"".join(WHOLE.encode().splitlines(keepends=True)[:count])
    log.append(RECORDS[count:])
    assert path.read_text(encoding="utf-8") == WHOLE


@pytest.mark.parametrize(
    "line", ["", "{", "1", "[]", "null", '{"name": "x"}', '"id"', "\ud800", '{"id": 1}}']
)
def test_a_line_of_something_else_is_named_and_left(tmp_path, line):
    path = tmp_path / "log"
    path.write_bytes(f'{{"id": 0}}\n{line}\n{{"torn'.encode(errors="surrogatepass"))
    before = path.read_bytes()
    with pytest.raises(ProbeError, match=r"log, line 2: no record\n"):
        opened(path)
    assert path.read_bytes() == before


class Full:
    """A disk that takes so many bytes more, and a file on it."""

    def __init__(self, file, room, error):
        self.file, self.room, self.error = file, room, error

    def write(self, data):
        if not self.room:
            raise self.error
        taken = self.file.write(data[: self.room])
        self.room -= taken
        return taken

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left"), ProbeError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
@pytest.mark.parametrize("room", [0, 1, 20, 60])
def test_lines_that_do_not_fit_leave_nothing(tmp_path, monkeypatch, room, error, seen):
    log = opened(tmp_path / "log")
    log.append(RECORDS[:1])
    before, inner = log.path.read_bytes(), type(log.path).open
    with monkeypatch.context() as patched:
        patched.setattr(
            type(log.path),
            "open",
            lambda *given, **named: Full(inner(*given, **named), room, error),
        )
        with pytest.raises(seen):
            log.append(RECORDS[1:] * 3)
    assert log.path.read_bytes() == before
    log.append(RECORDS[1:])
    assert log.path.read_text(encoding="utf-8") == WHOLE


class Whole(Full):
    """A file that Ctrl-C comes to right behind a write."""

    def write(self, data):
        self.file.write(data)
        raise self.error


def test_what_is_whole_when_ctrl_c_comes_stays(tmp_path, monkeypatch):
    """Right behind the write, or until it is safe on the disk."""
    log = opened(tmp_path / "log")
    log.append(RECORDS[:1])
    inner, lines = type(log.path).open, [f"{line}\n" for line in WHOLE.split("\n")]
    with monkeypatch.context() as patched:
        patched.setattr(
            type(log.path),
            "open",
            lambda *given, **named: Whole(inner(*given, **named), 0, KeyboardInterrupt()),
        )
        with pytest.raises(KeyboardInterrupt):
            log.append(RECORDS[1:2])
    assert log.path.read_text(encoding="utf-8") == "".join(lines[:2])
    for error, kept in ((OSError(errno.EIO, "Input/output error"), 2), (KeyboardInterrupt(), 3)):
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", Mock(side_effect=error))
            with pytest.raises((ProbeError, KeyboardInterrupt)):
                log.append(RECORDS[2:3])
        assert log.path.read_text(encoding="utf-8") == "".join(lines[:kept])


def test_a_place_that_can_not_be_used_is_an_error(tmp_path):
    with pytest.raises(ProbeError, match="cannot use"):
        opened(tmp_path)
    with pytest.raises(ProbeError, match="cannot use"):
        opened(tmp_path / "nowhere" / "log").append(RECORDS)


# ---------------------------------------------------------------------- the three logs


def pair(name="p", text="é\n"):
    first, second = JudgedAnswer(text), JudgedAnswer("plain")
    return AnswerPair(name, "m", "1", "t", "", "0", "shift", "0.1", first, second, "asked")


def test_replies_are_the_bytes_that_they_were(tmp_path):
    path, call = tmp_path / "replies", Call(pair(), "first")
    stamp = {"judge": "jü", "prompt": None, "config": "c"}
    Replies(path, stamp).add(call, {"response": {"b": "é", "a": 1}})
    line = (
        f'{{"call": "{call.id}", "config": "c", "judge": "j\\u00fc", "order": "first", "pair": "p",'
        ' "prompt": null, "response": {"a": 1, "b": "\\u00e9"}}\n'
    )
    assert path.read_text() == line
    again = Replies(path, stamp)
    assert again.get(call) == {"response": {"b": "é", "a": 1}}
    assert again.settled(call)
    again.add(call, {"failed": "later"})  # the last one counts
    assert not Replies(path, stamp).settled(call)
    assert Replies(path, stamp | {"config": "other"}).get(call) is None
    assert path.read_text().startswith(line)


def test_answers_to_requests_are_the_bytes_that_they_were(tmp_path):
    path = tmp_path / "answers"
    path.write_bytes('{"key": "k", "text": "é", "tokens": 1}\n'.encode())
    log = AnswerLog(path)
    assert log["k"] == {"text": "é", "tokens": 1}
    log.add({"k": {"text": "other"}, "l": {"logp": -0.5}})  # a name's answer stays
    assert AnswerLog(path)["k"] == {"text": "é", "tokens": 1}
    expected = '{"key": "k", "text": "é", "tokens": 1}\n{"key": "l", "logp": -0.5}\n'
    assert path.read_text(encoding="utf-8") == expected


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@simulation
@settings(deadline=None, max_examples=repeats(300))
@given(
    st.lists(st.dictionaries(TEXT, JSON), max_size=6),
    st.data(),
)
@pytest.mark.slow
def test_what_is_read_is_what_was_written_up_to_the_cut(tmp_path_factory, given_records, data):
    path = tmp_path_factory.getbasetemp() / "read up to the cut"
    path.unlink(missing_ok=True)
    records = [{**record, "id": n} for n, record in enumerate(given_records)]
    style = {"sort_keys": data.draw(st.booleans()), "ensure_ascii": data.draw(st.booleans())}
    opened(path, **style).append(records)
    whole = path.read_bytes() if records else b""
    assert whole == "".join(json.dumps(r, **style) + "\n" for r in records).encode()
    if records:
        os.truncate(path, data.draw(st.integers(0, len(whole))))
        log = opened(path, **style)
        assert log.records == records[: len(log.records)]
        log.append(records[len(log.records) :])
        assert path.read_bytes() == whole


def test_an_answer_to_a_prompt_has_its_steps_and_probabilities():
    decoded = SimpleNamespace(passes=2, steps=[2, 1, 1], logprobs=[-0.123456, -1.0, -9.0])
    answer = Answer((5, 6), (0, 1), "é b", True, decoded)
    found = record_of("m", Text("1", "task", "p"), answer)
    assert json.dumps(found, ensure_ascii=False) == (
        '{"prompt": "1", "task": "task", "model": "m", "prompt_text": "p", "answer": "é b",'
        ' "ended": true,'
        ' "answer_tokens": 2, "passes": 2, "words": null, "valid": null, "valid_new": null,'
        ' "pairs": null, "kept": null, "truth": null, "repeated": null, "longest_repeat": 0,'
        ' "distinct_1": 1.0, "distinct_2": 1.0, "entropy_1": 0.6931, "entropy_2": 0.0,'
        ' "token_steps": [2, 1], "logprobs": [-0.1235, -1.0]}'
    )
