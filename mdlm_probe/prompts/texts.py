"""Prompts to continue: the shipped ones, those of the small language, and a user's own. No torch.

Shipped are folders of tasks/NAME/TASK.jsonl. `decay`: prose, question answering, code, arithmetic,
with their continuations. `domains`: conversations, technical documentation, news, law, tables;
`languages`: six languages in six scripts; both with continuations. `open`: requests as users of a
chat type them, without; sums have their answers. `recall`: short texts, and a question whose answer
is in them. Source: ours; arXiv 2510.03289 measures four task types, and publishes neither their
names nor its prompts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from mdlm_probe.core.catalog import unknown
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import shipped, small_texts, text_files
from mdlm_probe.prompts.prompt import Text

LEXICONS = ("full", "small")
RECALL = "recall"
"""The shipped prompts whose answers end."""
SMALL = ("decay", "open", RECALL)
"""Shipped prompts that are also there in the bundled models' vocabulary."""


@cache
def load(prompts: str = "decay", lexicon: str = "full") -> tuple[Text, ...]:
    """Texts to continue, in the order of their file.

    A JSONL file has one object per line. Its fields: `prompt` (a text, needed), `id` (default: the
    number of the line), `task` (default: the file's name), `continuation` and `answer` (default:
    ""); others are ignored. Files of Arena-Hard, MT-Bench, WildBench and Creative Writing v3 are
    read as they are: see `benchmark_lines`.

    A .txt file has one prompt per line; its id is the line's number, its task the file's name. The
    standard input is JSONL if its first line with something in it is a JSON object, else such a
    text; it is read once.

    Args:
        prompts: a shipped name or several joined by "+", the path of a JSONL or .txt file, or "-":
            the standard input.
        lexicon: of a shipped name, "full", or "small" for the bundled models' vocabulary; a file of
            one's own has only one.

    Raises:
        ProbeError: naming file, line and field of whatever is wrong.
    """
    if lexicon not in LEXICONS:
        raise ProbeError(f"no lexicon '{lexicon}'", expected="one of " + ", ".join(LEXICONS))
    files = paths(prompts)
    if is_small(prompts, lexicon):
        if prompts not in SMALL:
            raise ProbeError(
                f"the prompts '{prompts}' have no words of the bundled models' small vocabulary",
                expected=" or ".join(SMALL) + " with --lexicon small",
                hint="a model with another vocabulary, and --lexicon full",
                option="prompts",
            )
        if prompts == RECALL:
            return tuple(small_texts.facts())
        return (*small_texts.prose(), *small_texts.questions(opened=prompts == "open"))
    seen: dict[str, str] = {}
    return tuple(text for path in files for text in text_files.read(path, seen))


def by_id(prompts: str = "decay", lexicon: str = "full") -> dict[str, Text]:
    """The texts of `load`, in its order, by their ids."""
    return {text.id: text for text in load(prompts, lexicon)}


def digest(prompts: str = "decay", lexicon: str = "full") -> str:
    """A hash of the texts: with other texts, a measurement is another one."""
    loaded = load(prompts, lexicon)
    found: list[tuple[str, ...]] = [(t.id, t.task, t.prompt, t.continuation) for t in loaded]
    # texts without answers keep the hash that finished runs have written down
    if any(t.answer for t in loaded):
        found += [(t.answer,) for t in loaded]
    if any(t.history for t in loaded):
        found += [tuple(said for turn in t.history for said in turn) for t in loaded]
    # prompts end where a token does: of one's own words they always did
    if not is_small(prompts, lexicon) and any(t.continuation for t in loaded):
        found += [("in tokens",)]
    return hashlib.blake2b(repr(found).encode(), digest_size=8).hexdigest()


def sources(prompts: str, lexicon: str, **_: Any) -> dict[str, str]:
    """What a probe of these prompts reads, as a hash: other texts make another measurement."""
    return {"prompts": digest(prompts, lexicon)}


def corpus(texts: Sequence[Text]) -> str:
    """All that is known of some texts as one, with a blank line between them."""
    return "\n\n".join(text.prompt + text.continuation for text in texts)


def paths(prompts: str) -> tuple[Path, ...]:
    """The files of prompts: a folder's in tasks/, or a user's own; `text_files.STDIN` for "-".

    Raises:
        ProbeError: there are none of that name.
    """
    if _is_path(prompts):
        return (text_files.STDIN if prompts == "-" else Path(prompts),)
    return tuple(path for name in dict.fromkeys(prompts.split("+")) for path in _folder(name))


def _folder(name: str) -> list[Path]:
    found = sorted((shipped.folder() / name).glob("*.jsonl")) if name else []
    if not found:
        folders = {path.parent.name for path in shipped.folder().glob("*/*.jsonl")}
        known = sorted(folders - {"lm_eval", "tuning"})  # documents of tasks, samples to train on
        hint = "several joined by +, the path of a .jsonl or .txt file, or - for the standard input"
        raise ProbeError(f"no prompts named '{name}'", expected=", ".join(known), hint=hint)
    return found


def is_small(prompts: str, lexicon: str) -> bool:
    """Whether texts are those of the small language, which the bundled models were trained on."""
    return lexicon == "small" and not _is_path(prompts)


def _is_path(prompts: str) -> bool:
    return prompts == "-" or prompts.endswith((".jsonl", ".json", ".txt")) or "/" in prompts


Context = Literal["left", "both"]


def chosen(texts: Sequence[Text], tasks: Sequence[str], limit: int, context: Context) -> list[Text]:
    """The first `limit` texts of each of some tasks, or of "all", in the order of the texts.

    Raises:
        ProbeError: an unknown task, or text wanted on both sides of masks where none follows.
    """
    known = list(dict.fromkeys(text.task for text in texts))
    for name in tasks:
        if name not in (*known, "all"):
            raise unknown("task", name, [*known, "all"])
    wanted = known if "all" in tasks else tasks
    found = [text for task in known if task in wanted for text in _of(texts, task)[:limit]]
    lacking = [text.id for text in found if context == "both" and not text.continuation]
    if lacking:
        raise ProbeError(
            f"--context both: {len(lacking)} prompts have no continuation, such as '{lacking[0]}'",
            expected="text for the right of the masks, as the field 'continuation'",
            hint="--context left needs none",
            option="context",
        )
    return found


def _of(texts: Sequence[Text], task: str) -> list[Text]:
    return [text for text in texts if text.task == task]
