"""Answers as JSONL: what is written, what is resumed, what Arena-Hard's scripts find."""

import json
import time

import pytest
from checkpoints import write_llada
from commands import call

from mdlm_probe import models
from mdlm_probe.core.columns import names
from mdlm_probe.decoding import answers
from mdlm_probe.decoding.schedule import Schedule
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts import texts
from mdlm_probe.runs import generate
from mdlm_probe.runs.answer_writer import COLUMNS
from mdlm_probe.runs.arena_hard import write_arena_hard
from tests.fuzz.kills import killed

SHORT = ["--length", "8", "--limit", "2", "--quiet"]


def typed(*arguments, fails=False, **more):
    result = call("generate", *arguments, code=None, **more)
    assert (result.exit_code != 0) is fails, result.output
    return result.output


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_answers_are_those_of_the_loop(tmp_path):
    said = typed("-m", "tiny-mdlm", *SHORT, "--order", "random", "-o", tmp_path)
    assert "generate: quality" in said
    assert "truth" in said
    assert (tmp_path / "generate-quality.csv").exists()
    found = rows(tmp_path / "generate__tiny-mdlm.jsonl")
    assert [row["prompt"] for row in found] == [
        "prose-01",
        "prose-02",
        "question-01",
        "question-02",
    ]
    request = generate.plan(lexicon="small", length=8, limit=2, order="random")
    engine = Engine(models.load(models.resolve("tiny-mdlm")), batch_tokens=4096)
    for row, text in zip(found, request.texts, strict=True):
        (alone,) = answers.write(engine, [text], 8, [request.schedule_of(text)], ["x"])
        assert row["answer"] == alone.text
        assert row["prompt"] == text.id
        assert row["prompt_text"] == text.prompt
        # no adapter here has slack, and nothing is filled in
        left = {"slack_share", "parts", "filled_text"}
        assert tuple(row) == tuple(name for name in names(COLUMNS) if name not in left)
        kinds = {column.name: column.type for column in COLUMNS if row.get(column.name) is not None}
        assert all(isinstance(row[name], (kind, int)) for name, kind in kinds.items())
        assert row["answer_tokens"] == 0 or row["entropy_1"] >= 0
        assert (row["truth"] is None) == (text.task == "question")
        assert row["token_steps"] == list(alone.decoded.steps)
        assert row["answer_tokens"] == len(alone.ids) == len(row["logprobs"])
        assert row["passes"] == 8


def test_answers_can_be_piped(tmp_path, monkeypatch):
    """Quiet, they go to stdout, and what is written where to stderr; `-` keeps no file."""
    usual = call("generate", "-m", "tiny-mdlm", *SHORT[:-1], "-o", tmp_path / "a")
    assert "generate: quality" in usual.stdout
    assert "wrote" not in usual.stdout
    quiet = call("generate", "-m", "tiny-mdlm", *SHORT, "-o", tmp_path / "b")
    path = tmp_path / "b" / "generate__tiny-mdlm.jsonl"
    assert quiet.stdout == path.read_text()
    assert f"wrote {path}" in quiet.stderr
    assert "quality" in quiet.stderr
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    piped = call("generate", "-m", "tiny-mdlm", *SHORT, "-o", "-")
    assert piped.stdout == quiet.stdout
    assert piped.stderr == ""
    refused = call("generate", "-m", "tiny-mdlm", "--arena-hard", "-o", "-", code=1)
    assert "--arena-hard writes a file" in refused.stderr
    assert "--output is '-'" in call("masks", "-o", "-", code=1).stderr
    assert list(here.iterdir()) == []


def test_prompts_come_as_text_file_lines_and_stdin(tmp_path):
    typed(" the wind", " the hill", "-m", "oracle", "--length", 4, "-q", "-o", tmp_path / "a")
    (tmp_path / "p.txt").write_text(" the wind\n\n the hill\n")
    typed("--prompts", tmp_path / "p.txt", "-m", "oracle", "--length", 4, "-q",
          "-o", tmp_path / "b")  # fmt: skip
    texts.load.cache_clear()
    lines = '{"prompt": " the wind"}\n{"prompt": " the hill"}\n'
    how = ("-m", "oracle", "--length", 4, "-q", "-o", tmp_path / "c")
    call("generate", "--prompts", "-", *how, input=lines)
    written = [
        [row["answer"] for row in rows(tmp_path / folder / "generate__oracle.jsonl")]
        for folder in "abc"
    ]
    assert written[0] == written[1] == written[2]
    assert len(written[0]) == 2


def test_prompts_that_leave_no_room_are_left_out_and_counted(tmp_path):
    """As cells of a probe are; a run of nothing else says what is too long."""
    (tmp_path / "p.txt").write_text(" the wind\n" + " the" * 2000 + "\n the hill\n")
    how = ("-m", "tiny-mdlm", "--length", 4, "-o", tmp_path / "a")
    said = call("generate", "--prompts", tmp_path / "p.txt", *how).stderr
    assert "tiny-mdlm: 1 prompts left out: longer than its context of" in said
    assert [row["prompt"] for row in rows(tmp_path / "a" / "generate__tiny-mdlm.jsonl")] == [
        "1",
        "3",
    ]
    assert "nothing to do" in call("generate", "--prompts", tmp_path / "p.txt", *how).stderr
    (tmp_path / "q.txt").write_text(" the" * 2000)
    assert "leave this prompt out" in typed("--prompts", tmp_path / "q.txt", *how, fails=True)


def test_causal_models_write_too(tmp_path):
    typed(" the wind", "-m", "tiny-arlm", "--length", 6, "-q", "-o", tmp_path)
    (row,) = rows(tmp_path / "generate__tiny-arlm.jsonl")
    assert row["token_steps"] == [1, 2, 3, 4, 5, 6]


def test_a_seed_draws_other_answers_and_the_same_one_the_same(tmp_path):
    found = []
    for folder, seed in (("a", 0), ("b", 1), ("c", 0)):
        typed(" the", "-m", "tiny-mdlm", "--length", 8, "--temperature", 1, "--seed", seed, "-q",
              "-o", tmp_path / folder)  # fmt: skip
        found.append(rows(tmp_path / folder / "generate__tiny-mdlm.jsonl")[0]["answer"])
    assert found[0] == found[2] != found[1]


def test_a_killed_run_goes_on_and_ends_the_same(tmp_path):
    options = ["--limit", "6", "--length", "16", "--batch-tokens", "64", "--device", "cpu"]
    typed("-m", "tiny-mdlm", *options, "-q", "-o", tmp_path / "whole")
    path = tmp_path / "cut" / "generate__tiny-mdlm.jsonl"
    with killed(f"generate -m tiny-mdlm {' '.join(options)}", path.parent) as lives:
        while lives() and not (path.exists() and path.stat().st_size):
            time.sleep(0.002)
    assert path.stat().st_size > 0, "it was killed at work"
    with path.open("ab") as file:
        file.write(b'{"prompt": "torn')
    typed("-m", "tiny-mdlm", *options, "-q", "-o", tmp_path / "cut")
    assert path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes()
    assert "finished" in (tmp_path / "cut" / "run.json").read_text()
    # the same command again does nothing; another one is refused, unless it starts over
    stamp = path.stat().st_mtime_ns
    typed("-m", "tiny-mdlm", *options, "-q", "-o", tmp_path / "cut")
    assert path.stat().st_mtime_ns == stamp
    assert "options.seed: 0 -> 1" in typed(
        "-m", "tiny-mdlm", *options, "--seed", 1, "-o", tmp_path / "cut", fails=True
    )
    short = ["--limit", "1", "--length", "4", "--fresh", "-q", "-o", tmp_path / "cut"]
    typed("-m", "tiny-mdlm", *short)
    assert len(rows(path)) == 2


def test_a_file_of_other_answers_is_refused(tmp_path):
    typed(" the", "-m", "tiny-mdlm", "--length", 4, "-q", "-o", tmp_path)
    path = tmp_path / "generate__tiny-mdlm.jsonl"
    path.write_text('{"prompt": "other", "prompt_text": ""}\n')
    found = typed(" the", "-m", "tiny-mdlm", "--length", 4, "-q", "-o", tmp_path, fails=True)
    assert "holds answers to other prompts" in found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--length", "10", "--block", "4"], "--block 4 does not divide --length 10"),
        (["--length", "8", "--block", "2", "--steps", "3"], "are fewer than the 4 blocks"),
        (["--length", "0"], "--length has 0"),
        (["--temperature", "-1"], "--temperature has -1"),
        (["--threshold", "1.5"], "--threshold has 1.5"),
        (["--guidance", "1", "--cache", "dual"], "don't go together"),
        (["--prompts", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["--prompts", "opem"], "no prompts named 'opem'"),
        (["--tasks", "pros"], "unknown task 'pros'"),
        (["--length", "2016"], "at most 1024"),
        ([" "], "prompt 1 is empty"),
        (["--model", "oracle", "--cache", "prefix"], "has no keys and values"),
    ],
)
def test_bad_input_is_said(tmp_path, arguments, message):
    named = [] if "--model" in arguments else ["-m", "tiny-mdlm"]
    found = typed(*named, *arguments, "-o", tmp_path, fails=True)
    assert message in found
    assert "Traceback" not in found


def test_steps_beyond_the_masks_change_nothing(tmp_path):
    """The steps that have no mask left commit nothing, and the model isn't asked for them."""
    written = {}
    for steps in (4, 8, 9):
        typed("-m", "tiny-mdlm", *SHORT, "--steps", steps, "-o", tmp_path / str(steps))
        found = rows(tmp_path / str(steps) / "generate__tiny-mdlm.jsonl")
        written[steps] = [
            [row[name] for name in ("answer", "token_steps", "passes")] for row in found
        ]
    assert written[9] == written[8] != written[4]
    assert {passes for *_, passes in written[9]} == {8}


def test_arena_hard_reads_the_answers(tmp_path):
    question = {"uid": "u1", "category": "hard_prompt", "subcategory": "c", "prompt": " the wind"}
    (tmp_path / "question.jsonl").write_text(json.dumps(question) + "\n")
    typed("--prompts", tmp_path / "question.jsonl", "-m", "tiny-mdlm", "--length", 8, "-q",
          "--arena-hard", "-o", tmp_path / "r")  # fmt: skip
    (row,) = rows(tmp_path / "r" / "model_answer" / "tiny-mdlm.jsonl")
    (own,) = rows(tmp_path / "r" / "generate__tiny-mdlm.jsonl")
    assert row["uid"] == "u1"
    assert row["model"] == "tiny-mdlm"
    assert row["messages"][0] == {"role": "user", "content": " the wind"}
    assert row["messages"][-1]["content"]["answer"] == own["answer"]
    assert row["metadata"]["token_len"] == 8


def test_markdown_is_counted_outside_code(tmp_path):
    answer = "# A\n## B\n- x\n* y\n 1. z\n**bold** and __more__\n```\n# no\n- no\n```"
    line = {"prompt": "1", "prompt_text": "p", "answer": answer, "answer_tokens": 3}
    (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n")
    (row,) = rows(write_arena_hard(tmp_path / "a.jsonl", "m"))
    assert row["metadata"]["header_count"] == {f"h{n}": int(n < 3) for n in range(1, 7)}
    assert row["metadata"]["list_count"] == {"ordered": 1, "unordered": 2}
    assert row["metadata"]["bold_count"] == {"**": 1, "__": 1}


def test_the_canvas_is_drawn(tmp_path):
    found = typed(" the", "-m", "tiny-mdlm", "--length", 8, "--show", "-o", tmp_path)
    (row,) = rows(tmp_path / "generate__tiny-mdlm.jsonl")
    assert row["answer"] in found
    assert "step 8" in found
    assert "tokens/s" in found


def test_a_checkpoint_folder_has_no_defaults(tmp_path):
    write_llada(tmp_path / "own", context=512)
    typed("hello", "-m", tmp_path / "own", "--length", 4, "-q", "-o", tmp_path / "r")
    (row,) = rows(tmp_path / "r" / "generate__own.jsonl")
    assert len(row["token_steps"]) <= 4


def test_schedules_get_seeds_of_their_own():
    request = generate.plan(text=("a", "b"), length=4)
    first, second = (request.schedule_of(text) for text in request.texts)
    assert first.seed != second.seed
    assert Schedule(4, 4, seed=first.seed) == first
