"""How good a generated text is, by measures that no repetition wins: declared once, for all rows.

For prompts of the small language its own truth: see `toy_grammar`. For any language repetition and
the entropy of the text's own n-grams, beside which alone a perplexity can be read: texts that say
the same again have a low one (arXiv 2604.02718). No model, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from mdlm_probe.core.columns import Column, optional
from mdlm_probe.decoding import text_metrics
from mdlm_probe.prompts.toy_grammar import truth

TRUTH = optional(
    Column("words", int, "words", "words and stops"),
    Column("valid", int, "words", "words that the language lets follow the one before"),
    Column("valid_new", int, "words", "of these, those that end 4 valid words not said before"),
    Column("pairs", int, "pairs", "first or second words of the language's fixed pairs"),
    Column("kept", int, "pairs", "of these, first words followed by their own second"),
    Column("truth", float, "share", "valid words and kept pairs, those not new by half / all"),
)
"""Of prompts of the small language only."""
REPETITION = (
    Column("repeated", float, "share", "4-grams of the answer that occurred before in it"),
    Column("longest_repeat", int, "tokens", "longest span that the answer has twice"),
    Column("distinct_1", float, "share", "different tokens of the answer"),
    Column("distinct_2", float, "share", "different bigrams of the answer"),
    Column("entropy_1", float, "nats", "entropy of the answer's own tokens"),
    Column("entropy_2", float, "nats", "entropy of the answer's own bigrams"),
)
COLUMNS = (*TRUTH, *REPETITION)
"""What `columns_of` fills in."""


def columns_of(prompt: str, text: str, ids: Sequence[int]) -> dict[str, Any]:
    """The columns of one text; None where there is nothing to measure.

    Args:
        prompt: what it was written after: says whether the small language judges it.
        text: what was written, up to the end of text.
        ids: its tokens, by the tokenizer of the model that wrote it.
    """
    found = truth(prompt, text)
    counts = asdict(found) | {"words": found.tokens, "truth": found.score} if found else {}
    row = {column.name: counts.get(column.name) for column in TRUTH}
    row |= {"repeated": text_metrics.repeated(ids)}
    row |= {"longest_repeat": text_metrics.longest_repeat(ids)}
    row |= {f"distinct_{n}": text_metrics.distinct(ids, n) for n in (1, 2)}
    row |= {f"entropy_{n}": text_metrics.entropy(ids, n) for n in (1, 2)}
    return {name: None if value != value else value for name, value in row.items()}
