"""safetensors files checked before anything is loaded: headers, names, shapes, number formats.

Transformers only warns about missing or unexpected weights, and leaves random numbers there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._conversion import Conversion
from mdlm_probe.models._json import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
FLOATING = ("F64", "F32", "F16", "BF16")
ROWS = 4096
"""Of two tables that are compared at a time."""
# Old Llama files repeat a buffer that is computed from the config.
IGNORED = re.compile(r"rotary_emb\.inv_freq$")


@dataclass(frozen=True)
class Stored:
    """A tensor of a file: what its header says.

    Attributes:
        file: where it is.
        name: its name there.
        shape: its sizes.
        dtype: its number format, as safetensors calls it, such as "BF16".
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: str

    def check_floating(self) -> None:
        """Refuses numbers that aren't weights: whole, complex or logical ones, or quantised ones.

        Raises:
            ProbeError: naming file and weight.
        """
        if self.dtype not in FLOATING:
            raise ProbeError(
                f"{self.file}: weight '{self.name}' is of type {self.dtype}",
                expected=", ".join(FLOATING),
                hint="convert the weights to one of these, or load the original checkpoint",
            )


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files that make up a checkpoint: one, or the shards of its index.

    Raises:
        ProbeError: none, only pickles, one file beside an index of others, or an index that is no
            index or names a shard that is missing.
    """
    single = folder / SINGLE
    if (folder / INDEX).is_file():
        files = [folder / name for name in sorted(set(_weight_map(folder).values()))]
        for file in files:
            if not file.is_file():
                raise ProbeError(
                    f"{folder / INDEX} names {file.name}, which is missing",
                    hint="download the checkpoint again",
                )
        if single.is_file() and files != [single]:
            first, *more = (file.name for file in files if file != single)
            raise ProbeError(
                f"{folder} holds {SINGLE}, and {INDEX}, which names {first}"
                + (f" and {len(more)} more" if more else ""),
                expected="one of the two: nothing says which weights are meant",
                hint="move the weights that you don't mean to another folder",
            )
        return files
    if single.is_file():
        return [single]
    others = sorted(p.name for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".pt"))
    raise ProbeError(
        f"{folder} has no weights that can be read safely"
        + (f": {', '.join(others)}" if others else ""),
        expected=f"{SINGLE}, or shards with {INDEX}",
        hint="pickled weights (.bin, .pt) can run code and are never opened: convert them first",
    )


def _weight_map(folder: Path) -> dict[str, str]:
    """The file of each weight, by an index; all of them are files of the same folder.

    Raises:
        ProbeError: an index that holds something else, before any file that it names is opened.
    """
    index = folder / INDEX
    found = read_json(index).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise ProbeError(
            f"{index}, key 'weight_map': is missing or empty", expected="the file of each weight"
        )
    for name, file in found.items():
        plain = isinstance(file, str) and not re.search(r"[/\\\0]", file)
        if not plain or not file.endswith(".safetensors"):
            raise ProbeError(
                f"{index}: '{name}' is in {file!r}",
                expected="the name of a .safetensors file in the same folder",
                hint="download the checkpoint again, from a source that you trust",
            )
    return found


def header(file: Path) -> dict[str, Stored]:
    """What a safetensors file holds, from its header alone.

    Raises:
        ProbeError: when the header can't be read, or the file is not as long as it says.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            parts = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118
            return {
                name: Stored(file, name, tuple(part.get_shape()), part.get_dtype())
                for name, part in parts.items()
            }
    except OSError as error:
        raise ProbeError(f"cannot read {file}: {error.strerror or error}") from None
    except (SafetensorError, ValueError, OverflowError) as error:
        raise ProbeError(
            f"{file} is not a sound safetensors file: {error}",
            expected=f"a whole file; this one has {file.stat().st_size} bytes",
            hint="download it again",
        ) from None


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
        for name, shard in _weight_map(folder).items():
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


def check_keys(folder: Path, conversion: Conversion, tied: str = "") -> dict[str, Stored]:
    """Compares a checkpoint with the network it is to fill, tensor by tensor.

    A weight may be there under its native name too, in place of the tensors that become it.

    Args:
        folder: the checkpoint.
        conversion: what becomes of its tensors.
        tied: native name of an output layer that is the embedding, so that its own copy may be
            missing; "" if there is none.

    Returns:
        The tensors that are a weight each, by native name.

    Raises:
        ProbeError: missing, unexpected or mis-shaped weights, by the checkpoint's own names.
    """
    found = headers(folder)
    whole: dict[str, Stored] = {}
    for name, tensor in found.items():
        tensor.check_floating()
        native = conversion.whole(name)
        wanted = conversion.own.get(name, conversion.native.get(native))
        if wanted is None:
            if IGNORED.search(name):
                continue
            raise ProbeError(
                f"{tensor.file}: unexpected weight '{name}'",
                expected="only weights that config.json's architecture has",
            )
        if native in whole:
            raise _twice(tensor, whole[native])
        if native:
            whole[native] = tensor
        if tensor.shape != wanted:
            raise ProbeError(
                f"{tensor.file}: weight '{name}' has shape {list(tensor.shape)}",
                expected=f"{list(wanted)}, by config.json",
            )
    missing: dict[str, None] = {}
    for native, sources in sorted(conversion.sources.items()):
        parts = [found[name] for name in sources if name in found]
        if native in whole:
            if parts and parts[0] is not whole[native]:
                raise _twice(parts[0], whole[native])
        elif native != tied:
            missing |= dict.fromkeys(sorted(set(sources) - found.keys()))
    if missing:
        first, *others = missing
        more = f" and {len(others)} more" if others else ""
        raise ProbeError(
            f"{folder}: weight '{first}' is missing{more}",
            hint="the download is incomplete, or config.json belongs to another checkpoint",
        )
    return whole


def _twice(one: Stored, other: Stored) -> ProbeError:
    return ProbeError(f"{one.file}: '{one.name}' and '{other.name}' are the same weight")


def same_bytes(first: Stored, second: Stored) -> bool:
    """Whether two stored tensors are equal to the byte."""
    import torch
    from safetensors import safe_open

    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return False
    with safe_open(first.file, "pt") as a, safe_open(second.file, "pt") as b:
        one, other = a.get_slice(first.name), b.get_slice(second.name)
        return all(
            torch.equal(
                one[at : at + ROWS].view(torch.uint8), other[at : at + ROWS].view(torch.uint8)
            )
            for at in range(0, first.shape[0], ROWS)
        )


def original(native: str, keys: Mapping[str, str]) -> str:
    """The checkpoint's own name of a native weight: the rules read backwards."""
    for pattern, target in keys.items():
        backwards = re.escape(target).replace(r"\\1", r"(\d+)")
        found = re.match(backwards, native)
        if found:
            plain = pattern.lstrip("^").replace(r"\.", ".")
            number = found.group(1) if found.groups() else ""
            return plain.replace(r"(\d+)", number) + native[found.end() :]
    return native
