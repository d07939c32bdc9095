"""The rows of the passes that were read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mdlm_probe.decoding import answers
from mdlm_probe.probes.attention.by_step import Effect, StepReading

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.probes.attention.canvases import StepCanvas

Row = dict[str, Any]


def of(engine: AnyEngine, found: Sequence[StepReading]) -> dict[str, list[Row]]:
    """A prompt's rows by kind."""
    layers = []
    for number, one in enumerate(found):
        layers += list(_layers(engine, one, found[number - 1] if number else None))
    return {
        "layers": layers,
        "groups": [row for one in found for row in _groups(one)],
        "distances": list(_distances(found)),
        "removals": [row for one in found for row in _removals(one)],
    }


def _at(canvas: StepCanvas) -> Row:
    return {"progress": canvas.progress, "masks_left": len(canvas.of("mask"))}


def _layers(engine: AnyEngine, one: StepReading, before: StepReading | None) -> Iterator[Row]:
    canvas, sinks = one.canvas, one.sinks
    prompt = len(canvas.of("first", "prompt"))
    for layer, place in enumerate(sinks.strongest):
        (piece,) = answers.pieces(engine.border, engine.entry, canvas.ids[place : place + 1])
        text = piece if isinstance(piece, str) else ""
        moved = None
        if before and sinks.are[layer, place]:
            last = before.sinks.strongest[layer]
            moved = abs(place - last) if before.sinks.are[layer, last] else None
        yield _at(canvas) | {
            "steps_before": canvas.steps_before,
            "tokens": len(canvas.ids),
            "layer": layer + 1,
            "sinks": int(sinks.are[layer].sum()),
            "sink_place": place,
            "sink_from_prompt": place - prompt,
            "sink_kind": canvas.kinds[place],
            "sink_text": text,
            "sink_punctuation": _is_punctuation(text),
            "received": float(sinks.received[layer, place]),
            "even_received": float(sinks.even[place]),
            "sink_heads": float(sinks.heads[layer, place]),
            "moved": moved,
        }


def _is_punctuation(text: str) -> bool:
    return bool(text) and not any(sign.isalnum() for sign in text)


def _groups(one: StepReading) -> Iterator[Row]:
    shares = zip(one.groups.names, one.groups.found, one.groups.even, strict=True)
    for name, found, even in shares:
        if even > EMPTY:
            yield _at(one.canvas) | {
                "attended": name,
                "attention": float(found),
                "even_attention": float(even),
            }


EMPTY = 1e-9
"""A share below which there is nothing of a kind to attend to."""


def _distances(found: Sequence[StepReading]) -> Iterator[Row]:
    """Means over the passes in which there is something at a distance."""
    for number, start in enumerate(found[0].distances.names if found else ()):
        both = [(one.distances.found[number], one.distances.even[number]) for one in found]
        there = [pair for pair in both if pair[1] > EMPTY]
        if there:
            measured, even = np.mean(there, axis=0)
            yield {
                "attended_distance": start,
                "attention": float(measured),
                "even_attention": float(even),
            }


def _removals(one: StepReading) -> Iterator[Row]:
    if one.strongest is None or one.control is None:
        return
    strongest = np.array(one.sinks.strongest)
    count = int(one.sinks.are[np.arange(len(strongest)), strongest].sum())
    for name, effect in (("strongest", one.strongest), ("control", one.control)):
        yield _at(one.canvas) | {"removed": name, "sink_layers": count} | _effect(effect)


def _effect(effect: Effect) -> Row:
    return {
        "removed_kl": effect.kl,
        "removed_tv": effect.tv,
        "removed_top": effect.top,
        "truth_lost": effect.lost,
    }
