"""Texts with what each token of their tail costs in its place and moved. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import evenly, numbers
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, prompt, text
from mdlm_probe.analysis.examples.rows import Rows

ITEM = (*TEXT, "length", "source_text", "point", "seed")
ASKED = ("unmoved", "right", "left", "replaced")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Texts, evenly spread over their file."""
    if not len(rows.frame):
        return []
    items = numbers(rows.frame, ITEM)
    chosen = evenly(list(dict.fromkeys(items)), limit)
    return [_example(rows, at) for number in chosen for at in items.index[items == number]]


def _example(rows: Rows, at: int) -> ExampleItem:
    row, tokens = rows.fields(at), rows.of_kind("tokens")
    asked = prompt(rows, row["model"], lambda: text(row).prompt)
    frame = tokens.frame
    own = frame[(frame["model"] == row["model"]) & (frame["prompt"] == row["prompt"])]
    own = own[own["masked_share"] == own["masked_share"].max()]
    said = TextPart("text whose tail is moved", row["answer"])
    lines = []
    for place in own.index.tolist():
        one = tokens.fields(place)
        if one["tail_shown"] != "unmoved":
            prices = (f"{name} {one[f'ce_{name}']}" for name in ASKED if one[f"ce_{name}"])
            lines.append(f"token {one['from_point']}: " + ", ".join(prices))
    charged = TextPart("cross-entropy by token of the tail, in nats", "\n".join(lines))
    title = f"{row['prompt']}, tail from token {row['tail_begins'] or 'none'}"
    return ExampleItem(title, row["model"], row["task"], (asked, said, charged))
