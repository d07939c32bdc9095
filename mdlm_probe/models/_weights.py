"""safetensors files checked before anything is loaded: headers, names, shapes. No torch.

Transformers only warns about missing or unexpected weights, and leaves random numbers there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._config import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# Old Llama files repeat a buffer that is computed from the config.
IGNORED = re.compile(r"rotary_emb\.inv_freq$")


@dataclass(frozen=True)
class Stored:
    """A tensor of a file: what its header says."""

    file: Path
    shape: tuple[int, ...]
    span: tuple[int, int]


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a checkpoint: one, or the shards of its index.

    Raises:
        ProbeError: none, only pickles, or a shard that the index names is missing.
    """
    if (folder / INDEX).is_file():
        weight_map = read_json(folder / INDEX).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise ProbeError(f"{folder / INDEX}, key 'weight_map': is missing or empty")
        files = [folder / name for name in sorted(set(weight_map.values()))]
        for file in files:
            if not file.is_file():
                raise ProbeError(
                    f"{folder / INDEX} names {file.name}, which is missing",
                    hint="download the checkpoint again",
                )
        return files
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    others = sorted(p.name for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pt"))
    raise ProbeError(
        f"{folder} has no weights that can be read safely"
        + (f": {', '.join(others)}" if others else ""),
        expected=f"{SINGLE}, or shards with {INDEX}",
        hint="pickled weights (.bin, .pt) can run code and are never opened: convert them first",
    )


def header(file: Path) -> dict[str, Stored]:
    """What a safetensors file holds, from its header alone.

    Raises:
        ProbeError: when the header can't be read, or the file is not as long as it says.
    """
    size = file.stat().st_size
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= size - 8:
                raise ValueError(f"header of {length} bytes in a file of {size}")
            table: dict[str, Any] = json.loads(stream.read(length))
        table.pop("__metadata__", None)
        stored = {
            name: Stored(file, tuple(entry["shape"]), tuple(entry["data_offsets"]))
            for name, entry in table.items()
        }
        end = 8 + length + max((tensor.span[1] for tensor in stored.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProbeError(
            f"{file} is not a sound safetensors file: {error}", hint="download it again"
        ) from None
    if end != size:
        raise ProbeError(
            f"{file} is damaged: {size} bytes", expected=f"{end} bytes", hint="download it again"
        )
    return stored


def headers(folder: Path) -> dict[str, Stored]:
    """All tensors of a checkpoint by the checkpoint's own names.

    Raises:
        ProbeError: also when two shards hold the same name, or the index names what no shard holds.
    """
    found: dict[str, Stored] = {}
    for file in weight_files(folder):
        for name, tensor in header(file).items():
            if name in found:
                raise ProbeError(f"'{name}' is in {found[name].file.name} and in {file}")
            found[name] = tensor
    if (folder / INDEX).is_file():
        for name, shard in read_json(folder / INDEX)["weight_map"].items():
            if name not in found or found[name].file.name != shard:
                raise ProbeError(
                    f"{folder / INDEX}: '{name}' is not in {shard}",
                    hint="index and shards belong to different checkpoints",
                )
    return found


def renamer(keys: Mapping[str, str]) -> Callable[[str], str]:
    """A function from the checkpoint's names to the native ones."""
    rules = [(re.compile(pattern), target) for pattern, target in keys.items()]

    def rename(name: str) -> str:
        for pattern, target in rules:
            if pattern.search(name):
                return pattern.sub(target, name, count=1)
        return name

    return rename


def check_keys(
    folder: Path,
    keys: Mapping[str, str],
    wanted: Mapping[str, tuple[int, ...]],
    tied: str = "",
) -> dict[str, Stored]:
    """Compares a checkpoint with the network it is to fill; gives its tensors by native name.

    Args:
        folder: the checkpoint.
        keys: the family's renaming rules.
        wanted: shape of every weight of the network, by native name.
        tied: native name of an output layer that is the embedding, so that its own copy may be
            missing; "" if there is none.

    Raises:
        ProbeError: missing, unexpected or mis-shaped weights, by the checkpoint's own names.
    """
    rename = renamer(keys)
    stored: dict[str, Stored] = {}
    names: dict[str, str] = {}
    for name, tensor in headers(folder).items():
        native = rename(name)
        if native not in wanted:
            if IGNORED.search(name):
                continue
            raise ProbeError(
                f"{tensor.file}: unexpected weight '{name}'",
                expected="only weights that config.json's architecture has",
            )
        if native in stored:
            raise ProbeError(f"{tensor.file}: '{name}' and '{names[native]}' are the same weight")
        stored[native], names[native] = tensor, name
        if tensor.shape != tuple(wanted[native]):
            raise ProbeError(
                f"{tensor.file}: weight '{name}' has shape {list(tensor.shape)}",
                expected=f"{list(wanted[native])}, by config.json",
            )
    missing = sorted(native for native in wanted if native not in stored and native != tied)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise ProbeError(
            f"{folder}: weight '{_original(missing[0], keys)}' is missing{more}",
            hint="the download is incomplete, or config.json belongs to another checkpoint",
        )
    return stored


def same_bytes(first: Stored, second: Stored) -> bool:
    """Whether two stored tensors are equal to the byte."""
    if first.span[1] - first.span[0] != second.span[1] - second.span[0]:
        return False
    chunk = 1 << 24
    with first.file.open("rb") as a, second.file.open("rb") as b:
        for stream, tensor in ((a, first), (b, second)):
            length = int.from_bytes(stream.read(8), "little")
            stream.seek(8 + length + tensor.span[0])
        left = first.span[1] - first.span[0]
        while left > 0:
            take = min(chunk, left)
            if a.read(take) != b.read(take):
                return False
            left -= take
    return True


def _original(native: str, keys: Mapping[str, str]) -> str:
    """The checkpoint's own name of a native weight: the rules read backwards."""
    for pattern, target in keys.items():
        backwards = re.escape(target).replace(r"\\1", r"(\d+)")
        found = re.match(backwards, native)
        if found:
            plain = pattern.lstrip("^").replace(r"\.", ".")
            number = found.group(1) if found.groups() else ""
            return plain.replace(r"(\d+)", number) + native[found.end() :]
    return native
