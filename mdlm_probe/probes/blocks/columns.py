"""Columns of the probe `blocks`: one row per answer."""

from __future__ import annotations

from mdlm_probe.core.columns import Column
from mdlm_probe.decoding import text_quality

COLUMNS = (
    Column("answer", str, "", "text of the answer, up to the first end of text"),
    Column("answer_tokens", int, "tokens", "tokens of the answer"),
    Column("ended", bool, "", "whether an end of text was written"),
    Column("nll", float, "nats", "negative log-likelihood of the answer under the scorer"),
    Column("scorer_tokens", int, "tokens", "tokens of the answer by the scorer's tokenizer"),
    Column("right", str, "", "the prompt's right answer, where it has one"),
    Column("correct", bool, "", "whether the answer is an exact match of the right one"),
    *text_quality.COLUMNS,
    Column("confidence", float, "probability", "geometric mean of its tokens' when committed"),
    Column("passes", int, "passes", "forward passes"),
    Column("decided", int, "passes", "passes after which the answer was whole"),
    Column("canvas_tokens", int, "tokens", "tokens that went through the network in all passes"),
    Column("tau", float, "", "Kendall's tau-b of positions and steps over all masks"),
    Column("answer_tau", float, "", "Kendall's tau-b of positions and steps over the answer"),
    Column("per_step", float, "tokens", "masks committed per step, on average"),
    Column("end_first", float, "share", "answer's tokens committed after the end of text"),
    Column("tail_eos_first", float, "share", "trailing ends of text committed in step 1"),
    Column("unmasked", str, "", "step that committed each mask, from 1; 0 where none did"),
    Column("canvas", list, "", "text of every position of the canvas"),
)
"""`canvas`: see `answers.pieces`; from `confidence` to `unmasked`: see `filling_order`."""
