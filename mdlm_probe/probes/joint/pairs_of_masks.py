"""Pairs of masks: what two masks know of each other, and what filling both at once forgets.

Parallel: both tokens from their own marginals, p(x_i) p(x_j). Sequential: p(x_i) p(x_j | x_i), the
left one first. Sums run over the top candidates only; what they leave out is bounded by mass that
is known. Circulation: arXiv 2605.09303. Ours: candidates, bounds, what counts as unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.decoding import canvas_of_prompt
from mdlm_probe.decoding.canvas import Canvas
from mdlm_probe.engine.multi_step import MultiStep, both, side_by_side
from mdlm_probe.engine.queries import Answer, Query, Readout
from mdlm_probe.probes.joint import orders, word_pairs

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.probes.joint.word_pairs import PairSet
    from mdlm_probe.prompts.texts import Text

GAPS = (1, 2, 4, 8)
ROUNDING = 1e-6
"""Mass that float32 can't tell from none."""


@dataclass(frozen=True)
class Coupling:
    """Two masks i and j by their top candidates; all log-probabilities in nats.

    Attributes:
        first: log p(a) of the candidates a of i, most probable first, [a].
        entropies: of the whole distributions of i and of j, without the other.
        after: log p(b | a) of the candidates b of j after each a, most probable first, [a, b].
        before: log p(b) of the same, without a, [a, b].
    """

    first: np.ndarray
    entropies: tuple[float, float]
    after: np.ndarray
    before: np.ndarray

    def divergences(self) -> dict[str, float]:
        """Mutual information (nats) and total variation between sequential and parallel filling.

        Both are means over a of a divergence of p(. | a) from p(.): KL, and half the L1 norm. Of
        each a, the tokens outside its own candidates are one lump, which makes neither divergence
        larger; a outside the candidates add nothing, and no divergence is negative. So `mi` and
        `tv` are lower ends; `_bound` is how much is missing at most. With t the mass of the a left
        out, and r(a) that of the b left out after a:

            tv_bound = t + sum_a p(a) min(r(a), its lump's mass in p(.))

        as a total variation is 1 at most, and within the lump at most its smaller mass. For MI, one
        joint has p(a) p(b | a) <= p(b): the logarithm of p(b | a) / p(b) is log 1/p(a) at most, so

            mi_bound = sum_{a left out} p(a) log 1/p(a)
                       + sum_a p(a) r(a) (log 1/p(a) - log(r(a) / its lump's mass in p(.)))

        where the first sum is the entropy of i less what its candidates have of it. In one joint MI
        is no more than either entropy, so `mi_bound` is at most min(H_i, H_j) - mi, too. A model
        whose circulation isn't zero has no one joint, and may exceed this; it can't exceed tv's.
        """
        p, log_p = np.exp(self.first), _finite(self.first)
        q, lump_q = np.exp(self.after), _rest(self.after)
        base, lump_base = np.exp(self.before), _rest(self.before)
        # without mass in p(.), an allowed token would make the divergence infinite
        odds = np.log(np.maximum(lump_q, ROUNDING) / np.maximum(lump_base, ROUNDING))
        odds = np.where(lump_q > ROUNDING, odds, 0.0)
        ratio = np.zeros_like(q)
        np.subtract(self.after, self.before, out=ratio, where=q > 0)
        kl = (q * ratio).sum(1) + lump_q * odds
        tv = 0.5 * (np.abs(q - base).sum(1) + np.abs(lump_q - lump_base))
        own = np.maximum(self.entropies[0] + (p * log_p).sum(), 0.0)
        lump = lump_q * np.maximum(-log_p - odds, 0.0)
        mi = float((p * kl).sum())
        room = max(min(self.entropies) - mi, 0.0)
        return {
            "mi": mi,
            "mi_bound": min(float(own + (p * lump).sum()), room),
            "tv": float((p * tv).sum()),
            "tv_bound": float(_rest(self.first) + (p * np.minimum(lump_q, lump_base)).sum()),
        }

    def unlikely(self, eps: float) -> dict[str, float]:
        """Probability of a pair with p(a) p(b | a) < eps, of a parallel and of a sequential draw.

        The sequential draw is the measure's zero: it has rare pairs, too. What candidates leave out
        is no more probable than the least of them: where that makes a pair unlikely, its mass
        counts; where it doesn't, it is in `_bound`, how much may be missing.
        """
        limit, p = np.log(eps), np.exp(self.first)
        tail, sure = _rest(self.first), self.first.min() < limit
        joint = self.first[:, None] + self.after
        unsure = joint.min(1) >= limit
        found = {}
        for name, drawn in (("unlikely", self.before), ("unlikely_sequential", self.after)):
            rare = np.where(joint < limit, np.exp(drawn), 0.0).sum(1)
            lump = p * _rest(drawn)
            seen = (p * rare).sum() + lump[~unsure].sum()
            found[name] = float(seen + (tail if sure else 0.0))
            found[f"{name}_bound"] = float(lump[unsure].sum() + (0.0 if sure else tail))
        return found


def _finite(logs: np.ndarray) -> np.ndarray:
    """Logarithms; those of impossible tokens are 0, since they come times nothing."""
    return np.where(np.isneginf(logs), 0.0, logs)


def _rest(logs: np.ndarray) -> np.ndarray:
    """The mass that rows of log-probabilities leave out."""
    return np.asarray(np.maximum(1.0 - np.exp(logs).sum(-1), 0.0))


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
    places = canvas.places[first], canvas.places[second]
    tops = (Readout("top_ids", (top,)), Readout("top_logprobs", (top,)))
    (base,) = yield [Query(canvas.ids, places, (Readout("entropy"), *tops), canvas.name)]
    entropy, ids, logps = base["entropy"], base["top_ids"], base["top_logprobs"]
    likeliest = int(ids[0][0]), int(ids[1][0])
    queries = [Query(canvas.filled({first: int(a)}), places[1:], tops, canvas.name) for a in ids[0]]
    turning = circulate(canvas, first, second, tokens or likeliest)
    answers, circulation = yield from both(_ask(queries), turning)
    after_ids = np.concatenate([answer["top_ids"] for answer in answers])
    after = np.concatenate([answer["top_logprobs"] for answer in answers])
    union = np.unique(after_ids)
    wanted = (Readout("chosen", tuple(map(int, union))),)
    (unasked,) = yield [Query(canvas.ids, places[1:], wanted, canvas.name)]
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
    places = canvas.places[first], canvas.places[second]
    answers = yield [
        Query(canvas.ids, places, readout, canvas.name),
        Query(canvas.filled({second: tokens[1]}), places[:1], readout, canvas.name),
        Query(canvas.filled({first: tokens[0]}), places[1:], readout, canvas.name),
    ]
    alone, left, right = (answer["chosen"] for answer in answers)
    return float(left[0, 0] + alone[1, 1]) - float(right[0, 1] + alone[0, 0])


def find(source: str, lexicon: str, name: str) -> PairSet:
    """The pair set of a file by its name."""
    return next(found for found in word_pairs.load(source, lexicon) if found.name == name)


def mix(asker: Asker, pair_set: PairSet, name: str) -> MultiStep[list[dict[str, Any]]]:
    """How often two slots get words that don't go together, and how often words of the set at all.

    Returns:
        `words`: pairs whose words are a token each for this model; with fewer than two there is no
        more. `mass_parallel`, `mass_sequential`: probability that both slots get words of the set;
        `incoherent_parallel`, `incoherent_sequential`: given that they do, that the words are of
        two pairs. Sequential: the left slot first.
    """
    ids = asker.border.encode(pair_set.prompt())
    tokens = pair_set.tokens(asker.border.pieces)
    if min(ids) < 0:  # a rough count of tokens, by no tokenizer
        tokens = ((0, 0),) * len(pair_set.pairs)
    if len(tokens) < 2:
        return [{"words": len(tokens)}]
    places = tuple(i for i, token in enumerate(ids) if token == asker.entry.mask_id)
    canvas = Canvas(ids, places, name)
    firsts, seconds = (tuple(side) for side in zip(*tokens, strict=True))
    left, right = Readout("chosen", firsts), Readout("chosen", seconds)
    alone, *after = yield [
        Query(ids, places, (left, right), name),
        *(Query(canvas.filled({0: a}), places[1:], (right,), name) for a in firsts),
    ]
    first = np.exp(alone[left][0], dtype=float)
    second = np.exp(alone[right][1], dtype=float)
    given = np.exp(np.concatenate([answer[right] for answer in after]), dtype=float)
    found: dict[str, Any] = {"words": len(tokens)}
    joints = {"parallel": np.outer(first, second), "sequential": first[:, None] * given}
    for way, joint in joints.items():
        mass = float(joint.sum())
        apart = mass - float(np.trace(joint))
        found |= {f"incoherent_{way}": apart / mass if mass else None, f"mass_{way}": mass}
    return [found]


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


def settings(masks: int, spacing: tuple[int, ...], **how: Any) -> list[dict[str, Any]]:
    """What the cells of one text have of these options.

    Args:
        masks: tokens of the window.
        spacing: see `Window.gaps`; () for as many of `GAPS` as fit.
        how: `anchors`, `top` and `eps`, numbers above 0; `canvas` and `outcome`.

    Raises:
        ProbeError: naming an option.
    """
    orders.check(masks=masks, **{n: how[n] for n in ("anchors", "top", "eps")})
    if masks < 2:
        raise ProbeError(f"--masks has {masks}", expected="2 or more, for a pair", option="masks")
    gaps = orders.fitting("spacing", spacing, GAPS, "--masks", masks - 1)
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
        hidden = replace(canvas, ids=canvas.filled(shown)) if window.canvas == "holes" else canvas
        tokens = (known[first], known[second]) if window.outcome == "true" else None
        couplings.append(couple(hidden, first, second, window.top, tokens))
    found = yield from side_by_side(couplings)
    return [
        {"at": first, "distance": second - first, "circulation": met.circulation}
        | met.coupling.divergences()
        | met.coupling.unlikely(window.eps)
        | {"token_first": met.tokens[:1], "token_second": met.tokens[1:]}
        for (first, second), met in zip(places, found, strict=True)
    ]
