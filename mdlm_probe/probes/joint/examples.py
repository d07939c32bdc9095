"""Texts with what filling several masks at once did to them. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import evenly, numbers
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import listed, percent, prompt, text
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.probes.joint import word_pairs
from mdlm_probe.prompts.prompt import MASK

ITEM = ("measure", "source", "lexicon", "task", "prompt", "masks", "layout")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Of every measure the first texts, evenly spread over their file."""
    measured = [own for kind in rows.kinds if len((own := rows.of_kind(kind)).frame)][:limit]
    found: list[ExampleItem] = []
    for own in measured:
        items, each = numbers(own.frame, ITEM), numbers(own.frame, ("model", *ITEM))
        chosen = evenly(list(dict.fromkeys(items)), limit // len(measured))
        ordered = [one for number in chosen for one in dict.fromkeys(each[items == number])]
        found += [_example(own, each.index[each == one].tolist()) for one in ordered]
    return found


def _example(rows: Rows, own: list[int]) -> ExampleItem:
    found = [rows.fields(at) for at in own]
    row = found[0]
    asked = prompt(rows, row["model"], lambda: _prompt(row))
    said = {"pairs": _pairs, "sets": _sets, "orders": _orders, "budget": _budget, "total": _total}[
        row["measure"]
    ]
    title = f"{row['measure']}: {row['prompt']}"
    return ExampleItem(title, row["model"], row["task"], (asked, *said(found)))


def _prompt(row: Fields) -> str:
    """The text as a model sees it first."""
    if row["measure"] == "sets":
        sets = {one.name: one for one in word_pairs.load(row["source"], row["lexicon"])}
        return sets[row["prompt"]].prompt()
    found = text(row, "source")
    if row["layout"] == "holes":  # two masks in the continuation, in several places
        return found.prompt + found.continuation
    return found.prompt + MASK * int(row["masks"])


def _pairs(found: list[Fields]) -> tuple[TextPart, ...]:
    lines = []
    for row in found:
        first = int(row["masks_before"]) + 1
        lines.append(
            f"masks {first} and {first + int(row['pair_distance'])}:"
            f" {row['token_first']!r} and {row['token_second']!r},"
            f" mutual information {row['mi']} nats, total variation {row['tv_joint']}"
        )
    return (TextPart("pairs of masks, and how far they hang together", "\n".join(lines)),)


def _sets(found: list[Fields]) -> tuple[TextPart, ...]:
    (row, *_) = found
    names = {
        "filled at once, pairs that don't go together": row["incoherent_parallel"],
        "filled one after the other": row["incoherent_sequential"],
    }
    shares = {name: value and percent(value) for name, value in names.items()}
    return (TextPart("pairs of words", listed(shares)),)


def _orders(found: list[Fields]) -> tuple[TextPart, ...]:
    lines = [
        f"{row['reveal_order']}: {row['logp']} nats for {row['text_tokens']} tokens"
        for row in found
    ]
    return (TextPart("log-likelihood of the continuation, by order", "\n".join(lines)),)


def _budget(found: list[Fields]) -> tuple[TextPart, ...]:
    return tuple(
        TextPart(f"written, {row['at_once']} masks per step ({row['logp']} nats)", row["written"])
        for row in found
    )


def _total(found: list[Fields]) -> tuple[TextPart, ...]:
    counts = list(dict.fromkeys((row["reveal_order"], row["together"]) for row in found))
    lines = []
    for order, n in counts:
        own = [row for row in found if (row["reveal_order"], row["together"]) == (order, n)]
        parallel, sequential = (
            sum(float(row[name]) for row in own) / len(own)
            for name in ("entropy_parallel", "entropy_sequential")
        )
        lines.append(
            f"{order}, {n} masks, {len(own)} draws: entropies {parallel:.3f} nats alone,"
            f" {sequential:.3f} one after another"
        )
    return (TextPart("masks filled at once with draws", "\n".join(lines)),)
