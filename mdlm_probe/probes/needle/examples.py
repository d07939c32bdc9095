"""Facts that were found or missed: where they stood, and what was answered. No torch."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.examples.choice import spread
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.prompts import percent, prompt
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.probes.needle import facts, haystack
from mdlm_probe.probes.needle.probe import ABSENT
from mdlm_probe.prompts.prompt import MASK

ITEM = ("needles", "lexicon", "seed", "item")
NEAR = 8
"""Sentences that are shown at the start, on either side of the fact, and at the end."""


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Needles in the longest texts, at the first, the middle and the last depth, and nowhere."""
    frame = rows.frame
    depths = sorted(depth for depth in frame["depth"].unique() if depth != ABSENT)
    wanted = {depths[n] for n in (0, len(depths) // 2, -1)} if depths else set()
    part = frame[
        (frame["context_length"] == frame["context_length"].max())
        & frame["depth"].isin(wanted | {ABSENT})
    ]
    return [_example(rows, at) for at in spread(part, ITEM, ("depth",), _rank(part), limit)]


def _rank(part: pd.DataFrame) -> list[str]:
    return [name for name in ("correct", "logp_right") if name in part]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    model, absent = row["model"], row["depth"] == str(ABSENT)
    masks = "" if rows.causal(model) else MASK * int(row["right_tokens"])
    where = "without the fact" if absent else f"depth {row['depth']} %"
    wrong = "" if row["correct"] == "1" else " (wrong)"
    title = f"needle {row['item']}, {row['context_length']} tokens, {where}{wrong}"
    parts = [prompt(rows, model, lambda: _text(row) + masks)]
    if not absent and not rows.changed(model):
        parts.append(TextPart("the fact that it holds", _needle(row).fact))
    answer = f"model's answer ({percent(row['top1_prob'])} its first token)"
    parts += [TextPart("right answer", row["right"]), TextPart(answer, row["predicted"])]
    return ExampleItem(title, model, row["form"], tuple(parts))


def _needle(row: Fields) -> facts.Needle:
    source = facts.load(row["needles"], row["lexicon"])
    return source.needle(int(row["item"]), int(row["seed"]))


def _text(row: Fields) -> str:
    """The prompt up to its masks.

    Of a long one the sentences far from the fact, the start and the end are only counted.

    Raises:
        LookupError: rows of a version that didn't say how many sentences there are.
    """
    if not row.get("sentences"):
        raise LookupError("these rows don't say which sentences the text had")
    source, needle = facts.load(row["needles"], row["lexicon"]), _needle(row)
    count, at = int(row["sentences"]), int(row["fact_after"]) if row["fact_after"] else None
    item, seed, length = (int(row[name]) for name in ("item", "seed", "context_length"))
    sentences = haystack.filler(needle, item, seed, length)[:count]
    shown = {n for n in range(count) if n < NEAR or n >= count - NEAR}
    shown |= {n for n in range(count) if at is not None and at - NEAR <= n < at + NEAR}
    lines, left, before = [], 0, 0
    for number, sentence in enumerate(sentences):
        if number in shown:
            if left:
                lines.append(f"[... {left} sentences ...]")
            lines.append(sentence)
        left = 0 if number in shown else left + 1
        before = len(lines) if at is not None and number == at - 1 else before
    question, opening = source.prompt(needle, lines, None if at is None else before).turns[0]
    return question + source.turn + opening
