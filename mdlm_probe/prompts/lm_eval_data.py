"""Documents of lm-eval's tasks from files of this machine, read as what stands there. No torch.

Cells of CSV and TSV files are texts: `007`, `None` and `NA` stay what they are. Only columns that a
task's templates count or index with are numbers. Nothing in JSON is taken for another thing than it
is, such as a date. Ours: lm-eval has its files read by `datasets`, which guesses.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mdlm_probe.core import csv_text
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts.lm_eval_columns import named, numeric

FILES = ("json", "csv", "parquet", "text")
"""Values of `dataset_path` that read files."""

DELIMITERS = {".csv": ",", ".tsv": "\t"}
ENDS = (".jsonl", ".json", *DELIMITERS)
"""Ends of the files that we read."""

Row = dict[str, Any]


def own(name: str, data: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What replaces a task's documents by those of a file: they are every split that it names.

    Raises:
        ProbeError: the file can't be read, or lacks a column that the task's templates name.
    """
    path = Path(data)
    if not path.is_file() or path.suffix not in ENDS:
        raise ProbeError(
            f"--data: {data} is no file of documents", expected=", ".join(ENDS), option="data"
        )
    rows = _read(path, config, "data")
    if any(row.keys() != rows[0].keys() for row in rows):
        raise ProbeError(
            f"--data: {data} holds no table", expected="rows of the same columns", option="data"
        )
    missing = [] if config.get("process_docs") else missing_columns(config, rows[0])
    if missing:
        raise ProbeError(
            f"--data {data} has no column {', '.join(missing)}",
            expected=f"what task '{name}' reads; found " + ", ".join(rows[0]),
            option="data",
        )
    shown = (config.get("fewshot_config") or {}).get("split")
    kinds = ("training", "validation", "test", "fewshot")
    splits = {split for split in (*(config.get(f"{kind}_split") for kind in kinds), shown) if split}
    return _dataset({split: _table(rows, data) for split in splits})


def beside(path: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """What a task's file says of its documents; files named in it are found from any folder.

    Files of JSON and CSV on this machine are read here, others by `datasets`.

    Raises:
        ProbeError: there is no such file, or it can't be read.
    """
    given, kind = dict(config.get("dataset_kwargs") or {}), config.get("dataset_path")
    if kind not in FILES or "data_files" not in given:
        return {"dataset_kwargs": given}

    def found(value: Any) -> Any:
        if isinstance(value, dict):
            return {split: found(inner) for split, inner in value.items()}
        if isinstance(value, list):
            return [found(inner) for inner in value]
        local = [file for file in (path.parent / value, Path(value)) if file.exists()]
        if not local and not any(mark in str(value) for mark in ("://", "*")):
            where = f"beside {path}, or here"
            raise ProbeError(f"lm-eval task '{config['task']}': no file {value}", expected=where)
        return str(local[0].resolve()) if local else value

    given["data_files"] = files = found(given["data_files"])
    splits = files if isinstance(files, dict) else {"train": files}
    listed = {s: [f] if isinstance(f, str) else list(f) for s, f in splits.items()}
    local = all(
        Path(f).is_file() and Path(f).suffix in ENDS for names in listed.values() for f in names
    )
    if kind in ("json", "csv") and given.keys() == {"data_files"} and local:
        return _dataset({split: _split(names, config) for split, names in listed.items()})
    if kind == "csv":
        given.setdefault("keep_default_na", False)
    return {"dataset_kwargs": given}


def missing_columns(config: Mapping[str, Any], columns: Collection[str]) -> list[str]:
    """Columns that a task's templates name and documents don't have."""
    return sorted(named(config) - set(columns))


# ---------------------------------------------------------------------- files


def _split(files: Sequence[str], config: Mapping[str, Any]) -> Any:
    """The rows of some files, one after another; what some of them lack is None."""
    rows = [row for file in files for row in _read(Path(file), config)]
    columns = dict.fromkeys(column for row in rows for column in row)
    return _table([dict.fromkeys(columns) | row for row in rows], ", ".join(files))


def _read(path: Path, config: Mapping[str, Any], option: str = "") -> list[Row]:
    """The documents of a file.

    Raises:
        ProbeError: it can't be read, or holds none.
    """
    flag = f"--{option}: " if option else ""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix in DELIMITERS:
            rows = _with_numbers(csv_text.records(text, DELIMITERS[path.suffix]), config)
        else:
            rows = _json_rows(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ProbeError(
            f"{flag}{path} can't be read: {error}",
            expected="UTF-8, one row per document",
            option=option or (),
        ) from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise ProbeError(
            f"{flag}{path} holds no table", expected="one row per document", option=option or ()
        )
    return rows


def _json_rows(text: str) -> list[Any]:
    """JSON lines, or a JSON list; a text may hold U+2028 and its like as they are."""
    try:
        rows = json.loads(text)
    except ValueError:
        rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    return rows if isinstance(rows, list) else [rows]


def _with_numbers(rows: list[dict[str, str]], config: Mapping[str, Any]) -> list[Row]:
    """Rows with numbers in the columns that the task needs numbers of.

    Raises:
        ValueError: naming the row and column that has none.
    """
    needed = {name for name in numeric(config) if rows and name in rows[0]}
    target = config.get("doc_to_target")
    if config.get("output_type") == "multiple_choice" and isinstance(target, str):
        needed |= {target} if _holds_numbers(rows, target, config) else set()
    return [
        row | {name: _number(row[name], name, at) for name in needed}
        for at, row in enumerate(rows, 1)
    ]


def _number(text: str, column: str, row: int) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise ValueError(
        f"row {row} has '{text}' in the column '{column}', of which the task needs numbers"
    )


def _holds_numbers(rows: Sequence[dict[str, str]], column: str, config: Mapping[str, Any]) -> bool:
    """Whether right answers are the numbers of choices, not their texts."""
    texts = [row.get(column, "") for row in rows]
    named = [text in _choices(row, config) for text, row in zip(texts, rows, strict=True)]
    return any(text.isdecimal() and not own for text, own in zip(texts, named, strict=True))


def _choices(row: dict[str, str], config: Mapping[str, Any]) -> Sequence[Any]:
    """The texts of a row's choices; none where they can't be told before the task is made."""
    from lm_eval.utils import apply_template

    found = config.get("doc_to_choice")
    if isinstance(found, dict):
        return list(found.values())
    if isinstance(found, str):
        try:
            rendered = row[found] if found in row else apply_template(found, row)
            found = ast.literal_eval(rendered)
        except Exception:  # whatever a template raises is said when the task is made
            return ()
    return found if isinstance(found, list) else ()


# ---------------------------------------------------------------------- datasets


def _dataset(splits: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a task read these splits."""

    def made(**_: Any) -> Any:
        import datasets

        return datasets.DatasetDict(splits)

    return {"custom_dataset": made, "dataset_kwargs": None, "dataset_path": None}


def _table(rows: list[Row], source: str) -> Any:
    """Rows as a dataset, in which each value is what it was.

    Raises:
        ProbeError: a column whose values are of several kinds, which a dataset makes one.
    """
    import datasets
    import pyarrow as pa

    try:
        table = datasets.Dataset.from_list(rows)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ProbeError(
            f"the documents of {source} are no table: {error}",
            expected="values of one kind in each column",
        ) from None
    for number, (row, read) in enumerate(zip(rows, table, strict=True), 1):
        for column, value in row.items():
            if not _same(value, read[column]):
                raise ProbeError(
                    f"{source}, row {number}: {value!r} in column '{column}' stands among values"
                    f" of another kind, and would be read as {read[column]!r}",
                    expected="whole numbers or others in a column, not both; or texts",
                )
    return table


def _same(value: Any, read: Any) -> bool:
    """Whether a value was read as it is; objects may have gained names that others have."""
    if isinstance(value, dict) and isinstance(read, dict):
        return all(_same(inner, read.get(name)) for name, inner in value.items())
    if isinstance(value, list) and isinstance(read, list):
        return len(value) == len(read) and all(map(_same, value, read))
    return type(value) is type(read) and (value == read or value != value)
