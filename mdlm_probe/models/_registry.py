"""Which checkpoints and families there are: registry.yaml, folders, hub ids. No torch.

A family is a file of this folder whose name has no leading underscore. It declares
    KIND          "masked" or "causal"
    MODEL_TYPES   what config.json's `model_type` or `architectures` say for it
    NATIVE        the transformers class that computes it
    SHIFT         1 where the network's row i-1 scores the token at i, else 0
    KEYS          regular expressions: the checkpoint's names of weights -> the native ones
    translate(config: Config) -> dict    the native configuration
A family without a transformers class has `build(entry, options) -> Model` in their place.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import fields, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _hub
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._config import Config, parameters

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

HERE = Path(__file__).parent
FILE = HERE / "registry.yaml"
SHAPE = {
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "intermediate": "intermediate_size",
    "vocab": "vocab_size",
}
CHAT_WORDS = re.compile(r"(^|[-_. ])(instruct|chat|sft|it)([-_. ]|$)", re.IGNORECASE)


# ---------------------------------------------------------------------- families


def families() -> list[str]:
    """Names of the families: the files of this folder."""
    return sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))


def family(name: str) -> ModuleType:
    """A family's module.

    Raises:
        ProbeError: for an unknown name.
    """
    if name not in families():
        raise ProbeError(f"no model family '{name}'", expected=", ".join(families()))
    return import_module(f"mdlm_probe.models.{name}")


def _declares(name: str) -> bool:
    """Whether a family reads checkpoints. Looked up in the text: importing may cost seconds."""
    return "\nMODEL_TYPES" in (HERE / f"{name}.py").read_text(encoding="utf-8")


def family_of(config: Config) -> str:
    """The family of a checkpoint, by config.json's model_type, else by its architectures.

    Raises:
        ProbeError: naming what was found and what is known.
    """
    known = {name: family(name).MODEL_TYPES for name in families() if _declares(name)}
    kind, made = config.data.get("model_type"), config.data.get("architectures") or []
    for claims in ([kind], made if isinstance(made, list) else [made]):
        for name, types in known.items():
            if any(claim in types for claim in claims):
                return name
    found = f"model_type {kind!r}" + (f", architectures {made!r}" if made else "")
    raise ProbeError(
        f"{config.path}: unknown model family: {found}",
        expected="; ".join(f"{name} ({', '.join(types)})" for name, types in known.items()),
        hint="a new family is one file in mdlm_probe/models/",
    )


# ---------------------------------------------------------------------- the registry


@cache
def registry() -> dict[str, Checkpoint]:
    """The entries of registry.yaml, by name.

    Raises:
        ProbeError: naming entry and field of whatever is wrong in the file.
    """
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: _entry(name, row) for name, row in rows.items()}


def _entry(name: str, row: dict[str, Any]) -> Checkpoint:
    row = dict(row)
    known = {f.name for f in fields(Checkpoint)} - {"name"} | {"folder"}
    for key in row:
        if key not in known:
            raise ProbeError(
                f"{FILE}, entry '{name}': unknown field '{key}'", expected=", ".join(sorted(known))
            )
    if "folder" in row:
        row["source"] = str(HERE / row.pop("folder"))
    if row["family"] not in families():
        raise ProbeError(
            f"{FILE}, entry '{name}': no family '{row['family']}'", expected=", ".join(families())
        )
    if "kind" not in row:  # a family without weights names its kinds, and is seconds to import
        row |= {"kind": family(row["family"]).KIND, "shift": family(row["family"]).SHIFT}
    row["eos_ids"] = tuple(row.get("eos_ids", ()))
    entry = Checkpoint(name=name, **row)
    if entry.geometry:
        complete = {**entry.geometry, "parameters": parameters(entry.geometry)}
        return replace(entry, geometry=complete)
    if not entry.source or not (Path(entry.source) / "config.json").is_file():
        return entry
    config = Config.read(Path(entry.source))
    return describe(entry, config) if _declares(entry.family) else _borrow(entry, config)


def _borrow(entry: Checkpoint, config: Config) -> Checkpoint:
    """For a family without weights: ids and context of the checkpoint whose tokenizer it uses."""
    mask_id = config.token("mask_token_id") if entry.kind == "masked" else None
    eos_ids = entry.eos_ids or config.tokens("eos_token_id")
    context = entry.context or config.integer("max_sequence_length", 0)
    return replace(entry, mask_id=mask_id, eos_ids=eos_ids, context=context)


def resolve(name_or_path: str, revision: str = "") -> Checkpoint:
    """The entry of a registry name, a local folder, or a hub id `org/name`.

    Args:
        name_or_path: what the user gave as --model.
        revision: hub branch, tag or commit; "" for the entry's own.

    Raises:
        ProbeError: unknown name (with the nearest ones), missing folder, unknown family.
    """
    known = registry()
    if name_or_path in known:
        entry = known[name_or_path]
        if revision and _hub.is_local(entry.source):
            raise ProbeError(f"'{name_or_path}' has no revisions: it is no checkpoint of the hub")
        return replace(entry, revision=revision) if revision else entry
    path = Path(name_or_path).expanduser()
    if path.is_dir() or _written_as_path(name_or_path):
        _hub.locate(str(path), revision or "main", weights=False)
        return _from_files(str(path), path.resolve().name, path, "main")
    for entry in known.values():
        if entry.source.lower() == name_or_path.lower():
            return replace(entry, revision=revision or entry.revision)
    if _hub.HUB_ID.match(name_or_path):
        place = _hub.locate(name_or_path, revision or "main", weights=False)
        name = name_or_path.split("/")[1]
        return _from_files(name_or_path, name, place.folder, revision or "main")
    raise _unknown(name_or_path)


def relation(scorer: Checkpoint, model: Checkpoint) -> str:
    """How a scorer is a relative of a model, in words; "" where it is none, as far as is known.

    Relatives are one of the other's ancestors, the models that its training started from, or have
    an ancestor or a line of models in common: they find likely what the other writes.
    """
    ours, theirs = _ancestors(scorer), _ancestors(model)
    if scorer.name == model.name:
        return f"{model.name} itself"
    if scorer.name in theirs:
        return f"the model that {model.name} started from"
    if model.name in ours:
        return f"a model that started from {model.name}"
    return f"a relative of {model.name}" if ours & theirs else ""


def _ancestors(entry: Checkpoint) -> set[str]:
    """A model, those that it started from, and their line, by name."""
    found = {entry.name, entry.line} - {""}
    if entry.started_from in found or not entry.started_from:
        return found
    known = registry().get(entry.started_from)
    return found | (_ancestors(known) if known else {entry.started_from})


def _unknown(name: str) -> ProbeError:
    close = difflib.get_close_matches(name.lower(), registry(), n=3, cutoff=0.5)
    return ProbeError(
        f"no model named '{name}'",
        expected=f"{' or '.join(close)}?" if close else ", ".join(registry()),
        hint="`mdlm-probe models` lists them; a local folder or a hub id `org/name` works too",
    )


def _written_as_path(text: str) -> bool:
    return text.startswith(("/", "./", "../", "~", ".\\")) or text.count("/") > 1 or "\\" in text


def _from_files(source: str, name: str, folder: Path, revision: str) -> Checkpoint:
    """An entry made from a checkpoint that the registry does not know."""
    config = Config.read(folder)
    of = family_of(config)
    chat = bool(CHAT_WORDS.search(name))
    note = f"from config.json; {'chat' if chat else 'base'} by its name"
    entry = Checkpoint(
        *(name, of, family(of).KIND, source, revision),
        shift=family(of).SHIFT,
        chat=chat,
        note=note,
    )
    return describe(entry, config)


# ---------------------------------------------------------------------- opening


def open_checkpoint(
    entry: Checkpoint, revision: str = "", *, weights: bool
) -> tuple[_hub.Place, Border]:
    """A checkpoint's files, and its border with the entry that config.json completed.

    Args:
        entry: from `resolve`.
        revision: "" for the entry's own.
        weights: whether the weights are needed too.
    """
    from mdlm_probe.models import _border, _tokenizer

    place = _hub.locate(entry.source, revision or entry.revision, weights=weights)
    known = registry().get(entry.name)
    told = known is not None and known.source == entry.source and known.eos_ids
    entry = describe(entry, Config.read(place.folder))
    border = _border.load_border(place.folder, entry)
    if not told:
        ends = tuple(dict.fromkeys((*entry.eos_ids, *_tokenizer.turn_ends(border.tokenizer))))
        border.entry = replace(entry, eos_ids=ends)
    return place, border


# ---------------------------------------------------------------------- config.json has a say


def describe(entry: Checkpoint, config: Config) -> Checkpoint:
    """An entry completed, and where it may be corrected, by the checkpoint's config.json.

    The config decides the geometry, since that is what gets loaded. The registry decides the end
    tokens and the context, where it names them: configs omit turn ends, and repeat the context of
    the model that training started from. On the mask id both must agree: a wrong one would spoil
    every number silently.

    Raises:
        ProbeError: another family or mask id than the entry's, a mask id outside the vocabulary, or
            a config that the family refuses.
    """
    of = family_of(config)
    if of != entry.family:
        raise ProbeError(
            f"{config.path} is of family '{of}'",
            expected=f"'{entry.family}', as '{entry.name}' is registered",
            hint="give the folder or hub id instead of the registered name",
        )
    native = family(of).translate(config)
    geometry = _geometry(native)
    context = entry.context or native.get("max_position_embeddings", 0)
    return replace(
        entry,
        mask_id=_mask_id(entry, config, native["vocab_size"]),
        eos_ids=entry.eos_ids or config.tokens("eos_token_id"),
        context=int(context),
        geometry=geometry,
    )


def _geometry(native: dict[str, Any]) -> dict[str, int]:
    told = {name: native.get(key) for name, key in SHAPE.items()}
    told["kv_heads"] = told["kv_heads"] or told["heads"]
    shape = {name: value for name, value in told.items() if isinstance(value, int)}
    if len(shape) < len(told):
        return {}  # a family may use other names; its size is known once it is loaded
    shape["tied"] = int(bool(native.get("tie_word_embeddings")))
    shape["qkv_bias"] = int(native.get("model_type") == "qwen2")
    return {**shape, "parameters": parameters(shape)}


def _mask_id(entry: Checkpoint, config: Config, vocab: int) -> int | None:
    if entry.kind == "causal":
        return None
    told = config.token("mask_token_id")
    mask_id = entry.mask_id if told is None else told
    if mask_id is None:
        raise config.error("mask_token_id", "is missing", "the mask token's id")
    if told is not None and entry.mask_id is not None and told != entry.mask_id:
        raise config.error(
            "mask_token_id",
            f"found {told}",
            f"{entry.mask_id}, as '{entry.name}' is registered",
            hint="another revision? Give the folder or hub id to use the config's",
        )
    if mask_id >= vocab:
        raise config.error(
            "mask_token_id", f"found {mask_id}", f"less than the {vocab} rows of the vocabulary"
        )
    return mask_id
