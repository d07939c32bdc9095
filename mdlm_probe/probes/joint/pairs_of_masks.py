"""Pairs of masks: couplings of two places of a window, and their circulation.

Circulation: arXiv 2605.09303. Ours: which pairs of a window are measured.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np

from mdlm_probe.core import options
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.multi_step import MultiStep, both, side_by_side
from mdlm_probe.engine.queries import Answer, Query, Readout
from mdlm_probe.probes.joint.coupling import Coupling

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.prompts.prompt import Text

GAPS = (1, 2, 4, 8)
CanvasOption = Annotated[
    Literal["appended", "holes"], "pairs: masks after the prompt, or two holes in its continuation"
]
OutcomeOption = Annotated[
    Literal["top", "true"],
    "pairs: circulation of the most probable tokens (top), or of the text's own",
]


# ---------------------------------------------------------------------- two places


class MaskPair(NamedTuple):
    """What was found of a pair of places.

    Attributes:
        coupling: of the two by their candidates.
        tokens: one of each place, whose circulation was taken.
        circulation: of these tokens, in nats.
    """

    coupling: Coupling
    tokens: tuple[int, int]
    circulation: float


def couple(
    canvas: Canvas, first: int, second: int, top: int, tokens: tuple[int, int] | None = None
) -> MultiStep[MaskPair]:
    """The coupling of two places of a window, and the circulation of two tokens there.

    Args:
        canvas: the window's places are masks, and stay so but for the two.
        first, second: numbers in the window.
        top: candidates of the first place, and of the second after each of them.
        tokens: whose circulation; None for the most probable of each place, which is what a
            parallel step would write.
    """
    tops = (Readout("top_ids", (top,)), Readout("top_logprobs", (top,)))
    (base,) = yield [canvas.query({}, (first, second), (Readout("entropy"), *tops))]
    entropy, ids, logps = base["entropy"], base["top_ids"], base["top_logprobs"]
    likeliest = int(ids[0][0]), int(ids[1][0])
    queries = [canvas.query({first: int(a)}, (second,), tops) for a in ids[0]]
    turning = circulate(canvas, first, second, tokens or likeliest)
    answers, circulation = yield from both(_ask(queries), turning)
    after_ids = np.concatenate([answer["top_ids"] for answer in answers])
    after = np.concatenate([answer["top_logprobs"] for answer in answers])
    union = np.unique(after_ids)
    wanted = (Readout("chosen", tuple(map(int, union))),)
    (unasked,) = yield [canvas.query({}, (second,), wanted)]
    before = unasked["chosen"][0][np.searchsorted(union, after_ids)]
    first_logs, after, before = (np.asarray(part, float) for part in (logps[0], after, before))
    coupling = Coupling(first_logs, (float(entropy[0]), float(entropy[1])), after, before)
    return MaskPair(coupling, tokens or likeliest, circulation)


def _ask(queries: list[Query]) -> MultiStep[list[Answer]]:
    """Asks in one step."""
    answers = yield queries
    return answers


def circulate(canvas: Canvas, first: int, second: int, tokens: tuple[int, int]) -> MultiStep[float]:
    """Circulation of two tokens at two places, in nats: zero iff one joint explains both orders.

    log p(x_i | x_j) + log p(x_j) - log p(x_j | x_i) - log p(x_i), all given the canvas: the pair's
    log-likelihood right to left minus left to right. Source: arXiv 2605.09303.
    """
    readout = (Readout("chosen", tokens),)
    answers = yield [
        canvas.query({}, (first, second), readout),
        canvas.query({second: tokens[1]}, (first,), readout),
        canvas.query({first: tokens[0]}, (second,), readout),
    ]
    alone, left, right = (answer["chosen"] for answer in answers)
    return float(left[0, 0] + alone[1, 1]) - float(right[0, 1] + alone[0, 0])


# ---------------------------------------------------------------------- all pairs of a text


class Window(NamedTuple):
    """Which pairs of masks are measured, and how.

    Attributes:
        masks: tokens of the window.
        canvas: "appended" masks, all of the window; or "holes": only the pair is masked, the rest
            shows the text's own continuation.
        outcome: whose circulation: "top", the most probable tokens', or "true", the text's own.
        gaps: tokens from the first mask of a pair to the second; of a text with a shorter
            continuation those that fit.
        anchors: first masks, spread evenly over where the widest of them still fits.
        top: candidates.
        eps: see `Coupling.unlikely`.
    """

    masks: int
    canvas: str
    outcome: str
    gaps: tuple[int, ...]
    anchors: int
    top: int
    eps: float


def window(masks: int, canvas: str, outcome: str, spacing: str, *how: Any) -> Window:
    """The window of a cell, whose spacing is a text."""
    return Window(masks, canvas, outcome, tuple(map(int, spacing.split())), *how)


def settings(masks: int, spacing: tuple[int, ...], **how: Any) -> list[dict[str, Any]]:
    """What the cells of one text have of these options.

    Args:
        masks: tokens of the window.
        spacing: see `Window.gaps`; () for as many of `GAPS` as fit.
        how: `anchors`, `candidates` and `eps`, numbers above 0; `layout` and `outcome`.

    Raises:
        ProbeError: naming an option.
    """
    options.check_positive(anchors=how["anchors"], top=how["candidates"], eps=how["eps"])
    options.check_range(2, math.inf, "2 or more, for a pair", masks=masks)
    gaps = options.fitting("spacing", spacing, GAPS, masks - 1, "masks")
    return [{"masks": masks, "spacing": " ".join(map(str, gaps)), **how}]


def continued(canvas: str, outcome: str) -> bool:
    """Whether pairs need a text's own continuation."""
    return (canvas, outcome) != ("appended", "top")


def sweep(asker: Asker, text: Text, window: Window, name: str) -> MultiStep[list[dict[str, Any]]]:
    """A row for every pair of a text's window.

    Raises:
        ProbeError: no gap fits between the tokens of the text's continuation.
    """
    known: tuple[int, ...] = ()
    if continued(window.canvas, window.outcome):
        known = canvas_of_prompt.continuation_ids(asker, text, window.masks)
    canvas = canvas_of_prompt.appended(asker, text, len(known) or window.masks, name)
    end = len(canvas.places) - 1
    gaps = [gap for gap in window.gaps if gap <= end]
    if not gaps:
        raise ProbeError(
            f"the continuation of prompt '{text.id}' has {end + 1} tokens: --spacing has no less "
            f"than {min(window.gaps)}",
            expected=f"a spacing of at most {end}",
            hint=f"--spacing {end} fits, or leave this prompt out",
            option="spacing",
        )
    spots = sorted({round(at) for at in np.linspace(0, end - max(gaps), window.anchors)})
    places = [(at, at + gap) for at in spots for gap in gaps]
    couplings = []
    for first, second in places:
        shown = {i: t for i, t in enumerate(known) if i not in (first, second)}
        hidden = canvas
        if window.canvas == "holes":  # a block begins with the pair, as it does with a window
            origin = asker.entry.origin_at(canvas.places[first])
            hidden = replace(canvas, ids=canvas.filled(shown), origin=origin)
        tokens = (known[first], known[second]) if window.outcome == "true" else None
        couplings.append(couple(hidden, first, second, window.top, tokens))
    found = yield from side_by_side(couplings)
    return [
        {"masks_before": first, "pair_distance": second - first, "circulation": met.circulation}
        | met.coupling.divergences()
        | met.coupling.unlikely(window.eps)
        | {"token_first": met.tokens[:1], "token_second": met.tokens[1:]}
        for (first, second), met in zip(places, found, strict=True)
    ]
