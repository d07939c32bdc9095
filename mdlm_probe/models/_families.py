"""Model families: one file each, and which of them a config.json speaks of. No torch.

A family is a file of this folder whose name has no leading underscore. It declares
    KIND          "masked" or "causal"
    MODEL_TYPES   config.json's `model_type` -> the class that its `architectures` then names
    NATIVE        the transformers class that computes it
    SHIFT         1 where the network's row i-1 scores the token at i, else 0
    KEYS          regular expressions: the checkpoint's names of weights -> the native ones
    translate(config: Config) -> dict    the native configuration
A family without a transformers class has `build(entry, options) -> Model` in their place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._config import Config

HERE = Path(__file__).parent

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
    return sorted(p.stem for p in HERE.glob("*.py") if not p.stem.startswith("_"))


def family(name: str) -> ModuleType:
    """A family's module.

    Raises:
        ProbeError: for an unknown name.
    """
    if name not in families():
        raise ProbeError(f"no model family '{name}'", expected=", ".join(families()))
    return import_module(f"mdlm_probe.models.{name}")


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
    """The family of a checkpoint, by config.json's model_type and architectures.

    Both must agree, since checkpoints of one model_type may need different networks; and nothing
    may say that a causal model was trained to fill masks.

    Raises:
        ProbeError: naming what was found and what is known.
    """
    kind, made = config.data.get("model_type"), _architectures(config)
    for name in readers():
        module = family(name)
        types: dict[str, str] = module.MODEL_TYPES
        if isinstance(kind, str) and kind in types:
            _check_agreement(config, name, types[kind], made)
            return name
        # transformers needs the model_type of a causal model
        if module.KIND == "masked" and made and set(made) <= set(types.values()):
            return name
    known = {name: family(name).MODEL_TYPES.items() for name in readers()}
    found = f"model_type {kind!r}" + (f", architectures {made!r}" if made else "")
    raise ProbeError(
        f"{config.path}: unknown model family: {found}",
        expected="; ".join(
            f"{name} ({', '.join(f'{kind}: {cls}' for kind, cls in types)})"
            for name, types in known.items()
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


def _check_agreement(config: Config, name: str, wanted: str, made: list[str]) -> None:
    """Refuses a checkpoint that says, besides its model_type, that it is something else."""
    kind, causal = config.data["model_type"], family(name).KIND == "causal"
    way_out = f"if it is one, --family {name} says so; families are {', '.join(readers())}"
    if [one for one in made if one != wanted] or (causal and not made):
        raise config.error(
            "architectures",
            (f"found {made!r}" if made else "is missing") + f", with model_type '{kind}'",
            f"['{wanted}'], the only class known to be a {family(name).KIND} model of that type",
            hint=way_out,
        )
    if causal and (sign := next(_masked_signs(config.data), "")):
        key = sign.split(".")[0]
        raise config.error(
            sign,
            f"found {config.data[key]!r}, as of a masked model, with model_type '{kind}'",
            "nothing of the kind in a causal model, which is read from left to right",
            hint=way_out,
        )


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
