"""Marginals beside a text, as queries and rows: what is read at each mask, and what it becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from mdlm_probe.core.cells import key
from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.core.columns import FILE, Unit, empty
from mdlm_probe.decoding import canvas_of_prompt, coordinates
from mdlm_probe.engine.queries import Answer, Block, Query, Readout
from mdlm_probe.probes.decay import distances as spans
from mdlm_probe.probes.decay import unigrams, zipf_bound, zipf_fit
from mdlm_probe.probes.decay.columns import ERRORS, MASSES, OBSERVATIONS
from mdlm_probe.probes.decay.sampled_continuations import Marginals, SampledPrompt
from mdlm_probe.probes.decay.unigrams import Unigrams
from mdlm_probe.prompts.texts import Context, by_id

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.models._border import Border

ENOUGH = 20
"""Texts of a task from which on its tokens are counted by themselves."""

TOKENS = 20
"""Most probable tokens of the far end that become rows."""

COLUMNS = {kind.name: kind.columns for kind in OBSERVATIONS}
Rows = dict[str, list[dict[str, Any]]]
"""Rows by kind of observation."""


@dataclass(frozen=True, slots=True)
class MarginalCell(coordinates.PromptCell):
    """What a probe's cell says of the reading: one prompt with a span of masks."""

    context: Annotated[Context, "where text is visible: left of the masks, or on both sides"]
    masks: coordinates.Window
    frequent: Annotated[str, "where frequent tokens come from: corpus, model or a path", FILE]
    count: Annotated[int, "frequent tokens, at most", Unit("tokens")]
    grid: Annotated[str, "distances that are compared: octaves, all or numbers"]
    lag: Annotated[int, "from a mask of the grid to its neighbour", Unit("tokens")]
    samples: Annotated[int, "continuations sampled of causal models; 0: none"]
    seed: coordinates.Seed
    exponent: Annotated[float, "exponent of the bound's Zipfian next tokens"]
    ranks: Annotated[int, "ranks of the bound's Zipfian next tokens"]
    floor: Annotated[
        float | None,
        "what the bound falls to; empty: the far end's largest probability",
        Unit("probability"),
    ]
    memory: Annotated[int, "most that comparing distributions takes", Unit("MiB")]


@dataclass(frozen=True)
class MarginalQuery:
    """All that is read of one prompt.

    Attributes:
        cell: the probe's cell.
        span: the prompt with its masks.
        counts: frequent tokens, and the unigrams of texts like this one.
        ends: tokens that end a text.
        origin: of blocks: the first mask begins one; see `Checkpoint.origin_at`.
    """

    cell: MarginalCell
    span: canvas_of_prompt.Span
    counts: Unigrams
    ends: tuple[int, ...]
    origin: int

    @property
    def sets(self) -> tuple[tuple[int, ...], ...]:
        """Sets of tokens whose mass is read, in the order of `MASSES`."""
        return self.counts.frequent, self.span.own, self.ends

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Masks to compare, from 1."""
        cell = self.cell
        steps = spans.grid(cell.grid.split(), cell.masks, cell.context)
        return spans.pairs(steps, cell.lag, cell.masks, cell.context)

    def query(self) -> Query:
        """One forward pass for all of it (masked models)."""
        cell, pairs = self.cell, self.pairs
        whole = (*spans.between_prompts(cell.masks, cell.context), *self.edge)
        places = sorted({place for pair in pairs for place in pair})
        at = {place: n for n, place in enumerate(places)}
        rows = tuple((at[a], at[b]) for a, b in pairs)
        compared = Block("divergences", tuple(p - 1 for p in places), (rows, cell.memory * 2**20))
        return Query(
            self.span.ids,
            self.span.places,
            (
                *(Readout("top_logprob"), Readout("entropy"), Readout("top_id")),
                *self._masses,
            ),
            key(cell),
            tuple(
                dict.fromkeys(
                    (self.far, *([compared] if pairs else []), *(distribution(p) for p in whole))
                )
            ),
            origin=self.origin,
        )

    @property
    def far(self) -> Block:
        """The mean distribution of the canvas's middle."""
        return Block("mean", spans.middle(self.cell.masks, self.cell.context))

    @property
    def edge(self) -> tuple[int, ...]:
        """Masks near the end of the canvas, which are compared with those of a longer one."""
        return spans.edge(self.cell.masks, self.cell.context)

    def prompt(self) -> SampledPrompt:
        """What a causal model is to continue."""
        cell = self.cell
        seed = seed_of("continuations", cell.prompts, cell.prompt, cell.seed)
        return SampledPrompt(self.span.ids, self.sets, seed, key(cell))

    def next_token(self) -> Query:
        """The distribution of the token after a prompt (causal models)."""
        ids = self.span.ids
        return Query(ids, (len(ids),), (), key(self.cell), (distribution(1),))

    def rows(self, border: Border, answer: Answer) -> Rows:
        """The rows of a masked model's answer to `query`, by kind."""
        found = {
            "top1_prob": np.exp(answer["top_logprob"].astype(float)),
            "entropy": answer["entropy"],
            "top_id": answer["top_id"],
        }
        masses = np.stack([answer[mass] for mass in self._masses], axis=1)
        far = answer[self.far]
        places, pairs = self._places(border, found, masses, float(far.max())), []
        compared = answer["divergences"] if self.pairs else ()
        for (place, other), (js, tv) in zip(self.pairs, compared, strict=True):
            nearest = min(self._distances[place - 1], self._distances[other - 1])
            pair = {"place": place, "distance": nearest, "other_place": other}
            pairs.append(self._row("pairs", **pair, js=float(js), tv=float(tv)))
        return {"places": places, "pairs": pairs, **self._far(border, far)}

    def compared_rows(
        self, own: Answer, beside: tuple[str, Answer] | None, longer: tuple[int, Answer] | None
    ) -> Rows:
        """The rows of what is compared between canvases, and of the next token's law, by kind.

        Args:
            own: the answer to `query`.
            beside: the next prompt's id, and the answer about it.
            longer: masks of the longer canvas, and the answer about it.
        """
        rows: Rows = {"next-tokens": [self.zipf_row(own[distribution(1)])]}
        if beside:
            places = spans.between_prompts(self.cell.masks, self.cell.context)
            rows["prompts"] = [
                self._at("prompts", place, **_apart(own, beside[1], place), beside=beside[0])
                for place in places
            ]
        if longer:
            rows["edge"] = [
                self._at("edge", place, **_apart(own, longer[1], place), longer_masks=longer[0])
                for place in self.edge
            ]
        return rows

    def zipf_row(self, probs: np.ndarray) -> dict[str, Any]:
        """The row that a law is fitted by: the next token's distribution by ranks.

        Args:
            probs: [vocabulary].
        """
        found = zipf_fit.ranked(probs)
        return self._row("next-tokens", **found._asdict())

    def sampled_rows(self, border: Border, found: Marginals) -> list[dict[str, Any]]:
        """The rows of a causal model's sampled continuations: of places only.

        Distributions that are averaged over few samples differ by their noise: divergences between
        them would say little, so there are none.
        """
        values = {
            "top1_prob": found.top1,
            "entropy": found.entropy,
            "top_id": found.top_id,
            "top1_naive": found.top1_naive,
            "top1_se": found.top1_se,
            **dict(zip(ERRORS, found.masses_se.T, strict=True)),
        }
        if not self.ends:
            del values["end_se"]
        floor = self.counts.largest
        return self._places(border, values, found.masses, floor)

    @property
    def _masses(self) -> tuple[Readout, ...]:
        return tuple(Readout("mass", members) for members in self.sets)

    @property
    def _distances(self) -> tuple[int, ...]:
        return spans.distances(self.cell.masks, self.cell.context)

    def _row(self, kind: str, **values: Any) -> dict[str, Any]:
        seen = len(self.span.ids) - len(self.span.places)
        return empty(COLUMNS[kind]) | {"visible_tokens": seen} | values

    def _at(self, kind: str, place: int, **values: Any) -> dict[str, Any]:
        return self._row(kind, place=place, distance=self._distances[place - 1], **values)

    def _places(
        self, border: Border, found: dict[str, np.ndarray], masses: np.ndarray, lowest: float
    ) -> list[dict[str, Any]]:
        cell, distances = self.cell, np.array(self._distances)
        floor = lowest if cell.floor is None else cell.floor
        columns = found | dict(zip(MASSES, masses.T, strict=True))
        if not self.ends:
            del columns["end_mass"]
        if cell.context == "left":  # it is no theory of what text on the right tells, too
            for name, curve in (("bound", zipf_bound.bound), ("greedy", zipf_bound.greedy)):
                columns[name] = curve(distances, floor, cell.exponent, cell.ranks)
        return [
            self._row(
                "places",
                **{name: values[n].item() for name, values in columns.items()},
                place=n + 1,
                distance=int(distances[n]),
                top=border.decode([int(columns["top_id"][n])]),
            )
            for n in range(len(distances))
        ]

    def _far(self, border: Border, far: np.ndarray) -> Rows:
        """The far end: its mean distribution, [vocabulary], and the tokens it consists of."""
        js, tv = self.counts.divergence(far)
        some = far[far > 0].astype(float)
        tops = _tops(far, TOKENS)
        masses = {
            name: float(far[list(members)].sum())
            for name, members in zip(MASSES, self.sets, strict=True)
            if members
        }
        whole = {
            "top1_prob": float(far[tops[0]]),
            "entropy": float(-(some * np.log(some)).sum()),
            "top_id": tops[0],
            "top": border.decode(tops[:1]),
            "js": js,
            "tv": tv,
            "js_halves": self.counts.halves,
        }
        tokens = [
            self._row(
                "tokens",
                token_id=token,
                token_text=border.decode([token]),
                share=float(far[token]),
                unigram=self.counts.shares.get(token, 0.0),
            )
            for token in tops
        ]
        return {"far": [self._row("far", **whole, **masses)], "tokens": tokens}


def distribution(place: int) -> Block:
    """The whole distribution at a mask, from 1: probabilities, [vocabulary]."""
    return Block("mean", (place - 1,))


def _tops(probs: np.ndarray, count: int) -> list[int]:
    """The most probable tokens, most probable first, and lower ids first among equals."""
    least = np.partition(probs, -count)[-count] if count < len(probs) else -np.inf
    some = np.flatnonzero(probs >= least)  # a whole vocabulary would take long to sort
    ranks = np.argsort(-probs[some], kind="stable")[:count]
    return [int(token) for token in some[ranks]]


def _apart(own: Answer, other: Answer, place: int) -> dict[str, float]:
    """How far apart the distributions at the same mask of two canvases are."""
    p, q = (answer[distribution(place)].astype(float) for answer in (own, other))
    return {"js": unigrams.jensen_shannon(p, q), "tv": float(np.abs(p - q).sum() / 2)}


def readings(asker: Asker, cells: Sequence[MarginalCell]) -> list[MarginalQuery]:
    """What is read of each cell's prompt.

    Tokens are counted in all texts of its task, or of all tasks where that is too few.

    Raises:
        ProbeError: as `spans.span`.
    """
    found = []
    for cell in cells:
        texts = by_id(cell.prompts, cell.lexicon)
        text = texts[cell.prompt]
        corpus = tuple(t for t in texts.values() if t.task == text.task)
        if len(corpus) < ENOUGH:
            corpus = tuple(texts.values())
        span = canvas_of_prompt.span(asker, text, cell.masks, cell.context)
        counts = unigrams.load(asker.border, corpus, cell.frequent, cell.count)
        origin = asker.entry.origin_at(span.places[0] if span.places else len(span.ids))
        found.append(MarginalQuery(cell, span, counts, asker.entry.eos_ids, origin))
    return found
