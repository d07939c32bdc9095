"""Where a checkpoint's files are: a local folder, or a snapshot fetched from the hub. No torch."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.threads import results

TEXT_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
WEIGHT_FILES = ("*.safetensors", "*.safetensors.index.json")
# Pickles and remote code are never fetched; nor are second copies of the weights.
NEVER = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.py", "*/*", "consolidated*")

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class Place:
    """A checkpoint's files on this machine.

    Attributes:
        folder: where they lie.
        commit: the hub's commit; "" for a local folder outside the hub's cache.
    """

    folder: Path
    commit: str = ""


def is_local(source: str) -> bool:
    """Whether a source is a folder on this machine, or is written as one."""
    return Path(source).expanduser().is_dir() or not HUB_ID.match(source)


def repository(folder: Path) -> str:
    """The hub id of a snapshot in the hub's cache, by its path; "" for any other folder.

    The cache has `models--ORG--NAME/snapshots/COMMIT`, whose files are links to `../../blobs`.
    """
    folder = folder.expanduser().resolve()
    kind, _, name = folder.parent.parent.name.partition("--")
    found = name.replace("--", "/", 1)
    inside = kind == "models" and folder.parent.name == "snapshots"
    return found if inside and COMMIT.fullmatch(folder.name) else ""


def locate(source: str, revision: str = "main", *, weights: bool = True) -> Place:
    """Finds a checkpoint; downloads what is not in the hub's cache yet.

    Args:
        source: local folder or hub id.
        revision: hub branch, tag or commit; a local folder has none.
        weights: False for config and tokenizer only.

    Raises:
        ProbeError: missing folder, no config.json, no access, no network, no such revision.
    """
    if is_local(source):
        folder = Path(source).expanduser()
        _check_folder(folder)
        commit = folder.resolve().name if repository(folder) else ""
        if revision not in ("", "main", commit):
            raise ProbeError(
                f"revision '{revision}' was asked for, but {folder} is a local folder",
                hint="leave --revision out, or give a hub id",
            )
        return Place(folder, commit)
    folder = _download(
        source, revision or "main", (*TEXT_FILES, *(WEIGHT_FILES if weights else ()))
    )
    _check_folder(folder)
    return Place(folder, folder.name)


def _check_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise ProbeError(
            f"no folder {folder}",
            expected="a checkpoint folder with config.json and *.safetensors",
            hint="`mdlm-probe models` lists the names that need no folder",
        )
    adapter = (folder / "adapter_config.json").is_file()
    if (folder / "config.json").is_file():
        if adapter:  # transformers would put it into the model without a word
            raise ProbeError(
                f"{folder} holds an adapter beside the model",
                expected="the two in folders of their own",
                hint="move adapter_config.json and its weights, and give --adapter their folder",
            )
        return
    if adapter:
        raise ProbeError(
            f"{folder} holds an adapter, not a model",
            expected="config.json",
            hint=f"give the base model as --model, and --adapter {folder}",
        )
    raise ProbeError(f"{folder} has no config.json", expected="a checkpoint folder")


def _download(repo: str, revision: str, patterns: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    from mdlm_probe.models._quiet import quiet

    elsewhere = "or download it elsewhere and give the local folder"
    try:
        with quiet(downloads=sys.stderr.isatty()):
            return Path(
                snapshot_download(
                    repo,
                    revision=revision,
                    allow_patterns=list(patterns),
                    ignore_patterns=list(NEVER),
                )
            )
    except GatedRepoError:
        raise ProbeError(
            f"access to {repo} is restricted by its owners",
            expected="an account that was granted access",
            hint=f"ask for access at https://huggingface.co/{repo}, then set HF_TOKEN; {elsewhere}",
        ) from None
    except RevisionNotFoundError:
        raise ProbeError(
            f"{repo} has no revision '{revision}'", expected="a branch, tag or commit of it"
        ) from None
    except RepositoryNotFoundError:
        raise ProbeError(
            f"the hub has no {repo}, or not for you; and there is no folder of that name",
            expected="a public repository, or HF_TOKEN of an account that may read it",
            hint="check the spelling, or run from the folder's parent",
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        raise ProbeError(
            f"{repo} is not in the cache and the hub cannot be reached: {_first(error)}",
            hint=f"connect and unset HF_HUB_OFFLINE, {elsewhere}",
        ) from None
    except (HfHubHTTPError, OSError) as error:
        raise ProbeError(
            f"cannot download {repo}: {_first(error)}", hint=f"try again, {elsewhere}"
        ) from None


def _first(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def fingerprints(files: Sequence[Path]) -> dict[str, str]:
    """The sha256 of each file, by file name.

    A file of the hub's cache is a link to a blob of the same repository there; the blob of a large
    file is named by its sha256, which saves reading 16 GB again. Any other file is read, whatever
    its name.
    """
    found = dict(results(_sha256, files, at_once=4, name="sha256"))
    return {file.name: found[file] for file in files}


def _sha256(file: Path) -> str:
    blob, folder = file.resolve(), file.parent.resolve()
    in_cache = repository(folder) and blob.parent == folder.parent.parent / "blobs"
    if in_cache and re.fullmatch("[0-9a-f]{64}", blob.name):
        return blob.name
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def combined(prints: dict[str, str]) -> str:
    """One sha256 for several files: over the lines `sha256  name`, sorted by name."""
    lines = [f"{prints[name]}  {name}\n" for name in sorted(prints)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
