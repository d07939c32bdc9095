"""Answers in the files that open-ended benchmarks' own judges read."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.prompts import benchmark_lines, texts
from mdlm_probe.runs.arena_hard import write_arena_hard
from mdlm_probe.runs.turns import turn_path

Row = dict[str, Any]

SHORTEST = 500
"""Characters below which Creative Writing v3 takes an answer for a failure."""
JUDGE = "anthropic/claude-3.7-sonnet"
"""Creative Writing v3's own judge, which its file of runs names for every task."""


def write(path: Path, model: str, form: str, prompts: str) -> Path:
    """Writes the answers of a JSONL in a benchmark's form, beside it; returns that path.

    Args:
        path: of the answers.
        model: the name that the benchmark shows.
        form: one of `FORMS`.
        prompts: the file of questions that they answer, in the benchmark's own form.

    Raises:
        ProbeError: prompts that aren't the benchmark's; a question without all its answers; a file
            that can't be written.
    """
    if form == "arena-hard":
        return write_arena_hard(path, model)
    place, content = FORMS[form](path, model, prompts)
    target = path.parent / place
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    except OSError as error:
        raise unusable(target, error) from error
    return target


def check(form: str, prompts: str) -> None:
    """Refuses prompts that aren't of a benchmark, before anything is written.

    Raises:
        ProbeError: saying what is missing.
    """
    if form == "mt-bench":
        source = _prompts_file(prompts)
        if not all(len(text.then) == 1 for text in texts.load(prompts)):
            raise _foreign(source, ("question_id", "turns: two of them"))
    elif form == "wildbench":
        _questions(prompts, ("session_id", "conversation_input"))
    elif form == "creative-writing":
        _writing_prompts(prompts)


def _mt_bench(path: Path, model: str, prompts: str) -> tuple[str, str]:
    """FastChat's data/mt_bench/model_answer/MODEL.jsonl: a line for each question, two turns."""
    found: dict[str, list[str]] = {row["prompt"]: [] for row in _lines(path)}
    turn = 1
    while turn_path(path, turn).exists():
        for row in _lines(turn_path(path, turn)):
            found[row["prompt"]].append(row["answer"])
        turn += 1
    rows = []
    for name, turns in found.items():
        if len(turns) < 2 or len(turns) != turn - 1:
            raise ProbeError(
                f"question '{name}' has {len(turns)} answer(s): MT-Bench's judge reads two",
                expected="MT-Bench's question.jsonl as --prompts, and room for both turns",
                option="answers_as",
            )
        own = [model, name, *turns]
        rows.append(
            {
                "question_id": int(name) if name.isdecimal() else name,
                "answer_id": hashlib.blake2b(json.dumps(own).encode(), digest_size=11).hexdigest(),
                "model_id": model,
                "choices": [{"index": 0, "turns": turns}],
                "tstamp": 0.0,
            }
        )
    rows.sort(key=lambda row: (isinstance(row["question_id"], str), row["question_id"]))
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return f"mt_bench/model_answer/{model}.jsonl", "".join(lines)


def _wildbench(path: Path, model: str, prompts: str) -> tuple[str, str]:
    """WildBench's result_dirs/wild_bench_v2/MODEL.json: a list in the order of its questions."""
    answers = {row["prompt"]: row["answer"] for row in _lines(path)}
    rows = []
    for one in _questions(prompts, ("session_id", "conversation_input")):
        if str(one["session_id"]) not in answers:
            continue
        said = [message["content"] for message in one["conversation_input"]]
        rows.append(
            {
                "session_id": one["session_id"],
                "chat_history": said,
                "model_input": "n/a",
                "output": [answers[str(one["session_id"])].strip()],
                "generator": model,
                "configs": {},
                "dataset": "wild_bench",
                "primary_tag": one.get("primary_tag", ""),
            }
        )
    return f"result_dirs/wild_bench_v2/{model}.json", _document(rows)


def _creative_writing(path: Path, model: str, prompts: str) -> tuple[str, str]:
    """Creative Writing v3's file of runs: what is generated there is judged, and nothing written.

    Answers of fewer than `SHORTEST` characters are failures there, and so here.
    """
    answers = {row["prompt"]: row["answer"].strip() for row in _lines(path)}
    source, document = _writing_prompts(prompts)
    tasks: dict[str, dict[str, Row]] = {}
    for number in range(benchmark_lines.ITERATIONS):
        for name, one in document.items():
            answer = answers.get(f"{name}/{number + 1}")
            if answer is None:
                continue
            seed = benchmark_lines.seed_of(number, one) or ""
            short = len(answer) < SHORTEST
            block = {"model_response": answer, "generation_failed": short}
            block |= {"error_message": f"fewer than {SHORTEST} characters"} if short else {}
            tasks.setdefault(str(number + 1), {})[name] = {
                "prompt_id": name,
                "base_prompt": one["writing_prompt"],
                "seed_modifiers": [seed],
                "iteration_index": number + 1,
                "test_model": model,
                "judge_model": JUDGE,
                "status": "generated",
                "start_time": None,
                "end_time": None,
                "error": None,
                "results_by_modifier": {seed: block},
            }
    run = {
        "test_model": model,
        "judge_model": JUDGE,
        "status": "running",
        "creative_prompts_file": f"data/{source.name}",
        "creative_tasks": tasks,
        "results": {},
    }
    own = re.sub(r"[^a-zA-Z0-9_-]+", "_", model)
    return f"creative_writing/{model}.json", _document({f"mdlm-probe__{own}": run})


FORMS: dict[str, Callable[[Path, str, str], tuple[str, str]]] = {
    "mt-bench": _mt_bench,
    "creative-writing": _creative_writing,
    "wildbench": _wildbench,
}
"""Who writes a benchmark's file, by the benchmark's name: where it goes, and what is in it."""
NAMES = ("arena-hard", *FORMS)


def _document(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _prompts_file(prompts: str) -> Path:
    """The file of questions.

    Raises:
        ProbeError: there is none: prompts were typed, came from stdin, or are shipped ones.
    """
    found = texts.paths(prompts) if prompts else ()
    if len(found) != 1 or not found[0].is_file():
        raise ProbeError(
            f"--answers-as needs the benchmark's own questions, not '{prompts}'",
            expected="its file as --prompts",
            option="answers_as",
        )
    return found[0]


def _questions(prompts: str, needed: Sequence[str]) -> list[Row]:
    """The lines of a file of questions as they stand, in its order."""
    source = _prompts_file(prompts)
    data = source.read_bytes().removeprefix(b"\xef\xbb\xbf")
    rows = benchmark_lines.rows_of(data) if source.suffix == ".json" else None
    if rows is None:
        rows = [json.loads(line) for line in data.split(b"\n") if line.strip()]
    if not all(isinstance(row, dict) and all(name in row for name in needed) for row in rows):
        raise _foreign(source, needed)
    return rows


def _writing_prompts(prompts: str) -> tuple[Path, dict[str, Row]]:
    """The file of writing prompts, and what it says of each by id."""
    source = _prompts_file(prompts)
    data = source.read_bytes().removeprefix(b"\xef\xbb\xbf")
    rows = benchmark_lines.rows_of(data)
    document = json.loads(data) if rows is not None else None
    if not isinstance(document, dict):
        raise _foreign(source, ("writing_prompt", "seed_modifiers"))
    return source, document


def _foreign(source: Path, needed: Sequence[str]) -> ProbeError:
    return ProbeError(
        f"{source} isn't of that benchmark",
        expected=f"fields {', '.join(needed)}",
        option="answers_as",
    )
