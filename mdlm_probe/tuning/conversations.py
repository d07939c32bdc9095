"""Conversations to train on: files of the usual forms, and data sets of the hub. No torch.

Every row ends in an answer. Its form shows in its fields:

- `prompt` and `answer`, with or without `system`
- `messages`: [{"role": "user", "content": ...}, ...], as OpenAI has them
- `conversations`: [{"from": "human", "value": ...}, ...], ShareGPT's
- `instruction` and `output`, with or without `input`: Alpaca's
- `question` and `response`, with or without `system_prompt`: OpenOrca's
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped

ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}
ROLES |= {"system": "system", "chatgpt": "assistant", "bot": "assistant"}
LISTS = {"messages": ("role", "content"), "conversations": ("from", "value")}
PAIRS = {
    "prompt": ("system", ("prompt",), "answer"),
    "instruction": ("system", ("instruction", "input"), "output"),
    "question": ("system_prompt", ("question",), "response"),
}
"""By the field that tells a form: the system's text, parts of the user's, the assistant's."""

FORMS = "prompt and answer, messages, conversations, instruction and output, question and response"


@dataclass(frozen=True)
class Conversation:
    """Messages, the last of which is the answer to be learnt.

    Attributes:
        turns: (role, text); roles are system, user and assistant.
        plain: whether a base model reads prompt and answer as they stand, nothing between them.
        where: file and line, for errors.
    """

    turns: tuple[tuple[str, str], ...]
    plain: bool
    where: str


def read(data: str, split: str = "train") -> Iterator[Conversation]:
    """The conversations of a file, or of a data set of the hub by its name.

    Args:
        data: name of a file in tasks/tuning, path of a file, or "org/name"; "org/name:config" for
            one of several configurations.
        split: of a data set.

    Raises:
        ProbeError: naming the file and line of what can't be read.
    """
    path = path_of(data)
    if path.is_file():
        yield from (conversation(row, where) for row, where in _lines(path))
    elif path.suffix in (".json", ".jsonl", ".txt") or data.count("/") != 1 or path.exists():
        raise ProbeError(
            f"--data '{data}' is no file",
            expected="a JSONL file, a data set of the hub: org/name, or a shipped file: "
            + ", ".join(shipped.tuning_data()),
            option="data",
        )
    else:
        for number, row in enumerate(_hub_rows(data, split), 1):
            yield conversation(row, f"{data}, row {number}")


def path_of(data: str) -> Path:
    """The file that a name of data means, whether it is there or not."""
    path = shipped.folder() / "tuning" / f"{data}.jsonl"
    return path if path.is_file() else Path(data).expanduser()


def _lines(path: Path) -> Iterator[tuple[Any, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            try:
                yield json.loads(line.decode("utf-8-sig")), where
            except (ValueError, RecursionError) as error:
                raise ProbeError(f"{where} is no JSON: {error}", expected=FORMS) from None


def _hub_rows(data: str, split: str) -> Iterator[Mapping[str, Any]]:
    import datasets

    name, _, config = data.partition(":")
    try:
        yield from datasets.load_dataset(name, config or None, split=split)
    except Exception as error:  # the library's own, and the hub client's
        raise ProbeError(
            f"cannot load the data set '{data}', split '{split}': {error}",
            expected="a data set of the hub, or a JSONL file",
            option="data",
        ) from None


def conversation(row: Any, where: str) -> Conversation:
    """A row as a conversation.

    Raises:
        ProbeError: naming where it stands.
    """
    if not isinstance(row, Mapping):
        raise ProbeError(f"{where} is no object", expected=FORMS)
    if name := next((n for n in LISTS if row.get(n)), None):
        return _listed(row[name], name, where)
    form = next((f for f, names in PAIRS.items() if f in row and names[2] in row), None)
    if form is None:
        raise ProbeError(f"{where} has the fields {', '.join(map(str, row))}", expected=FORMS)
    system, asked, answer = PAIRS[form]
    texts = {name: _text(row, name, where) for name in (system, *asked, answer) if row.get(name)}
    question = "\n\n".join(texts[name] for name in asked if name in texts)
    if not question or answer not in texts:
        raise ProbeError(f"{where} has an empty {answer if question else form}", expected="a text")
    turns = [("system", texts[system])] if system in texts else []
    turns += [("user", question), ("assistant", texts[answer])]
    return Conversation(tuple(turns), form == "prompt" and len(turns) == 2, where)


def _listed(rows: Any, name: str, where: str) -> Conversation:
    role, content = LISTS[name]
    turns = []
    for row in rows if isinstance(rows, list) else [None]:
        known = ROLES.get(str(row.get(role)), "") if isinstance(row, Mapping) else ""
        if not known:
            raise ProbeError(
                f"{where}: '{name}' holds {json.dumps(row, default=str)[:80]}",
                expected=f"a list of objects with '{role}' ({', '.join(ROLES)}) and '{content}'",
            )
        turns.append((known, _text(row, content, where)))
    while turns and turns[-1][0] != "assistant":  # nobody answered the last questions
        turns.pop()
    if len(turns) < 2 or not turns[-1][1]:
        raise ProbeError(f"{where}: '{name}' has no answer", expected="a question and an answer")
    return Conversation(tuple(turns), False, where)


def _text(row: Any, name: str, where: str) -> str:
    found = row.get(name)
    if not isinstance(found, str):
        raise ProbeError(f"{where}: '{name}' is no text", expected="a text")
    return found
