"""Shifted answers beside the unshifted ones, and the canvas filling in. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.answers import beside, filling
from mdlm_probe.analysis.examples.choice import evenly, numbers, ranking
from mdlm_probe.analysis.examples.parts import ExampleItem, Part, TextPart
from mdlm_probe.analysis.examples.prompts import TEXT, edits, prompt, text
from mdlm_probe.analysis.examples.rows import Rows
from mdlm_probe.decoding.canvas import NO_INTERVENTION

ITEM = (
    *(*TEXT, "length", "steps", "block", "order", "threshold", "temperature"),
    *("guidance", "eos", "cache", "seed"),
)
SHARE = 0.01
"""The share of moved tokens that is shown, or the nearest there is."""

NAMES = {
    "shift": "shifted answer",
    "post-hoc": "answer, its tokens moved after decoding",
    "replace": "answer with other tokens",
    "hold": "answer with tokens held back",
}


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """For each intervention the prompts with the largest damage, to those with the median one."""
    frame = rows.frame
    items = numbers(frame, ITEM)
    plain = frame[frame["intervention"] == NO_INTERVENTION]
    partner = {(plain.at[at, "model"], items[at]): at for at in plain.index}
    kinds = [kind for kind in frame["intervention"].unique() if kind != NO_INTERVENTION][:limit]
    found: list[int] = []
    for kind in kinds:
        part = frame[frame["intervention"] == kind]
        if (part["frac"] > 0).any():  # a fraction of 0 changes nothing
            part = part[part["frac"] > 0]
        nearest = (part["frac"] - SHARE).abs()
        part = part[part["frac"] == part.at[nearest.idxmin(), "frac"]]
        damage = part.assign(kept=-part["edit_distance"])
        ranked = ranking(damage, items, ("kept",))
        chosen = evenly(ranked[: len(ranked) // 2 + 1], limit // len(kinds))
        for number in chosen:
            found += part.index[items[part.index] == number].tolist()
    named = ((at, (frame.at[at, "model"], items[at])) for at in found)
    return [_example(rows, at, partner[name]) for at, name in named if name in partner]


def _example(rows: Rows, at: int, partner: int) -> ExampleItem:
    row, plain = rows.fields(at), rows.fields(partner)
    kind, model = row["intervention"], row["model"]
    label = NAMES.get(kind, f"answer, {kind}")
    parts: list[Part] = [prompt(rows, model, lambda: text(row).prompt)]
    if row.get("right"):
        parts.append(TextPart("right answer", row["right"]))
    parts += [TextPart("unshifted answer", plain["answer"]), beside(label, plain, row)]
    parts += filling(f"{label}: the canvas filling in", row)
    title = f"{row['prompt']}, {kind} {row['frac']}: {edits(row['edit_distance'])}"
    return ExampleItem(title, model, row["task"], tuple(parts))
