"""Answers as Arena-Hard reads them: its folder model_answer, with a file for each model."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from mdlm_probe.core.files import unusable

MARKDOWN = {
    "header_count": {f"h{n}": rf"^#{{{n}}}\s" for n in range(1, 7)},
    "list_count": {"ordered": r"^\s*\d+\.\s", "unordered": r"^\s*[-*+]\s"},
    "bold_count": {"**": r"\*\*[^*\n]+\*\*", "__": r"__[^_\n]+__"},
}
"""What Arena-Hard's style control counts in an answer, outside blocks of code."""


def write_arena_hard(path: Path, model: str) -> Path:
    """Writes the answers of a JSONL into model_answer/MODEL.jsonl beside it; returns that path.

    `token_len` is by the model's own tokenizer (Arena-Hard's is by GPT-4o's); its
    `add_markdown_info.py` counts anew.

    Raises:
        ProbeError: the file can't be written.
    """
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    target = path.parent / "model_answer" / f"{model}.jsonl"
    try:
        target.parent.mkdir(exist_ok=True)
        lines = (json.dumps(_row(row, model), ensure_ascii=False) + "\n" for row in rows)
        target.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise unusable(target, error) from error
    return target


def _row(row: dict[str, Any], model: str) -> dict[str, Any]:
    name = hashlib.blake2b(json.dumps(row, sort_keys=True).encode(), digest_size=11).hexdigest()
    prose = re.sub(r"```[^`]*```", "", row["answer"])
    counts = {
        kind: {part: len(re.findall(found, prose, re.MULTILINE)) for part, found in parts.items()}
        for kind, parts in MARKDOWN.items()
    }
    return {
        "uid": row["prompt"],
        "ans_id": name,
        "model": model,
        "messages": [
            {"role": "user", "content": row["prompt_text"]},
            {"role": "assistant", "content": {"answer": row["answer"]}},
        ],
        "tstamp": 0.0,
        "metadata": {"token_len": row["answer_tokens"], **counts},
    }
