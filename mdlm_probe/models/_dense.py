"""What Llama, Qwen2 and Qwen3 under other names share: config.json in transformers' own keys, each
checked. No torch.
"""

from __future__ import annotations

from typing import Any, Literal

from mdlm_probe.models._config import Config

Native = Literal["llama", "qwen2", "qwen3"]

HEAD_DIM = 128
"""Of a Qwen3 whose config.json names none; its class's default."""

# What the authors' code can be told to compute and these networks, as they are made here, do not.
# The first value: what a missing key is taken for.
FIXED: dict[str, tuple[Any, ...]] = {
    "hidden_act": ("silu",),
    "use_sliding_window": (False,),
    "use_mrope": (False,),
    "transformers_weights": (None,),
}
BIASES: dict[str, tuple[str, ...]] = {
    "llama": ("attention_bias", "mlp_bias"),
    "qwen2": (),  # queries, keys and values always have one
    "qwen3": ("attention_bias",),
}
"""Keys that would add biases, by network."""
FULL = "full_attention"
PLAIN_ROPE = {
    "rope_type": "default",
    "type": "default",
    "factor": 1.0,
    "partial_rotary_factor": 1.0,
}
"""Rotary positions that are neither scaled nor partial."""


def translate(
    config: Config,
    native: Native,
    *,
    theta: float | None = None,
    eps: float = 1e-6,
    context: int | None = None,
) -> dict[str, Any]:
    """The native configuration of a checkpoint whose config.json has transformers' own keys.

    Args:
        config: the checkpoint's.
        native: the network's model_type.
        theta: of rotary positions, where config.json names none; None: it has to.
        eps: of norms, likewise.
        context: the longest input, where the checkpoint was trained on less than
            max_position_embeddings.

    Raises:
        ProbeError: naming file and key, for a variant that the network does not compute.
    """
    for key, values in FIXED.items():
        config.must(key, *values)
    for key in BIASES[native]:
        config.must(key, False)
    _check_layer_types(config)
    heads, kv_heads = _heads(config)
    key = "max_position_embeddings"
    longest = config.integer(key) if context is None else config.integer(key, context)
    return {
        "model_type": native,
        "vocab_size": config.integer("vocab_size"),
        "hidden_size": config.integer("hidden_size"),
        "num_hidden_layers": config.integer("num_hidden_layers"),
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        **_head_dim(config, native, heads),
        "intermediate_size": config.integer("intermediate_size"),
        key: min(longest, context or longest),
        "rms_norm_eps": config.number("rms_norm_eps", eps),
        "rope_parameters": {"rope_type": "default", "rope_theta": _theta(config, theta)},
        "hidden_act": "silu",
        "tie_word_embeddings": config.flag("tie_word_embeddings", False),
        **({} if native == "llama" else {"use_sliding_window": False}),
        **dict.fromkeys(BIASES[native], False),
    }


def _heads(config: Config) -> tuple[int, int]:
    """Attention heads, and those of keys and values."""
    heads = config.integer("num_attention_heads")
    kv_heads = config.nullable("num_key_value_heads") or heads  # the classes' default is 32
    if heads % kv_heads:
        raise config.error("num_key_value_heads", f"found {kv_heads}", f"a divisor of {heads}")
    return heads, kv_heads


def _head_dim(config: Config, native: Native, heads: int) -> dict[str, int]:
    """The width of a head, which only Qwen3 has a key of its own for."""
    if native == "qwen3":
        return {"head_dim": config.integer("head_dim", HEAD_DIM)}
    hidden = config.integer("hidden_size")
    if hidden % heads:
        raise config.error("num_attention_heads", f"found {heads}", f"a divisor of {hidden}")
    config.must("head_dim", None, hidden // heads)
    return {}


def _check_layer_types(config: Config) -> None:
    """Refuses layers that see a window only."""
    types = config.data.get("layer_types")
    if types is not None and (not isinstance(types, list) or {*map(str, types)} - {FULL}):
        raise config.error("layer_types", f"found {types!r}", f"'{FULL}' for every layer")


def _theta(config: Config, default: float | None) -> float:
    """The base of rotary positions: `rope_theta`, which newer files have in `rope_parameters`."""
    inner = _default_rope(config, "rope_parameters")
    _default_rope(config, "rope_scaling")
    if "rope_theta" not in inner:
        name = "rope_theta"
        return config.number(name) if default is None else config.number(name, default)
    own = Config(config.path, {"rope_theta": inner["rope_theta"]}).number("rope_theta")
    if (other := config.number("rope_theta", own)) != own:
        raise config.error("rope_theta", f"found {other}", f"{own}, as rope_parameters says")
    return own


def _default_rope(config: Config, key: str) -> dict[str, Any]:
    """An object that may only say that positions are neither scaled nor partial."""
    told = config.data.get(key)
    if told is None:
        return {}
    if not isinstance(told, dict) or not all(
        name == "rope_theta" or value is None or PLAIN_ROPE.get(name) == value
        for name, value in told.items()
    ):
        raise config.error(
            key,
            f"found {told!r}",
            "none, or rotary positions of type 'default'",
            hint="this variant of the architecture is not supported",
        )
    return told
