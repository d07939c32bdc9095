"""Pushes a model card's section to a repository of the Hugging Face Hub.

The repository's README keeps what others wrote: the section stands between two comments, and is
replaced there; metadata keep all results but those of this tool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import huggingface_hub
import yaml
from huggingface_hub import CommitOperationAdd, RepoCard

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.hub import refused

BEGIN, END = "<!-- mdlm-probe: begin -->", "<!-- mdlm-probe: end -->"
README = "README.md"
OURS = "mdlm-probe/"
"""How the types of this tool's data sets begin."""


class Hub(Protocol):
    """What is used of `huggingface_hub.HfApi`."""

    def file_exists(self, repo_id: str, filename: str) -> bool:
        """Whether a repository has a file."""

    def hf_hub_download(self, repo_id: str, filename: str) -> str:
        """The path of a file's copy on this machine."""

    def create_commit(
        self, repo_id: str, operations: list[CommitOperationAdd], *, commit_message: str
    ) -> Any:
        """Adds files in one commit."""


def push(made: Mapping[str, bytes], repo: str, hub: Hub | None = None) -> list[str]:
    """Puts a card's section and figures into a model's repository; returns what to tell the user.

    Args:
        made: contents of a card's files by their names.
        repo: OWNER/NAME of a model on the Hub, which must be there.
        hub: to talk to; None: huggingface.co, with HF_TOKEN or the token of `hf auth login`.

    Raises:
        ProbeError: several cards, or the Hub refused or can't be reached.
    """
    cards = [name for name in made if name.endswith(".md")]
    if len(cards) != 1:
        raise ProbeError(
            f"--push takes one model's card, and here are {', '.join(cards)}",
            expected="a run of one masked model",
            hint="export a run folder that holds that model alone",
            option="push",
        )
    try:
        hub = hub or huggingface_hub.HfApi()
        old = ""
        if hub.file_exists(repo, README):
            old = Path(hub.hf_hub_download(repo, README)).read_text(encoding="utf-8")
        files = {README: merged(old, made[cards[0]].decode()).encode()}
        files |= {name: content for name, content in made.items() if name not in cards}
        operations = [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=content)
            for name, content in files.items()
        ]
        hub.create_commit(repo, operations, commit_message="Sensitivity to masks, by mdlm-probe")
    # the Hub's own, the network's, and whatever lies below: none of it is a bug of ours to trace
    except Exception as error:
        raise refused(
            f"--push {repo}",
            error,
            "push",
            "a model's repository on the Hub, and a token that may write to it",
            "the files of the export are written all the same",
        ) from None
    return [f"pushed {', '.join(files)} to https://huggingface.co/{repo}"]


def merged(old: str, card: str) -> str:
    """A README with a card's section in its place, or at its end, and with the card's results."""
    ours = RepoCard(card, ignore_metadata_errors=True)
    results = ours.data.to_dict()["model-index"]
    return with_section(
        old,
        ours.text.strip(),
        lambda head: {**head, "model-index": _index(head.get("model-index", []), results)},
    )


def with_section(
    old: str, section: str, metadata: Callable[[dict[str, Any]], dict[str, Any]]
) -> str:
    """A README with a section of ours in its place, or at its end.

    Args:
        old: the README that is there; "": none.
        section: what stands between the two comments.
        metadata: makes those of the new README of those of the old one.
    """
    theirs = RepoCard(old) if old else None  # it would complain of an empty one
    text, given = (theirs.text, theirs.data.to_dict()) if theirs else ("", {})
    marked = f"{BEGIN}\n{section}\n{END}"
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    body = before + marked + after if begin and end else f"{text.rstrip()}\n\n{marked}\n"
    written = yaml.safe_dump(metadata(given), sort_keys=False, allow_unicode=True, width=100)
    return f"---\n{written}---\n{body.lstrip() if not old else body}"


def _index(theirs: list[dict[str, Any]], ours: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A model-index with our results, under the name that the repository has for its model."""
    (own,) = ours
    kept = [
        model | {"results": [r for r in model.get("results", []) if not _is_ours(r)]}
        for model in theirs
    ]
    if not kept:
        return ours
    first, *others = kept
    return [first | {"results": [*first["results"], *own["results"]]}, *others]


def _is_ours(result: dict[str, Any]) -> bool:
    return str(result.get("dataset", {}).get("type", "")).startswith(OURS)
