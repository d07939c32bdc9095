"""Answers: prompts continued by a model, and what a causal scorer thinks of what was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import shared_columns as shared
from mdlm_probe.core.columns import Column, names
from mdlm_probe.core.options import AMOUNT, Traits
from mdlm_probe.decoding import canvas_of_prompt, loop, text_quality
from mdlm_probe.decoding.canvas import Canvas, Decoded, Intervention, Watcher
from mdlm_probe.decoding.layout import laid_out
from mdlm_probe.decoding.rules import RULES, LastBlock, Order
from mdlm_probe.decoding.schedule import Eos, Schedule
from mdlm_probe.engine.queries import Answer as Readings
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.models._tokenizer import bytes_of
from mdlm_probe.prompts import texts
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.toy_grammar import is_prose

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border
    from mdlm_probe.models._checkpoint import Checkpoint


PromptsOption = Annotated[
    str,
    "prompts in tasks/, or path to a .jsonl or .txt file of your own",
    Traits("prompts", material=True),
]
LexiconOption = Annotated[str, "lexicon of the shipped prompts: full or small", Traits("lexicons")]
TasksOption = Annotated[tuple[str, ...], "prompt types, or 'all'", Traits("tasks")]
LimitOption = Annotated[int, "prompts per task", AMOUNT]
BlockOption = Annotated[
    int | None,
    "masks per block, filled from left to right; default: 32 or fewer; Dream's orders: one block;"
    " block-causal models: their own block",
]
TemperatureOption = Annotated[float, "sampling temperature; 0: the most probable token"]
GuidanceOption = Annotated[
    float, "scale of classifier-free guidance, which takes a second pass; 0: none"
]
EosOption = Annotated[
    Eos,
    "ends of text: like any token (free), never (eos_inf), last in their block (eos_last), or an"
    " end of turn last and an end of text never (both)",
]
ThresholdOption = Annotated[
    float, "confidence above which --order threshold and low_confidence_dynamic commit a mask"
]
ScorerOption = Annotated[
    str,
    "causal model that gives perplexities: the checkpoint's companion, which is no relative of it;"
    " none; or any model",
    Traits("models", uncompared=True),
]
"""Options that every probe that writes has."""

BLOCK = 32
"""Masks of a block, where nobody says."""


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """Columns in which answers have nothing: a scorer's, right answers', the small language's.

    Args:
        options: of a probe whose answers are written, resolved.
        entry: the model's.
    """
    scorer = options["scorer"] if options["scorer"] != "companion" else entry.companion
    found = texts.load(options["prompts"], options["lexicon"])
    asked = texts.chosen(found, options["tasks"], options["limit"], "left")
    left: tuple[Column, ...] = ()
    if scorer in ("", "none"):
        left += shared.NLL, shared.SCORER_TOKENS
    if not any(text.answer for text in asked):
        left += shared.RIGHT, shared.CORRECT
    if not any(is_prose(text.prompt) for text in asked):
        left += text_quality.TRUTH
    return names(left)


def block_of(given: int | None, length: int, order: Order) -> int:
    """Masks of a block: as given, or as usual: all for Dream's orders, else the largest divisor of
    the length that is 32 or less.
    """
    if given is not None:
        return given or length
    if RULES[order].dream:
        return length
    return max((n for n in range(1, min(BLOCK, length) + 1) if length % n == 0), default=1)


@dataclass(frozen=True)
class Answer:
    """What a model wrote after a prompt.

    Attributes:
        ids: tokens before the first end of text; without masks that were left, and without slack.
        places: where on the canvas these stand.
        text: of these.
        ended: whether an end of text was written.
        decoded: the whole canvas, with its steps.
        slack_share: of the slots before the end, those that hold slack; None for models that write
            none.
    """

    ids: tuple[int, ...]
    places: tuple[int, ...]
    text: str
    ended: bool
    decoded: Decoded
    slack_share: float | None = None


def canvas_of(
    asker: Asker, text: Text, length: int, name: str, last_block: LastBlock = "whole"
) -> Canvas:
    """A prompt with masks after it; a chat model reads it as a user's message.

    Args:
        asker: knows the model.
        text, length: the prompt, and how many masks.
        name: the canvas's.
        last_block: see `RuleSettings.last_block`.

    Raises:
        ProbeError: naming the prompt, where it has no tokens, spells a mask, or is too long.
    """
    found = canvas_of_prompt.span(asker, text, length, "left")
    return laid_out(found.ids, found.places, asker.entry, name, last_block)


def answer_of(border: Border, entry: Checkpoint, decoded: Decoded) -> Answer:
    """The answer that a canvas holds."""
    return cut(border, entry, decoded.tokens, decoded)


def cut(border: Border, entry: Checkpoint, tokens: Sequence[int], decoded: Decoded) -> Answer:
    """The answer that tokens make: those before the first end of text."""
    kept = _before_end(entry, tokens)
    places = _written(entry, kept)
    ids = tuple(kept[i] for i in places)
    slack = None if entry.slack_id is None else kept.count(entry.slack_id) / max(len(kept), 1)
    text = text_of(border, entry, tokens)
    return Answer(ids, places, text, len(kept) < len(tokens), decoded, slack)


def text_of(border: Border, entry: Checkpoint, tokens: Sequence[int]) -> str:
    """The text of the answer that tokens make, masks and slack passed over."""
    kept = _before_end(entry, tokens)
    ids = tuple(kept[i] for i in _written(entry, kept))
    return border.decode(ids) if ids else ""


def _before_end(entry: Checkpoint, tokens: Sequence[int]) -> Sequence[int]:
    """Tokens before the first end of text; all where there is none."""
    end = next((i for i, token in enumerate(tokens) if token in entry.eos_ids), len(tokens))
    return tokens[:end]


def _written(entry: Checkpoint, kept: Sequence[int]) -> tuple[int, ...]:
    """The places that hold neither a mask nor slack."""
    blank = (entry.mask_id, entry.slack_id)
    return tuple(i for i, token in enumerate(kept) if token not in blank)


def pieces(border: Border, entry: Checkpoint, tokens: Sequence[int]) -> list[str | list[int]]:
    """The text of every place of a canvas, left to right; "" for a mask left.

    A token that cuts a character is a list of its bytes: [226, 130], then [172], are a euro sign.
    """
    known = {token: _piece(border, token) for token in set(tokens) - {entry.mask_id}}
    return [known.get(token, "") for token in tokens]


def _piece(border: Border, token: int) -> str | list[int]:
    """The text of a token; its bytes where they are no whole characters."""
    text = border.decode([token])
    spelled = bytes_of(border.tokenizer.id_to_token(token) or "") if "\ufffd" in text else None
    try:
        return text if spelled is None else spelled.decode()
    except UnicodeDecodeError:
        return list(spelled or b"")


def write(
    engine: AnyEngine,
    texts: Sequence[Text],
    length: int | Sequence[int],
    schedules: Sequence[Schedule],
    names: Sequence[str],
    interventions: Sequence[Intervention | None] = (),
    beside: int = 0,
    watchers: Sequence[Watcher | None] = (),
) -> list[Answer]:
    """The answers to prompts, in their order, all written side by side.

    Args:
        engine: over any model. Causal models write from left to right until an end of text; of a
            schedule only temperature, seed and `eos` matter then.
        texts, schedules, names, interventions: one of each an answer; names are cells' keys.
        length: masks of a canvas, or most tokens of a causal model's answer; of each, or of all.
        beside: how many of the last answers, by a masked model, are needed beside the others; see
            `AnyEngine.run`.
        watchers: of a masked model's canvases, one of each; none at all of a causal model's.

    Raises:
        ProbeError: a prompt that leaves no room, or can't be read; keys and values to be kept by a
            model that has none.
    """
    lengths = [length] * len(texts) if isinstance(length, int) else length
    if engine.entry.kind == "causal":
        prompts = [
            canvas_of_prompt.span(engine, text, own, "left").ids
            for text, own in zip(texts, lengths, strict=True)
        ]
        found = loop.proceed_all(engine, prompts, lengths, schedules, names, interventions)
    else:
        canvases = [
            canvas_of(engine, text, own, name, schedule.rule_settings.last_block)
            for text, own, name, schedule in zip(texts, lengths, names, schedules, strict=True)
        ]
        found = loop.decode_all(engine, canvases, schedules, interventions, beside, watchers)
    return [answer_of(engine.border, engine.entry, decoded) for decoded in found]


# ---------------------------------------------------------------------- scores


@dataclass(frozen=True)
class Score:
    """An answer's likelihood under a scorer.

    Attributes:
        nll: negative log-likelihood of the answer given its prompt, in nats; None where both are
            longer than the scorer's context.
        tokens: of the answer, by the scorer's tokenizer; exp(nll / tokens) is its perplexity.
    """

    nll: float | None
    tokens: int


def score(
    scorer: AnyEngine | None, texts: Sequence[Text], answers: Sequence[str]
) -> list[Score | None]:
    """What a causal model thinks of answers: of each one, given its prompt. Nothing without one.

    The end of an answer is not scored (ours): some are cut by the canvas, and have none.

    Args:
        scorer: an engine over a causal model, or None.
        texts, answers: prompts and what was written after them.
    """
    if scorer is None:
        return [None] * len(answers)
    queries = [_query(scorer, text, answer) for text, answer in zip(texts, answers, strict=True)]
    short = [q for q in queries if q.positions and len(q.ids) <= scorer.entry.context]
    # equal answers to one prompt are scored once
    distinct = {query.ids: query for query in short}
    found = dict(zip(distinct, scorer.ask(list(distinct.values())), strict=True))
    return [_score(query, found.get(query.ids)) for query in queries]


def _score(query: Query, found: Readings | None) -> Score:
    if not query.positions:
        return Score(0.0, 0)
    nll = None if found is None else -float(found["own"].sum(dtype=float))
    return Score(nll, len(query.positions))


def _query(scorer: Asker, text: Text, answer: str) -> Query:
    """Asks for every token of an answer; where prompt and answer run together, from there on."""
    before, both = (scorer.border.encode(text.asked(end)) for end in ("", answer))
    first = next(
        (i for i, (a, b) in enumerate(zip(before, both, strict=False)) if a != b), len(before)
    )
    first = max(1, min(first, len(both)))
    own = Readout("own", (first, *both[first:]))
    return Query(both, tuple(range(first, len(both))), (own,), f"the answer to '{text.id}'")
