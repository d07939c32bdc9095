"""Answers in benchmarks' own files, and second turns that follow the model's own first answers."""

import json

import pytest
from commands import call

from mdlm_probe import models
from mdlm_probe.decoding import answers
from mdlm_probe.engine.engine import Engine
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs import benchmark_answers, generate
from mdlm_probe.runs.judges import answer_sets

QUESTIONS = [
    {"question_id": 101, "category": "math", "turns": [" a road", " that hill"]},
    {"question_id": 81, "category": "writing", "turns": [" the wind", " the stone"]},
]
SESSIONS = [
    {
        "session_id": name,
        "conversation_input": [{"role": role, "content": said} for role, said in turns],
        "primary_tag": tag,
    }
    for name, tag, turns in (
        ("z", "Math", [("user", "a"), ("assistant", "b"), ("user", "c")]),
        ("y", "Coding", [("user", "d")]),
        ("x", "Math", [("user", "e")]),
    )
]
WRITING = {
    "2": {"writing_prompt": "A <SEED> story", "seed_modifiers": ["sad", "odd"]},
    "10": {"writing_prompt": "A poem", "seed_modifiers": ["one"]},
}


def saved(folder, name, content):
    path = folder / name
    path.write_text(
        json.dumps(content)
        if name.endswith("json")
        else "".join(json.dumps(row) + "\n" for row in content)
    )
    return path


def answered(folder, answers, name="generate__m.jsonl"):
    """A JSONL as `generate` leaves it."""
    rows = [{"prompt": prompt, "prompt_text": "p", "answer": a} for prompt, a in answers.items()]
    return saved(folder, name, rows)


@pytest.fixture(scope="module")
def two_turns(tmp_path_factory):
    folder = tmp_path_factory.mktemp("turns")
    prompts = saved(folder, "question.jsonl", QUESTIONS)
    typed = ["generate", "--prompts", prompts, "-m", "tiny-arlm", "--length", 6, "-q",
             "--answers-as", "mt-bench", "-o", folder / "r"]  # fmt: skip
    call(*typed)
    return folder / "r", typed


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_second_turn_follows_the_first_answer(two_turns):
    folder, typed = two_turns
    first = {row["prompt"]: row for row in lines_of(folder / "generate__tiny-arlm.jsonl")}
    second = lines_of(folder / "generate__tiny-arlm__turn-2.jsonl")
    assert [row["prompt_text"] for row in second] == [" that hill", " the stone"]
    request = generate.plan(prompts=str(typed[2]), length=6)
    engine = Engine(models.load(models.resolve("tiny-arlm")), batch_tokens=4096)
    for row, text in zip(second, request.texts, strict=True):
        said = ((text.prompt, first[text.id]["answer"]),)
        asked = Text(text.id, text.task, text.then[0], history=said)
        schedule = request.schedule_of(asked)
        (alone,) = answers.write(engine, [asked], 6, [schedule], ["x"])
        assert row["answer"] == alone.text
        (bare,) = answers.write(
            engine, [Text(text.id, text.task, text.then[0])], 6, [schedule], ["x"]
        )
        assert bare.text != alone.text, "what was said before counts"


def test_two_turns_resume_and_are_one_set_of_answers(two_turns):
    folder, typed = two_turns
    before = {path: path.read_bytes() for path in folder.rglob("*.jsonl")}
    said = call(*[part for part in typed if part != "-q"]).stderr
    assert said.count("finished: nothing to do") == 2
    (folder / "generate__tiny-arlm__turn-2.jsonl").write_bytes(
        before[folder / "generate__tiny-arlm__turn-2.jsonl"].split(b"\n")[0] + b"\n"
    )
    call(*typed)
    assert {path: path.read_bytes() for path in folder.rglob("*.jsonl")} == before
    (one,) = answer_sets.load([folder])
    assert [answer.asked.prompt for answer in one.answers] == [" a road", " the wind"]


def test_mt_bench_finds_both_turns_by_question(two_turns):
    folder, _ = two_turns
    found = lines_of(folder / "mt_bench" / "model_answer" / "tiny-arlm.jsonl")
    assert [row["question_id"] for row in found] == [81, 101], "sorted, as FastChat leaves them"
    turns = [
        {row["prompt"]: row["answer"] for row in lines_of(folder / f"generate__tiny-arlm{end}")}
        for end in (".jsonl", "__turn-2.jsonl")
    ]
    for row in found:
        own = [answers[str(row["question_id"])] for answers in turns]
        assert row["choices"] == [{"index": 0, "turns": own}]
        assert row["model_id"] == "tiny-arlm"
        assert row.keys() >= {"answer_id", "tstamp"}


def test_mt_bench_needs_two_turns_of_every_question(tmp_path):
    path = answered(tmp_path, {"81": "a", "82": "b"})
    answered(tmp_path, {"81": "c"}, "generate__m__turn-2.jsonl")
    with pytest.raises(benchmark_answers.ProbeError, match=r"question '82' has 1 answer\(s\)"):
        benchmark_answers.write(path, "m", "mt-bench", "")


def test_wildbench_finds_answers_in_its_own_order(tmp_path):
    prompts = saved(tmp_path, "wild.jsonl", SESSIONS)
    path = answered(tmp_path, {"z": " Z\n", "x": "X", "y": "Y"})  # by task, as `generate` has them
    found = benchmark_answers.write(path, "m", "wildbench", str(prompts))
    assert found == tmp_path / "result_dirs" / "wild_bench_v2" / "m.json"
    rows = json.loads(found.read_text())
    assert [(row["session_id"], row["output"]) for row in rows] == [
        ("z", ["Z"]), ("y", ["Y"]), ("x", ["X"]),
    ]  # fmt: skip
    assert rows[0]["chat_history"] == ["a", "b", "c"]
    assert {row["generator"] for row in rows} == {"m"}
    assert [row["primary_tag"] for row in rows] == ["Math", "Coding", "Math"]


def test_creative_writing_finds_tasks_to_judge(tmp_path):
    prompts = saved(tmp_path, "prompts_v3.json", WRITING)
    long = "word " * 200
    path = answered(tmp_path, {"2/1": long, "2/2": "short", "10/1": long, "2/3": long})
    found = benchmark_answers.write(path, "org.m", "creative-writing", str(prompts))
    ((key, run),) = json.loads(found.read_text()).items()
    assert key == "mdlm-probe__org_m"
    assert run["test_model"] == "org.m"
    tasks = run["creative_tasks"]
    assert {number: list(own) for number, own in tasks.items()} == {
        "1": ["2", "10"], "2": ["2"], "3": ["2"],
    }  # fmt: skip
    assert [tasks[n]["2"]["seed_modifiers"] for n in "123"] == [["sad"], ["odd"], ["sad"]]
    one = tasks["1"]["2"]
    assert (one["status"], one["test_model"], one["base_prompt"]) == (
        "generated", "org.m", "A <SEED> story",
    )  # fmt: skip
    assert one["results_by_modifier"]["sad"] == {
        "model_response": long.strip(), "generation_failed": False,
    }  # fmt: skip
    failed = tasks["2"]["2"]["results_by_modifier"]["odd"]
    assert failed["generation_failed"], "as the benchmark itself has it, under 500 characters"


@pytest.mark.parametrize("form", ["mt-bench", "wildbench", "creative-writing"])
def test_other_prompts_are_refused_before_anything_is_written(tmp_path, form):
    prompts = saved(tmp_path, "own.jsonl", [{"prompt": " the wind"}])
    for typed in (["--prompts", prompts], [" the"], ["--prompts", "open"]):
        result = call("generate", *typed, "-m", "tiny-arlm", "--answers-as", form,
                      "-o", tmp_path / "r", code=1)  # fmt: skip
        assert "of that benchmark" in result.stderr or "own questions" in result.stderr
    assert not (tmp_path / "r").exists()
    piped = call("generate", "--answers-as", "arena-hard", "-o", "-", code=1)
    assert "--answers-as writes a file" in piped.stderr
