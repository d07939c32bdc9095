"""Prompts made again, and how numbers are written beside them. No torch, no tokenizer."""

from __future__ import annotations

from collections.abc import Callable

from mdlm_probe.analysis.examples.parts import TextPart
from mdlm_probe.analysis.examples.rows import Fields, Rows, readable
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.prompt import Text

TEXT = ("prompts", "lexicon", "task", "prompt")
"""Columns that name a text to continue."""


def prompt(rows: Rows, model: str, make: Callable[[], str]) -> TextPart:
    """The prompt, or why it can't be shown.

    Args:
        rows: of the probe.
        model: who was asked.
        make: makes the text, with `MASK` characters; it isn't called where the files have changed.
    """
    reason = rows.changed(model)
    try:
        if not reason:
            chat = " (each turn is a message of a chat)" if rows.about(model).get("chat") else ""
            return TextPart(f"prompt{chat}", readable(make()))
    except (ProbeError, LookupError, ValueError) as error:
        reason = error.found if isinstance(error, ProbeError) else f"not found: {error}"
    return TextPart("no prompt", reason)


def text(row: Fields, source: str = "prompts") -> Text:
    """The text that a row's columns name.

    Raises:
        LookupError: it isn't there.
    """
    found = {text.id: text for text in texts.load(row[source], row["lexicon"])}
    return found[row["prompt"]]


def percent(share: str) -> str:
    """A share as it is in a row, in per cent with three digits."""
    return f"{100 * float(share):.3g} %"


def edits(count: str) -> str:
    """A number of edits as it is in a row."""
    return f"{count} edit" if count == "1" else f"{count} edits"


def listed(lines: dict[str, str]) -> str:
    """Names with values, one per line; those without a value are left out."""
    return "\n".join(f"{name}: {value}" for name, value in lines.items() if value)
