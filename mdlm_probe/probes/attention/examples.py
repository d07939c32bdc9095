"""Prompts with the strongest key of each layer in each pass that was read. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import evenly, numbers, ranking
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, percent, prompt, text
from mdlm_probe.analysis.examples.rows import Fields, Rows


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Prompts from those whose strongest keys receive most to those whose receive least."""
    part = rows.frame.assign(less=-rows.frame["received"])
    items, cells = numbers(part, TEXT), numbers(part, ("model", *TEXT))
    found = evenly(ranking(part, items, ("less",)), limit)
    chosen = [cell for number in found for cell in dict.fromkeys(cells[items == number])]
    return [_example(rows, cells.index[cells == cell].tolist()) for cell in chosen]


def _example(rows: Rows, own: list[int]) -> ExampleItem:
    layers = [rows.fields(at) for at in own]
    row = layers[0]
    asked = prompt(rows, row["model"], lambda: text(row).prompt)
    sinks = sum(layer["sinks"] != "0" for layer in layers)
    title = f"{row['prompt']}: {sinks} of {len(layers)} layers with a sink"
    label = "strongest key of each layer, and what it receives (mean key: 1)"
    keys = TextPart(label, "\n".join(map(_line, layers)))
    return ExampleItem(title, row["model"], row["task"], (asked, keys))


def _line(row: Fields) -> str:
    what = repr(row["sink_text"]) if row["sink_text"] else "-"
    sink = ", a sink" if row["sinks"] != "0" else ""
    return (
        f"{percent(row['progress'])} done, layer {row['layer']}: {what} ({row['sink_kind']},"
        f" position {row['sink_place']}): {float(row['received']):.2f}{sink}"
    )
