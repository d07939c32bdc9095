"""Columns of the probe `attention`: a row per layer, group of keys, distance, and removal."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation
from mdlm_probe.core.shared_columns import TOKENS

PROGRESS = Column("progress", float, "share", "how much of the decoding was done: 0 is its begin")
STEPS_BEFORE = Column("steps_before", int, "steps", "steps made before the pass that is read")
MASKS_LEFT = Column("masks_left", int, "masks", "masks that the pass reads; none of causal models")

LAYERS = (
    PROGRESS,
    STEPS_BEFORE,
    MASKS_LEFT,
    TOKENS,
    Column("layer", int, "", "the network's layer, from 1"),
    Column("sinks", int, "", "keys that receive epsilon more than an even share"),
    Column("sink_place", int, "", "position of the strongest key, from 0"),
    Column("sink_from_prompt", int, "tokens", "the same, from the prompt's end: negative in it"),
    Column("sink_kind", str, "", "the strongest key: first, prompt, written, end or mask"),
    Column("sink_text", str, "", "text of the strongest key; empty for a mask"),
    Column("sink_punctuation", bool, "", "whether that is only punctuation or white space"),
    Column("received", float, "", "attention that the strongest key receives; mean of all keys: 1"),
    Column("even_received", float, "", "what it would, were every query's attention even"),
    Column("sink_heads", float, "share", "heads in which this key is the strongest"),
    Column("moved", int, "tokens", "from the layer's sink in the pass read before, if both are"),
)
GROUPS = (
    PROGRESS,
    MASKS_LEFT,
    Column("attended", str, "", "what is attended to: masks (others), prompt, written or itself"),
    Column("attention", float, "share", "of the masks' attention, that goes there; of all layers"),
    Column("even_attention", float, "share", "the same, were their attention even"),
)
DISTANCES = (
    Column("attended_distance", int, "tokens", "to the key: 0, 1, 2 (to 3), 4 (to 7) and so on"),
    *GROUPS[-2:],
)
REMOVALS = (
    PROGRESS,
    MASKS_LEFT,
    Column("removed", str, "", "which keys: each layer's strongest, or control"),
    Column("sink_layers", int, "", "layers whose strongest key is a sink"),
    Column("removed_kl", float, "nats", "divergence of the masks' rows from those with all keys"),
    Column("removed_tv", float, "share", "their total variation distance"),
    Column("removed_top", float, "share", "masks with another most probable token"),
    Column(
        "truth_lost",
        float,
        "nats",
        "log-probability that the true continuation loses, a token",
        optional=True,
    ),
)
OBSERVATIONS = (
    Observation("layers", "a layer in a pass that is read", LAYERS),
    Observation("groups", "a group of keys in a pass that is read", GROUPS),
    Observation("distances", "a class of distances, over the passes read", DISTANCES),
    Observation("removals", "keys that are removed in a pass that is read", REMOVALS),
)
