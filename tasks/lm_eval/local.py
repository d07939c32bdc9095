"""Documents of the tasks in this folder, found beside it from wherever lm-eval is run."""

import json
from pathlib import Path
from typing import Any

import datasets


def read(file: str, **_: Any) -> datasets.DatasetDict:
    """The splits of a JSONL file in this folder, by each row's field `split`."""
    lines = (Path(__file__).parent / file).read_text(encoding="utf-8").rstrip("\n").split("\n")
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in map(json.loads, lines):
        rows.setdefault(row.pop("split"), []).append(row)
    return datasets.DatasetDict({s: datasets.Dataset.from_list(found) for s, found in rows.items()})


def two_options(documents: datasets.Dataset) -> datasets.Dataset:
    """HotPotQA's questions that are answered by yes or no, with columns text, options, answer.

    Documents that have these columns already stay as they are.
    """
    if "options" in documents.column_names:
        return documents
    asked = documents.filter(lambda doc: doc["answer"] in ("yes", "no"))
    return asked.map(_two_options, remove_columns=asked.column_names)


def _two_options(doc: dict[str, Any]) -> dict[str, Any]:
    titled = zip(doc["context"]["title"], doc["context"]["sentences"], strict=True)
    text = "\n".join(f"{title}: {''.join(sentences)}" for title, sentences in titled)
    options = ["yes", "no"]
    return {
        "text": text,
        "question": doc["question"],
        "options": options,
        "answer": options.index(doc["answer"]),
    }
