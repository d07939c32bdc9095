"""Lists and what was made of them, in few tokens per step and in many. No torch."""

from __future__ import annotations

from mdlm_probe.analysis.examples.choice import spread
from mdlm_probe.analysis.examples.parts import ExampleItem, Part, TextPart
from mdlm_probe.analysis.examples.prompts import listed, prompt
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import ListTask
from mdlm_probe.prompts.prompt import MASK

ITEM = ("lists", "lexicon", "seed", "family", "list_length", "item")
SETTING = ("order", "asked_per_step")


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Items from those that are mostly wrong to those that are mostly right."""
    return [_example(rows, at) for at in spread(rows.frame, ITEM, SETTING, ("correct",), limit)]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    model, asked = row["model"], row["asked_per_step"]
    wrong = "" if row["correct"] == "1" else f" (wrong: {row['fault']})"
    pace = f"{asked} per step" if asked != "0" else "free pace"
    title = f"{row['family']}, item {row['item']}, {pace}{wrong}"
    best = f"{100 * float(row['optimum']):.3g} %" if row["optimum"] else ""
    parts: list[Part] = [
        prompt(rows, model, lambda: _question(row, masks=not rows.causal(model))),
        TextPart("model's answer", row["answer"]),
        TextPart(
            "its slots",
            listed(
                {
                    "words of the list": row["arrangement"],
                    "filled in by step": row["unmasked"],
                    "an ideal reader is right in": best,
                }
            ),
        ),
    ]
    return ExampleItem(title, model, row["family"], tuple(parts))


def _question(row: Fields, masks: bool) -> str:
    """The item; the examples before it are only counted."""
    source = list_prompts.load(row["lists"], row["lexicon"])
    place = int(row["list_place"] or 1) - 1
    words, family = tuple(row["word_list"].split()), row["family"]
    task = ListTask(family, words, row["new_word"], place)  # type: ignore[arg-type]
    before = f"[... {row['shots']} examples ...]{source.end}" if row["shots"] != "0" else ""
    opened = source.opening + MASK * task.slots * masks
    return before + source.question(task) + source.turn + opened
