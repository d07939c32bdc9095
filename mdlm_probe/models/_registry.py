"""Which checkpoints there are: registry.yaml, folders, hub ids. No torch."""

from __future__ import annotations

import difflib
import re
from dataclasses import fields, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import yaml

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _hub, _unsupported
from mdlm_probe.models._checkpoint import Checkpoint, LoadOptions
from mdlm_probe.models._config import Config, parameters
from mdlm_probe.models._describe import block_of, describe
from mdlm_probe.models._families import check_name, declared, declares, families, family, family_of

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

HERE = Path(__file__).parent
FILE = HERE / "registry.yaml"
CHAT = ("instruct", "chat", "sft", "it")
CHAT_WORDS = re.compile(rf"(^|[-_. ])({'|'.join(CHAT)})([-_. ]|$)", re.IGNORECASE)


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
    if declares(row["family"]):  # others name their kinds, and are seconds to import
        row = _of_family(family(row["family"]), row)
        if row["block"] is None:
            raise ProbeError(
                f"{FILE}, entry '{name}': no block",
                expected="the size of its blocks of attention; 0 where it has none",
            )
    row["eos_ids"] = tuple(row.get("eos_ids", ()))
    entry = Checkpoint(name=name, **row)
    if entry.geometry:
        complete = {**entry.geometry, "parameters": parameters(entry.geometry)}
        return replace(entry, geometry=complete)
    if not entry.source or not (Path(entry.source) / "config.json").is_file():
        return entry
    config = Config.read(Path(entry.source))
    return describe(entry, config) if declares(entry.family) else _borrow(entry, config)


def _of_family(module: ModuleType, row: dict[str, Any]) -> dict[str, Any]:
    """Fields of an entry, completed by what its family says of all its checkpoints."""
    row = {"block": declared(module, "BLOCK"), **row}
    return {
        "kind": module.KIND,
        "shift": module.SHIFT,
        "origin": declared(module, "ORIGIN") if row["block"] else "start",
        "chat_options": declared(module, "CHAT_OPTIONS"),
        **row,
    }


def _borrow(entry: Checkpoint, config: Config) -> Checkpoint:
    """For a family without weights: ids and context of the checkpoint whose tokenizer it uses."""
    mask_id = config.token("mask_token_id") if entry.kind == "masked" else None
    eos_ids = entry.eos_ids or config.tokens("eos_token_id")
    context = entry.context or config.integer("max_sequence_length", 0)
    return replace(entry, mask_id=mask_id, eos_ids=eos_ids, context=context)


ALIAS = re.compile(r"([A-Za-z0-9][\w.+-]*)=(.+)")
"""A name that a user gives to a model."""


def resolve(
    name_or_path: str, revision: str = "", told: str = "", block: int | None = None
) -> Checkpoint:
    """The entry of a registry name, a local folder, or a hub id `org/name`.

    A folder of the hub's cache is known by its hub id. NAME=PATH is known by the name that the user
    gives it: many folders are called `final`.

    Args:
        name_or_path: what the user gave as --model.
        revision: hub branch, tag or commit; "" for the entry's own.
        told: the family that the user says it is of; "": as the registry or config.json say.
        block: the size of its blocks of attention, likewise; None: as these say.

    Raises:
        ProbeError: unknown name (with the nearest ones), missing folder, unknown family.
    """
    check_name(told)
    known = registry()
    if (given := ALIAS.fullmatch(name_or_path)) and not Path(name_or_path).exists():
        alias, source = given.groups()
        if alias in known:
            raise ProbeError(
                f"'{alias}' is the name of a registered checkpoint",
                expected="NAME=PATH with a name of your own",
                option="model",
            )
        return replace(resolve(source, revision, told, block), name=alias)
    if name_or_path in known:
        entry = known[name_or_path]
        if revision and _hub.is_local(entry.source):
            raise ProbeError(f"'{name_or_path}' has no revisions: it is no checkpoint of the hub")
        return _registered(entry, entry.source, revision, told, block)
    path = Path(name_or_path).expanduser()
    if path.is_dir() or _written_as_path(name_or_path):
        _hub.locate(str(path), revision or "main", weights=False)
        hub_id = _hub.repository(path)
        if found := _of_hub(hub_id):
            return _registered(found, str(path), "main", told, block)
        name = hub_id.split("/")[-1] or path.resolve().name
        return _from_files(str(path), name, path, "main", told, block)
    if found := _of_hub(name_or_path):
        return _registered(found, found.source, revision, told, block)
    if _hub.HUB_ID.match(name_or_path):
        if not told:
            _unsupported.check_source(name_or_path)
        place = _hub.locate(name_or_path, revision or "main", weights=False)
        name = name_or_path.split("/")[1]
        return _from_files(name_or_path, name, place.folder, revision or "main", told, block)
    raise _unknown(name_or_path)


def entry_for(name_or_path: str, options: LoadOptions) -> Checkpoint:
    """`resolve`, with all that the options say of the entry.

    Raises:
        ProbeError: as `resolve` and `LoadOptions.apply`.
    """
    return options.apply(
        resolve(name_or_path, options.revision, options.family, options.block_size)
    )


def _of_hub(hub_id: str) -> Checkpoint | None:
    """The registered entry of a hub id."""
    entries = (entry for entry in registry().values() if entry.source.lower() == hub_id.lower())
    return next(entries, None) if hub_id else None


def _registered(
    entry: Checkpoint, source: str, revision: str, told: str, block: int | None
) -> Checkpoint:
    """An entry of the registry, of another source or revision.

    Raises:
        ProbeError: the user says that it is of another family, or has other blocks.
    """
    if told and told != entry.family:
        raise ProbeError(
            f"'{entry.name}' is registered as of family '{entry.family}', not '{told}'",
            expected="--family for folders and hub ids that aren't registered",
            option="family",
        )
    if block not in (None, entry.block):
        raise ProbeError(
            f"'{entry.name}' is registered with blocks of {entry.block}, not {block}",
            expected="--block-size for folders and hub ids that aren't registered",
            option="block_size",
        )
    return replace(entry, source=source, revision=revision or entry.revision)


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


def _from_files(
    source: str, name: str, folder: Path, revision: str, told: str, block: int | None
) -> Checkpoint:
    """An entry made from a checkpoint that the registry does not know."""
    if not told:
        _unsupported.check_source(name)
    config = Config.read(folder)
    of = told or family_of(config)
    module = family(of)
    word = CHAT_WORDS.search(name)
    reason = (
        f"its name, '{name}', says '{word[2]}'"
        if word
        else f"its name, '{name}', has none of the words {', '.join(CHAT)}"
    )
    facts = {
        "name": name,
        "family": of,
        "source": source,
        "revision": revision,
        "block": block_of(module, config, block),
        "chat": word is not None,
        "style_reason": reason,
        "note": f"from config.json; {'chat' if word else 'base'} by its name",
    }
    entry = Checkpoint(**_of_family(module, facts))
    return describe(entry, config, told)


# ---------------------------------------------------------------------- opening


def open_checkpoint(
    entry: Checkpoint, options: LoadOptions, *, weights: bool
) -> tuple[_hub.Place, Border]:
    """A checkpoint's files, and its border with the entry that config.json completed.

    Args:
        entry: from `resolve`.
        options: its revision, "" for the entry's own, and its family, where the user says it.
        weights: whether the weights are needed too.
    """
    from mdlm_probe.models import _border, _tokenizer

    place = _hub.locate(entry.source, options.revision or entry.revision, weights=weights)
    known = registry().get(entry.name)
    sources = (entry.source.lower(), _hub.repository(place.folder).lower())
    told = known is not None and known.source.lower() in sources and known.eos_ids
    entry = describe(entry, Config.read(place.folder), options.family)
    border = _border.load_border(place.folder, entry)
    if entry.geometry:
        _tokenizer.check_ids(border.tokenizer, place.folder, entry.geometry["vocab"])
    if entry.mask_id is not None:
        text = declared(family(entry.family), "MASK_TEXT")
        _tokenizer.add_mask(border.tokenizer, place.folder, entry.mask_id, text)
    if not told:
        ends = tuple(dict.fromkeys((*entry.eos_ids, *_tokenizer.turn_ends(border.tokenizer))))
        border.entry = replace(entry, eos_ids=ends)
    return place, border
