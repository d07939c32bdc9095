"""What the campaign feeds with odd input: each kind makes one, and runs what a user would run."""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests" / "helpers"))
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}

from mdlm_probe.cli import main  # noqa: E402
from mdlm_probe.core.errors import ProbeError  # noqa: E402
from tests.fuzz.odd_values import (  # noqa: E402
    TEXTS,
    damaged_bytes,
    damaged_csv,
    damaged_json,
    damaged_yaml,
    written_json,
)

Kind = Callable[[random.Random, Path], None]


def mendable() -> tuple[type[BaseException], ...]:
    """Errors that say what a user can mend."""
    return ProbeError, click.exceptions.ClickException, click.exceptions.Exit, click.Abort


def run(*arguments: str) -> None:
    """A command, in this process; whatever isn't an exit of its own is raised."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception


# ---------------------------------------------------------------------- YAML

STUDY = """
model: [oracle]
runs:
  locality: {positions: [0, 4], shots: 2, distractors: 4, limit: 1}
  masks:
    masks: [0, 2]
    limit: 1
  needle:
    lengths: [128]
    limit: 1
  shift:
    limit: 1
  judge: {run: shift}
"""
TASK = """
task: odd
dataset_path: json
dataset_kwargs: {data_files: {test: rows.jsonl, train: rows.jsonl}}
output_type: multiple_choice
training_split: train
test_split: test
num_fewshot: 2
doc_to_text: "Sky: {{sky}}"
doc_to_choice: "{{choices}}"
doc_to_target: label
description: "Look up."
fewshot_config: {sampler: first_n}
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
"""
ROWS = [
    {"sky": f"no {n}", "choices": ["fine", "rain", "snow"], "label": n % 3, "text": "one two"}
    for n in range(8)
]


def study(rng: random.Random, home: Path) -> None:
    """A study's file."""
    (home / "s.yaml").write_bytes(damaged_yaml(rng, STUDY))
    run("plan", "s.yaml")


def suite(rng: random.Random, home: Path) -> None:
    """Suites, needles and pairs."""
    name, asked = rng.choice(
        [
            ("few-shot", ["tasks", "--suite", "s.yaml"]),
            ("few-shot", ["plan", "locality", "-m", "oracle", "--limit", "1", "--suite", "s.yaml"]),
            ("needle", ["plan", "needle", "-m", "oracle", "--limit", "1", "--needles", "s.yaml"]),
            ("pairs", ["plan", "joint", "-m", "oracle", "--limit", "1", "--pairs", "s.yaml"]),
        ]
    )
    text = (ROOT / "tasks" / f"{name}.yaml").read_text()
    text = text.replace("words: words ", f"words: {ROOT}/tasks/words ")
    (home / "s.yaml").write_bytes(damaged_yaml(rng, text))
    run(*asked)


def judge_prompt(rng: random.Random, home: Path) -> None:
    """The prompt of judges."""
    from mdlm_probe.runs.judges import judge_prompt

    text = (ROOT / "tasks" / "judge.yaml").read_text()
    (home / "j.yaml").write_bytes(damaged_yaml(rng, text))
    read = judge_prompt.load.__wrapped__(home / "j.yaml")
    read.messages("a", "b", "c")
    read.verdict("[[A>B]]")


def task_file(rng: random.Random, home: Path) -> None:
    """A task of lm-eval."""
    _rows(home / "rows.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in ROWS))
    (home / "odd.yaml").write_bytes(damaged_yaml(rng, TASK))
    given = ["--limit", "1", "--distractors", "2", "--lm-eval-task", "odd.yaml"]
    run("plan", "locality", "-m", "oracle", *given)


# ---------------------------------------------------------------------- documents


def _rows(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _lines(rng: random.Random, rows: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(row).encode() for row in rows]
    at = rng.randrange(len(lines))
    lines[at] = written_json(rng, rows[at])
    return b"\n".join(lines)


def documents(rng: random.Random, home: Path) -> None:
    """Documents of a task: JSON lines, JSON, CSV."""
    (home / "odd.yaml").write_text(TASK)
    table = b"sky,choices,label,text\n" + b'no,"[""a"", ""b""]",1,one two\n' * 8
    name, data = rng.choice(
        [
            ("d.jsonl", _lines(rng, ROWS)),
            ("d.json", written_json(rng, ROWS)),
            ("d.csv", damaged_csv(rng, table)),
            ("d.tsv", damaged_csv(rng, table).replace(b",", b"\t")),
        ]
    )
    (home / name).write_bytes(data)
    given = ["--limit", "1", "--distractors", "2", "--lm-eval-task", "odd.yaml", "--data", name]
    run("plan", "locality", "-m", "oracle", *given)


def prompts(rng: random.Random, home: Path) -> None:
    """Prompts of a user."""
    rows = [{"id": f"p{n}", "prompt": f"Once {n}", "continuation": " upon"} for n in range(4)]
    name = rng.choice(["p.jsonl", "p.txt"])
    data = _lines(rng, rows) if name == "p.jsonl" else damaged_bytes(rng, b"Once\nupon\na time\n")
    (home / name).write_bytes(data)
    probe = rng.choice(["decay", "shift", "blocks"])
    run("plan", probe, "-m", "oracle", "--limit", "1", "--prompts", name)


# ---------------------------------------------------------------------- runs


@functools.cache
def _small_run() -> dict[str, bytes]:
    """Files of a run: a few rows of the committed study, of three probes and of a judge."""
    found, entries = {}, {}
    for name in ("needle", "locality", "shift", "judge"):
        folder = ROOT / "results" / "reference" / ("shift" if name == "judge" else name)
        for one, entry in json.loads((folder / "run.json").read_text()).items():
            path = folder / f"{one}.csv"
            if one.startswith(f"{name}__") and path.exists():
                entries[one] = entry
                found[f"{one}.csv"] = b"".join(path.read_bytes().splitlines(keepends=True)[:25])
    found["run.json"] = json.dumps(entries).encode()
    return found


def _chosen(probe: str) -> dict[str, bytes]:
    """Files of one probe of the small run, and verdicts about it."""
    names = (f"{probe}__", *(["judge__"] if probe == "shift" else []))
    files = {name: data for name, data in _small_run().items() if name.startswith(names)}
    entries = json.loads(_small_run()["run.json"])
    kept = {name: entry for name, entry in entries.items() if name.startswith(names)}
    return files | {"run.json": json.dumps(kept).encode()}


def _damaged_run(rng: random.Random, folder: Path) -> Path:
    folder.mkdir()
    files = _chosen(rng.choice(["needle", "locality", "shift"]))
    if rng.random() < 0.5:
        files["run.json"] = written_json(rng, json.loads(files["run.json"]))
    else:
        name = rng.choice([name for name in files if name != "run.json"])
        files[name] = damaged_csv(rng, files[name])
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def reports(rng: random.Random, home: Path) -> None:
    """The page of a damaged run, without its pictures."""
    from mdlm_probe.reports import html

    folder = _damaged_run(rng, home / "run")
    html.page(folder, html.read(folder))


def compared(rng: random.Random, home: Path) -> None:
    """A damaged run against a sound one."""
    from mdlm_probe.reports.compare import compare

    folder, sound = _damaged_run(rng, home / "run"), home / "sound"
    sound.mkdir()
    probe = next(path.name.partition("__")[0] for path in sorted(folder.glob("*__*"))[::-1])
    for name, data in _chosen(probe).items():
        (sound / name).write_bytes(data)
    both = [folder, sound]
    rng.shuffle(both)
    compare.compare(*both)


def exported(rng: random.Random, home: Path) -> None:
    """A damaged run in other formats."""
    _damaged_run(rng, home / "run")
    to = rng.choice(["jsonl", "parquet", "markdown", "latex", "card"])
    run("export", "run", "--to", to, "-o", "out")


def judged(rng: random.Random, home: Path) -> None:
    """Verdicts about a damaged run, beside others."""
    _damaged_run(rng, home / "run")
    run("judge", "run", "--judge-by", rng.choice(["nll", "language"]), "-q")


# ---------------------------------------------------------------------- checkpoints


@functools.cache
def _checkpoint(family: str) -> Path:
    import tempfile

    import checkpoints

    folder = Path(tempfile.mkdtemp())
    write = {"llada": checkpoints.write_llada, "dream": checkpoints.write_dream}
    write |= {"llama": checkpoints.write_llama}
    return write[family](folder / "m", shards=2)


PIECES = (
    *(
        "{{ 'x' * 10 ** 12 }}",
        "{% for a in range(99999) %}x{% endfor %}",
        "{{ 1 / 0 }}",
        "{{ x.y }}",
    ),
    *(
        "{% set _ = messages.append(1) %}",
        "{{ ''.__class__ }}",
        "{{ raise_exception('no') }}",
        "{% if %}",
    ),
    *(
        "{{ messages | tojson(indent=99999999999) }}",
        "{% include 'x' %}",
        "{% generation %}",
        "{{ 9**9**9 }}",
    ),
    *(
        "{{ messages[99].content }}",
        "{{ range(10**9) | list }}",
        "{{ 'a' | center(10**11) }}",
        "{#",
        "{%-",
    ),
    *(
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ messages + 1 }}",
        "{{ bos_token * 99 }}",
    ),
    *(
        "{{ messages[0]['content'] }}",
        "{% break %}",
        "{{ lipsum(10**9) }}",
        "{{ namespace }}",
        "{{ self }}",
    ),
    *(
        "{% for a in r %}" * 3,
        "{{ strftime_now('%Y') }}",
        "{{ messages | map('upper') | list }}",
        "{{ [] | first }}",
    ),
)


def templates(rng: random.Random, home: Path) -> None:
    """A chat template."""
    import checkpoints

    from mdlm_probe.core import templates
    from mdlm_probe.models._border import load_border
    from mdlm_probe.models._checkpoint import Checkpoint
    from mdlm_probe.prompts.prompt import MASK, Prompt

    templates.SECONDS = 2.0
    text = checkpoints.TEMPLATE
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice([*PIECES, *map(str, TEXTS)]) + text[at:]
    folder = home / "m"
    folder.mkdir()
    shutil.copy(_checkpoint("llada") / "tokenizer.json", folder)
    (folder / "chat_template.jinja").write_bytes(text.encode("utf-8", "replace"))
    ids = checkpoints.special_ids()
    entry = Checkpoint(
        "m", str(folder), "llada", "masked", 128, mask_id=ids[checkpoints.MASK_TEXT], chat=True
    )
    border = load_border(folder, entry)
    ids = border.encode(Prompt((("a question", "an answer"), ("q", f"{MASK}")), "", ""))
    border.decode(ids)


def checkpoint_files(rng: random.Random, home: Path) -> None:
    """A checkpoint's JSON files, and the heads of its weights."""
    from mdlm_probe import models
    from mdlm_probe.models._checkpoint import LoadOptions

    source, folder = _checkpoint(rng.choice(["llada", "dream", "llama"])), home / "m"
    shutil.copytree(source, folder)
    path = rng.choice(sorted(path for path in folder.iterdir() if path.is_file()))
    data = path.read_bytes()
    if path.suffix == ".json":
        path.write_bytes(written_json(rng, json.loads(data)))
    elif path.suffix == ".safetensors":
        size = struct.unpack("<Q", data[:8])[0]
        head = written_json(rng, json.loads(data[8 : 8 + size]))
        length = rng.choice([len(head)] * 8 + [0, 2**63, len(head) + 1])
        path.write_bytes(struct.pack("<Q", length) + head + data[8 + size :])
    else:
        path.write_bytes(damaged_bytes(rng, data))
    entry = models.resolve(str(folder), "")
    models.load(entry, LoadOptions(device="cpu"))


# ---------------------------------------------------------------------- judges, options


def replies(rng: random.Random, home: Path) -> None:
    """What a server answers, and what is kept of it."""
    from mdlm_probe.core.columns import names
    from mdlm_probe.core.csv_text import csv_of
    from mdlm_probe.core.json_lines import JsonLines
    from mdlm_probe.runs.judges import chat_reply, load_prompt
    from mdlm_probe.runs.judges.columns import COLUMNS

    message = {"role": "assistant", "content": "so\n[[A>B]]\n", "refusal": None}
    usage = {"prompt_tokens": 7, "completion_tokens": 3}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    reply = {"id": "x", "choices": [choice], "usage": usage}
    raw = written_json(rng, reply).decode("utf-8", "replace")
    try:
        response = chat_reply.parsed(raw)
    except ValueError:  # asked again
        response = damaged_json(rng, reply)  # as an earlier version kept it
    log = JsonLines(home / "r.jsonl", "reply", ("call",), sort_keys=True, ensure_ascii=True)
    try:
        log.append([{"call": "a", "response": response}])
    except UnicodeEncodeError:
        return
    for record in JsonLines(home / "r.jsonl", "reply", ("call",)).records:
        verdict = chat_reply.verdict_of(record["response"], load_prompt())
        row = dict.fromkeys(names(COLUMNS), "") | {
            "verdict": verdict.verdict,
            "reason": verdict.reason.encode("utf-8", "replace").decode(),
            "tokens_read": verdict.prompt_tokens,
        }
        csv_of([row], names(COLUMNS))


def kept_replies(rng: random.Random, home: Path) -> None:
    """A log that was damaged."""
    from mdlm_probe.core.json_lines import JsonLines

    rows = [{"call": str(n), "response": {"choices": []}} for n in range(4)]
    (home / "r.jsonl").write_bytes(_lines(rng, rows) + b"\n" * rng.randint(0, 1))
    JsonLines(home / "r.jsonl", "reply", ("call",)).append([{"call": "x"}])


PROBES = (
    "locality",
    "masks",
    "decay",
    "joint",
    "needle",
    "blocks",
    "shift",
    "cache",
    "attribution",
)
OWN = ("help", "device", "fresh", "quiet", "output")


@functools.cache
def _command(name: str) -> click.Command:
    group = main.commands["plan"]
    found = group.get_command(click.Context(group), name)
    assert found
    return found


def options(rng: random.Random, home: Path) -> None:
    """Values of options."""
    probe = rng.choice(PROBES)
    command = _command(probe)
    known = [p for p in command.params if isinstance(p, click.Option) and p.name not in OWN]
    given = {"--limit": "1", "--model": "oracle"}
    for option in rng.sample(known, rng.randint(1, 3)):
        if not option.is_flag:
            value = rng.choice([t for t in TEXTS if "\x00" not in t and "\ud800" not in t])
            given[option.opts[0]] = rng.choice(
                [value[:2000], str(rng.choice([0, 2, 3, 10**6, 10**9]))]
            )
    run("plan", probe, *(f"{name}={value}" for name, value in given.items()))


def other_options(rng: random.Random, home: Path) -> None:
    """Values of options of the other commands."""
    _damaged_run(random.Random(0), home / "run")
    text = rng.choice([t[:2000] for t in TEXTS if "\x00" not in t and "\ud800" not in t])
    run(
        *rng.choice(
            [
                ["export", "run", f"--to={text}"],
                ["export", "run", "--to", "jsonl", f"--probe={text}"],
                ["compare", "run", "run", f"--model={text}", "--points", "none"],
                ["compare", "run", "run", f"--across={text}", "--points", "none"],
                ["compare", "run", text],
                ["report", text],
                ["judge", "run", "--endpoint", text, "--judge", "x"],
                ["judge", "run", "--judge-model", text],
                ["judge", "run", f"--limit={text}"],
                ["tasks", "--suite", text],
                ["eval", "--tasks", text, "-m", "oracle"],
                ["eval", "--tasks", "suite_animal", "-m", "oracle", f"--seed={text}", "--limit=1"],
                [
                    "eval",
                    "--tasks",
                    "suite_animal",
                    "-m",
                    "oracle",
                    f"--gen_kwargs={text}",
                    "--limit=1",
                ],
                ["plan", text],
                ["study", text],
                ["generate", text[:99], "-m", "oracle", "--length=4"],
                [text],
            ]
        )
    )


FEW, MANY = 1, 4
KINDS: dict[str, tuple[Kind, int]] = {
    kind.__name__: (kind, weight)
    for kind, weight in (
        *((kind, MANY) for kind in (study, suite, judge_prompt, task_file, documents, prompts)),
        *((kind, MANY) for kind in (templates, replies, kept_replies, options)),
        *((kind, FEW) for kind in (reports, compared, exported, judged, other_options)),
        (checkpoint_files, 2),
    )
}
"""What makes and runs an input, and how many there are of it beside others: some take seconds."""
