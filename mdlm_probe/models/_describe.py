"""What a checkpoint's config.json says of it, and what it may correct. No torch."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.models._config import Config, parameters
from mdlm_probe.models._families import declared, family, family_of

ROWS = "the embedding"
SHAPE = {
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "intermediate": "intermediate_size",
    "vocab": "vocab_size",
}
EXPERTS = {
    "experts": ("num_experts", "n_routed_experts"),
    "experts_per_token": ("num_experts_per_tok",),
    "expert_intermediate": ("moe_intermediate_size",),
    "shared_experts": ("n_shared_experts",),
    "dense_layers": ("first_k_dense_replace",),
}
"""Of mixtures of experts; the last two are 0 where a class has none."""
BLOCK_KEYS = ("block_size", "bd_size")
"""Keys of config.json that give the size of a block of attention."""


def describe(entry: Checkpoint, config: Config, told: str = "") -> Checkpoint:
    """An entry completed, and where it may be corrected, by the checkpoint's config.json.

    The config decides the geometry, since that is what gets loaded. The registry decides the end
    tokens and the context, where it names them: configs omit turn ends, and repeat the context of
    the model that training started from. On the mask id and the size of blocks both must agree: a
    wrong one would spoil every number silently.

    Args:
        entry: what is known so far.
        config: the checkpoint's.
        told: the family that the user says it is of, whatever the config says; "" asks the config.

    Raises:
        ProbeError: another family, mask id or block size than the entry's, token ids outside the
            vocabulary, or a config that the family refuses.
    """
    of = told or family_of(config)
    if of != entry.family:
        raise ProbeError(
            f"{config.path} is of family '{of}'",
            expected=f"'{entry.family}', as '{entry.name}' is registered",
            hint="give the folder or hub id instead of the registered name",
        )
    module = family(of)
    native = module.translate(config)
    _check_block(entry, module, config)
    geometry = _geometry(native)
    context, rows = native.get("max_position_embeddings"), native["vocab_size"]
    eos_ids = entry.eos_ids or config.tokens("eos_token_id")
    for end in eos_ids:
        if end >= rows:
            raise config.error(
                "eos_token_id", f"found {end}", f"less than the {rows} rows of {ROWS}"
            )
    mask_id = _mask_id(entry, module, config, rows)
    if mask_id in eos_ids:
        raise config.error(
            "mask_token_id", f"found {mask_id}, which ends a text, too", "another id"
        )
    return replace(
        entry,
        mask_id=mask_id,
        eos_ids=eos_ids,
        context=entry.context or (context if isinstance(context, int) else 0),
        geometry=geometry,
    )


def _geometry(native: dict[str, Any]) -> dict[str, int]:
    told = {name: native.get(key) for name, key in SHAPE.items()}
    told["kv_heads"] = told["kv_heads"] or told["heads"]
    shape = {n: value for n, value in told.items() if isinstance(value, int) and value > 0}
    if len(shape) < len(told):
        return {}  # a family may use other names; its size is known once it is loaded
    shape["head_dim"] = native.get("head_dim") or shape["hidden"] // shape["heads"]
    shape["tied"] = int(bool(native.get("tie_word_embeddings")))
    shape["qkv_bias"] = int(native.get("model_type") == "qwen2")
    shape["qk_norm"] = int(
        native.get("model_type") in ("qwen3", "qwen3_moe") or native.get("use_qk_norm") is True
    )
    if "num_experts_per_tok" in native:
        shape |= {
            name: next((native[key] for key in keys if key in native), 0)
            for name, keys in EXPERTS.items()
        }
        shape["float32_router"] = int(native.get("model_type") == "glm4_moe")
    return {**shape, "parameters": parameters(shape)}


def _mask_id(entry: Checkpoint, module: ModuleType, config: Config, vocab: int) -> int | None:
    """The mask token's id: config.json's, which must be the registry's; else the family's."""
    if entry.kind == "causal":
        return None
    told = config.token("mask_token_id")
    if told is not None and entry.mask_id is not None and told != entry.mask_id:
        raise config.error(
            "mask_token_id",
            f"found {told}",
            f"{entry.mask_id}, as '{entry.name}' is registered",
            hint="another revision? Give the folder or hub id to use the config's",
        )
    ids = (told, entry.mask_id, _own_mask(module, config))
    mask_id = next((one for one in ids if one is not None), None)
    if mask_id is None:
        raise config.error("mask_token_id", "is missing", "the mask token's id")
    if mask_id >= vocab:
        found = f"found {mask_id}"
        if told is None:
            found = f"is missing, and {mask_id}, by which family '{entry.family}' has it, is no row"
        raise config.error("mask_token_id", found, f"less than the {vocab} rows of {ROWS}")
    return mask_id


def _own_mask(module: ModuleType, config: Config) -> int | None:
    """The mask id that a family has where config.json names none."""
    own = declared(module, "MASK_ID")
    return own.get(config.data.get("model_type")) if isinstance(own, dict) else own


# ---------------------------------------------------------------------- blocks of attention


def block_of(module: ModuleType, config: Config, told: int | None) -> int:
    """The size of a checkpoint's blocks of attention; 0 where it has none.

    Args:
        module: its family.
        config: the checkpoint's, which may name it.
        told: what the user says it is; None: nothing.

    Raises:
        ProbeError: config.json names another size than the user, or one where the family has no
            blocks; or nobody names it, where the family has several.
    """
    named = _named_block(config)
    usual = declared(module, "BLOCK")
    if usual == 0:
        return _no_blocks(module, config, named, told)
    if named:
        key, size = named
        if told not in (None, size):
            raise ProbeError(
                f"--block-size is {told}, but {config.path}, key '{key}', says {size}",
                expected=f"{size}, or no --block-size",
                option="block_size",
            )
        return size
    if told is None and usual is None:
        raise ProbeError(
            f"{config.path} doesn't say how long the blocks are in which it attends",
            expected=f"key '{BLOCK_KEYS[0]}', or --block-size; 0 where attention isn't in blocks",
            hint="how it was trained decides: read over other blocks, its answers mean nothing",
            option="block_size",
        )
    return int(usual if told is None else told)


def _no_blocks(
    module: ModuleType, config: Config, named: tuple[str, int] | None, told: int | None
) -> int:
    """0, for a family that has no blocks."""
    name = module.__name__.rpartition(".")[2]
    if told:
        raise ProbeError(
            f"--block-size is {told}, but checkpoints of family '{name}' don't attend in blocks",
            expected="no --block-size",
            option="block_size",
        )
    if named and module.KIND == "masked":
        raise config.error(
            named[0],
            f"found {named[1]}",
            f"nothing of the kind in a checkpoint of family '{name}', which attends to all",
            hint="--family says what it is, where it is something else",
        )
    return 0


def _check_block(entry: Checkpoint, module: ModuleType, config: Config) -> None:
    """Refuses a config.json that names another size than the entry has."""
    blocks = declared(module, "BLOCK") != 0
    if blocks and (named := _named_block(config)) and named[1] != entry.block:
        raise config.error(
            named[0], f"found {named[1]}", f"{entry.block}, as '{entry.name}' is registered"
        )


def _named_block(config: Config) -> tuple[str, int] | None:
    """The key of config.json that names the size of blocks, and the size."""
    named = [(key, size) for key in BLOCK_KEYS if (size := config.integer(key, None)) is not None]
    if len({size for _, size in named}) > 1:
        raise config.error(named[1][0], f"found {named[1][1]}", f"{named[0][1]}, as {named[0][0]}")
    return named[0] if named else None
