"""Columns of the probe `remasking`: of read texts, and of texts that were mended."""

from __future__ import annotations

from mdlm_probe.core.columns import Column, Observation, optional

IN_LANGUAGE = Column(
    "in_language", bool, "", "whether prompt and text are of the small language; empty: others"
)
TEXTS = (
    Column("text_tokens", int, "tokens", "tokens of the scored text"),
    Column("error_at", int, "tokens", "tokens of the text before the error; empty: there is none"),
    Column("right_token", str, "", "the text's own token there"),
    Column("wrong_token", str, "", "what stands there instead"),
    Column("surprisals", list, "", "minus log p (nats) of each token of the text, as it is read"),
    *optional(IN_LANGUAGE),
)
MENDED = (
    Column("remasked", int, "tokens", "least probable tokens that were masked and written again"),
    Column("found", bool, "", "whether the error is among them; empty: there is none"),
    Column("restored", bool, "", "whether the text's own token is back; empty: there is no error"),
    Column("spoilt", int, "tokens", "right tokens that came back as others"),
    Column("rewritten_token", str, "", "what then stands at the error's place"),
    *optional(IN_LANGUAGE),
)
OBSERVATIONS = (
    Observation("texts", "a text with an error, or without, read token by token", TEXTS),
    Observation("mended", "such a text, its least probable tokens written again", MENDED),
)
