"""Model families: one file each, and which of them a config.json speaks of. No torch.

A family is a file of this folder whose name has no leading underscore. It declares
    KIND          "masked" or "causal"
    MODEL_TYPES   config.json's `model_type` -> the class that its `architectures` then names
    NATIVE        the transformers class that computes it
    SHIFT         1 where the network's row i-1 scores the token at i, else 0
    KEYS          regular expressions: the checkpoint's names of weights -> the native ones
    translate(config: Config) -> dict    the native configuration
and may declare
    MASK_ID       the mask token's id where config.json names none: one id, or one by model_type
    MASK_TEXT     how the authors' code spells the mask token that it adds to the tokenizer
    BLOCK         attention is block-causal: the block's size, where config.json names none; None
                  where only config.json, the registry or --block-size know it
    ORIGIN        where the first block begins: "start" (the default), or "prompt", at its end
    CHAT_OPTIONS  variables of the chat template, such as `enable_thinking`
    CONVERSION    a tensor of the files, after KEYS -> the weights that its rows are split into
    FLOAT32       patterns of weights that stay in float32 whatever --dtype says; with CONVERSION
A family without a transformers class has `build(entry, options) -> Model` in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _unsupported
from mdlm_probe.models._config import Config

HERE = Path(__file__).parent
DEFAULTS: dict[str, Any] = {
    "MASK_ID": None,
    "MASK_TEXT": "",
    "BLOCK": 0,
    "ORIGIN": "start",
    "CHAT_OPTIONS": {},
    "CONVERSION": {},
    "FLOAT32": (),
}
"""What a family may declare, and what holds where it doesn't; see the module's docstring."""

# Keys that only masked models have a use for, and values that say so. `_name_or_path` says where a
# checkpoint came from, and may say anything.
MASKED_KEYS = re.compile(
    r"mask_token|masked_?lm|dlm|diffusion|bidirectional|denois|bd_size|block_(size|length)",
    re.IGNORECASE,
)
MASKED_VALUES = re.compile(r"dlm|diffusion|bidirectional|denois", re.IGNORECASE)
SAYS_CAUSAL = ("", "none", "causal", "autoregressive", "ar")


def families() -> list[str]:
    """Names of the families: the files of this folder."""
    return [*_families()]


@cache
def _families() -> tuple[str, ...]:
    """Looked up once: a checkpoint's family is asked for dozens of times while it loads."""
    return tuple(sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_")))


def family(name: str) -> ModuleType:
    """A family's module.

    Raises:
        ProbeError: for an unknown name.
    """
    if name not in _families():
        raise ProbeError(f"no model family '{name}'", expected=", ".join(families()))
    return import_module(f"mdlm_probe.models.{name}")


def declared(module: ModuleType, name: str) -> Any:
    """What a family declares under one of the names that it may, or the default."""
    return getattr(module, name, DEFAULTS[name])


@cache
def declares(name: str) -> bool:
    """Whether a family reads checkpoints. Looked up in the text: importing may cost seconds."""
    return "\nMODEL_TYPES" in (HERE / f"{name}.py").read_text(encoding="utf-8")


def readers() -> list[str]:
    """Names of the families that read checkpoints."""
    return [name for name in families() if declares(name)]


def check_name(name: str) -> None:
    """Refuses a family that a user names and that reads no checkpoints.

    Raises:
        ProbeError: naming the option.
    """
    if name and name not in readers():
        raise ProbeError(
            f"no family '{name}' reads checkpoints", expected=", ".join(readers()), option="family"
        )


def family_of(config: Config) -> str:
    """The family of a checkpoint, by config.json's architectures and model_type.

    The architecture comes first, since checkpoints of one model_type may need different networks.
    Both must agree; and nothing may say that a causal model was trained to fill masks.

    Raises:
        ProbeError: naming what was found and what is known.
    """
    told, made = config.data.get("model_type"), _architectures(config)
    kind = told if isinstance(told, str) else ""
    _unsupported.check_config(config, made)
    types: dict[str, dict[str, str]] = {name: family(name).MODEL_TYPES for name in readers()}
    by_type = [name for name in types if kind in types[name]]
    by_class = [name for name in types if made and set(made) <= set(types[name].values())]
    if by_type:
        name = _agreed(config, {name: types[name][kind] for name in by_type}, by_class, made)
        if family(name).KIND == "causal":
            _check_no_masks(config, name)
        return name
    # transformers needs the model_type of a causal model
    if by_class and family(by_class[0]).KIND == "masked":
        return by_class[0]
    found = f"model_type {told!r}" + (f", architectures {made!r}" if made else "")
    raise ProbeError(
        f"{config.path}: unknown model family: {found}",
        expected="; ".join(
            f"{name} ({', '.join(f'{kind}: {cls}' for kind, cls in types[name].items())})"
            for name in types
        ),
        hint="a new family is one file in mdlm_probe/models/",
    )


def _architectures(config: Config) -> list[str]:
    """The class names that config.json gives, as a list.

    Raises:
        ProbeError: something else than names.
    """
    made = config.data.get("architectures")
    names = [] if made is None else made if isinstance(made, list) else [made]
    if not all(isinstance(name, str) for name in names):
        raise config.error("architectures", f"found {made!r}", "a list of class names")
    return names


def _agreed(config: Config, wanted: dict[str, str], by_class: list[str], made: list[str]) -> str:
    """The family that model_type and architectures agree on.

    Args:
        config: the checkpoint's.
        wanted: the class that each family of its model_type has.
        by_class: the families that have the classes it names.
        made: these classes.

    Raises:
        ProbeError: none, or several where no class is named; a causal model has to name its class.
    """
    for name, cls in wanted.items():
        if name in by_class and set(made) == {cls}:
            return name
    (first, *others) = wanted
    if not made and not others and family(first).KIND == "masked":
        return first
    classes = " or ".join(
        f"['{cls}'] ({name}, {family(name).KIND})" for name, cls in wanted.items()
    )
    raise config.error(
        "architectures",
        (f"found {made!r}" if made else "is missing")
        + f", with model_type '{config.data['model_type']}'",
        f"{classes}: no other class of that type is known",
        hint=_way_out(first),
    )


def _check_no_masks(config: Config, name: str) -> None:
    """Refuses a causal checkpoint that says, besides its class, that it is something else."""
    if sign := next(_masked_signs(config.data), ""):
        found = config.data[sign.split(".")[0]]
        kind = config.data["model_type"]
        raise config.error(
            sign,
            f"found {found!r}, as of a masked model, with model_type '{kind}'",
            "nothing of the kind in a causal model, which is read from left to right",
            hint=_way_out(name),
        )


def _way_out(name: str) -> str:
    return f"if it is one, --family {name} says so; families are {', '.join(readers())}"


def _masked_signs(data: dict[str, Any]) -> Iterator[str]:
    """Keys of a config.json that speak of a masked model; those of its objects as `outer.inner`."""
    facts = [(key, key, value) for key, value in data.items()]
    objects = [(key, value) for key, value in data.items() if isinstance(value, dict)]
    facts += [(f"{outer}.{key}", key, value) for outer, o in objects for key, value in o.items()]
    for name, key, value in facts:
        if key == "is_causal" and value is False:
            yield name
        if value is None or value is False or value in SAYS_CAUSAL:
            continue
        told = isinstance(value, str) and key != "_name_or_path" and MASKED_VALUES.search(value)
        if told or MASKED_KEYS.search(key):
            yield name
