"""What block size, steps and order cost, and what they buy: quality against passes.

A caution: low perplexity under a causal scorer is what repetitive text has, too, and so have short
answers. It can be compared at equal entropy of the answers' own tokens only; truth, repetition and
length stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats, text_quality
from mdlm_probe.analysis.frames import grouped
from mdlm_probe.analysis.pairing import Measure, Pairing
from mdlm_probe.probes.blocks import answer_tables
from mdlm_probe.probes.blocks.equivalent import LEFT, SERIES, EquivalentCells

PRINTED = ("overview", "frontier", "front", "orders", "lengths", "answers", "parallelism")
UNREAD = ("answer", "right", "canvas")
UNITS = {table: {"nll_excess": "nats per token"} for table in ("blocks", "front", "orders")}
UNITS |= {"frontier": {"matched": "nats per token"}}
"""Units of columns that the rows don't have, or have in another one; by table."""
MEANS = ("answer_tokens", "passes", "decided", "canvas_tokens", "per_step")
SHARES = ("end_first", "tail_eos_first", "confidence")
MEASURED = ("truth", "perplexity", "correct")
"""What a length is compared in, with intervals."""
TAUS = ("tau", "answer_tau")
SHORT = (
    *("truth", "truth_low", "truth_high", "valid_share", "kept_share", "correct", "repeated"),
    *("longest_repeat", "entropy_1", "perplexity", "perplexity_low", "perplexity_high", "ended"),
    *("answer_tokens", "passes", "tokens_a_pass", "tau"),
)
NLL = ["nll", "scorer_tokens"]


def tables(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The report's tables by name.

    "overview" for a first look, "quality" with intervals, the "frontier" of perplexity and entropy,
    the Pareto "front" of these and cost, "orders" against left to right, all blocks together and
    for each of the "blocks", "lengths" where there are several; of prompts with right answers when
    these are there ("answers"), and accuracy against "parallelism".

    Raises:
        KeyError, ValueError: for rows that a blocks run didn't write.
    """
    frame[[*SERIES[1:4], *NLL, *MEANS, *SHARES, *TAUS]].apply(pd.to_numeric)
    frame = text_quality.with_quality(frame)
    table = quality(frame)
    shown = [name for name in SHORT if table[name].notna().any()]
    found = {
        "overview": table[[*SERIES, "n", *shown]],
        "quality": text_quality.shown(table),
        "frontier": frontier(frame),
        "front": front(frame, table),
        "orders": orders(frame, []),
        "blocks": orders(frame, ["steps", "block"]),
        "lengths": lengths(table),
        "answers": answer_tables.answers(frame),
        "parallelism": answer_tables.parallelism(frame),
    }
    return {name: table for name, table in found.items() if len(table)}


def _parts(
    frame: pd.DataFrame, names: list[str] = SERIES
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """The rows of each group in order of appearance, with its coordinates by name."""
    yield from grouped(frame, names)


def _ratio(means: np.ndarray) -> np.ndarray:
    """The first column by the second, [..., 2] to [...]; NaN where that is 0."""
    top, bottom = means[..., 0], means[..., 1]
    found: np.ndarray = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    return found


def _mean(name: str, values: pd.Series, least: float, most: float) -> dict[str, float]:
    """A mean over the prompts that have a value, with the t interval."""
    known = values.dropna().to_numpy(dtype=float)
    none = stats.Estimate(np.nan, np.nan, np.nan, 0)
    return (stats.mean(known) if len(known) else none).within(least, most).columns(name)


def _share(name: str, hits: pd.Series) -> dict[str, float]:
    """A share of yes among the prompts that have an answer to it, with Wilson's interval."""
    known = hits.dropna().to_numpy()
    none = stats.Estimate(np.nan, np.nan, np.nan, 0)
    return (stats.proportion(known) if len(known) else none).columns(name)


def quality(frame: pd.DataFrame) -> pd.DataFrame:
    """Every model and combination, over prompts.

    `perplexity` of the answers under the scorer: a ratio of sums, with a bootstrap interval; truth,
    repetition and entropy as in `text_quality.quality`;
    `correct` (of the prompts that have a right answer) and `ended` are shares with Wilson's.
    `passes_a_token` and `tokens_a_pass` are ratios of sums, over tokens before the first end of
    text. Other columns are means of the rows' columns, with t intervals where there is one.
    """
    frame, found = text_quality.with_quality(frame), []
    for named, part in _parts(frame):
        line = named | {"n": len(part)} | text_quality.perplexity(part)
        line |= _share("correct", part["correct"]) | {"with_answer": part["correct"].count()}
        line |= _share("ended", part["ended"])
        line |= {str(name): mean for name, mean in part[list(MEANS)].mean().items()}
        work = part[["passes", "answer_tokens"]].to_numpy(dtype=float)
        line |= stats.bootstrap(work, _ratio, (0.0, np.inf)).columns("passes_a_token")
        line["tokens_a_pass"] = float(work[:, 1].sum() / work[:, 0].sum())
        line |= text_quality.quality(part)
        for name in SHARES:
            line |= _mean(name, part[name], 0.0, 1.0)
        for name in TAUS:
            line |= _mean(name, part[name], -1.0, 1.0)
        for name in (one for one in answer_tables.AR_NESS if one in part):
            line |= _mean(name, part[name], 0.0, 1.0)
        if "path_entropy" in part:
            line |= stats.amount(part["path_entropy"].dropna().to_numpy()).columns("path_entropy")
        found.append(line)
    table = pd.DataFrame(found)
    places = {model: place for place, model in enumerate(frame["model"].unique())}
    return table.sort_values(
        ["model", "length", "order", "steps", "block"],
        ascending=[True, True, True, False, True],
        key=lambda c: c.map(places) if c.name == "model" else c,
        ignore_index=True,
    )


def frontier(frame: pd.DataFrame) -> pd.DataFrame:
    """Perplexity beside entropy, of a model's combinations of one length.

    See `text_quality.frontier`.
    """
    frame = text_quality.with_quality(frame)
    return text_quality.frontier(frame, SERIES, ["model", "length"])


# ---------------------------------------------------------------------- front


def front(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The combinations that no other of the model's beats in cost, perplexity and entropy.

    Of one length each; cheapest first. What repeats itself beats none: it has less entropy.
    `nll_excess`: nats by scorer token above the combination of the lowest perplexity among those
    with as much entropy or more, over the same prompts, with a bootstrap interval over them. That
    one was chosen by the same rows, which flatters it: the interval is no test.
    """
    found = []
    scored = {
        at: part.set_index("prompt")[NLL].dropna().astype(float)
        for at, part in frame[[*SERIES, "prompt", *NLL]].groupby(SERIES, observed=True, sort=False)
    }
    for _, part in _parts(table.dropna(subset=["perplexity"]), ["model", "length"]):
        kept = undominated(part)
        for _, line in kept.iterrows():
            rivals = kept[~(kept["entropy_1"] < line["entropy_1"])]
            best = scored[tuple(rivals.loc[rivals["perplexity"].idxmin(), SERIES])]
            gap = _gap(scored[tuple(line[SERIES])].join(best.add_suffix("_best"), how="inner"))
            shown = {name: line[name] for name in (*SERIES, "n", "passes_a_token", "perplexity")}
            ends = {name: line[f"perplexity_{name}"] for name in ("low", "high")}
            shown |= {f"perplexity_{name}": end for name, end in ends.items()}
            shown |= {name: line[name] for name in ("entropy_1", "truth", "repeated")}
            found.append(shown | gap.columns("nll_excess"))
    return text_quality.shown(pd.DataFrame(found))


def undominated(part: pd.DataFrame) -> pd.DataFrame:
    """The lines that no other beats in cost, perplexity and entropy; where it isn't known, in two.

    Of equal ones the first stays.
    """
    known = part["entropy_1"] if "entropy_1" in part else pd.Series(np.nan, part.index)
    part = part.assign(varied=known.fillna(0.0)).sort_values(
        ["passes_a_token", "perplexity", "varied"], ascending=[True, True, False], kind="stable"
    )
    entropy = part.pop("varied").to_numpy()
    perplexity = part["perplexity"].to_numpy()
    # what comes before is as cheap or cheaper
    beaten = [
        bool(((perplexity[:at] <= perplexity[at]) & (entropy[:at] >= entropy[at])).any())
        for at in range(len(part))
    ]
    return part[~np.array(beaten, dtype=bool)]


def _gap(both: pd.DataFrame) -> stats.Estimate:
    """Nats per token of the first two columns minus those of the last two, over prompts."""
    if not len(both):
        return stats.Estimate(np.nan, np.nan, np.nan, 0)
    return stats.bootstrap(both.to_numpy(), lambda m: _ratio(m[..., :2]) - _ratio(m[..., 2:]))


# ---------------------------------------------------------------------- orders


def orders(frame: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Every model, length and order: how far from left to right, and what that changes.

    Of the combinations in which there is an order to choose and which were asked from left to
    right, too; all of them together, or each by itself. `nll_excess`: nats by scorer token more
    than from left to right (threshold: a mask a step), over the same prompts and combinations, with
    a bootstrap interval over prompts; negative where this order's answers surprise the scorer less.
    Taus are means over prompts, with the t interval.

    Args:
        frame: the rows.
        by: further coordinates that make a line: steps, block.
    """
    names = ["model", "length", *by, "order"]
    rows, found = _beside_left(frame), []
    for named, part in _parts(rows, names) if len(rows) else ():
        each = part.groupby("prompt", observed=True)
        line = named | {"n": each.ngroups}
        for name in TAUS:
            line |= _mean(name, each[name].mean(), -1.0, 1.0)
        for name in (one for one in answer_tables.AR_NESS if one in part):
            line |= _mean(name, each[name].mean(), 0.0, 1.0)
        for name in ("end_first", "tail_eos_first", "per_step"):
            line[name] = each[name].mean().mean()
        scored = part.dropna(subset=[*NLL, "nll_left"]).groupby("prompt", observed=True)
        sums = scored[[*NLL, "nll_left", "scorer_tokens_left"]].sum().astype(float)
        gap = (
            _gap(sums) if named["order"] != LEFT else stats.Estimate(0.0, np.nan, np.nan, len(sums))
        )
        found.append(line | gap.columns("nll_excess"))
    return pd.DataFrame(found)


def _beside_left(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows that have an order, and those of left to right, with the latter's likelihood."""
    stands = EquivalentCells(frame)
    keys = frame[SERIES].drop_duplicates()
    pairs = []
    for line in keys[keys["block"] * keys["steps"] > keys["length"]].itertuples(index=False):
        at = model, length, block, steps, order = tuple(line)
        left = stands.of(model, length, block, steps, LEFT)
        if order != LEFT and left:
            pairs += [((model, length, block, steps, LEFT), left, left), (at, at, left)]
    by = dict(iter(frame.groupby(SERIES, observed=True, sort=False)))
    found = []
    for at, own, left in dict.fromkeys(pairs):
        start = by[left][["prompt", *NLL]]
        both = by[own].merge(start, on="prompt", suffixes=("", "_left"))
        found.append(both.assign(**dict(zip(SERIES, at, strict=True))))
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


# ---------------------------------------------------------------------- lengths


def lengths(table: pd.DataFrame) -> pd.DataFrame:
    """Every model and order at several lengths: as many masks per step, in one block and in some.

    Of the fewest masks per step that several lengths have (`a_step`), the whole canvas as one block
    and the middle one of the block sizes that most lengths have. All else is in "quality".
    """
    if table["length"].nunique() < 2:
        return pd.DataFrame()
    stands, by = EquivalentCells(table), table.set_index(SERIES)
    shared = table.assign(a_step=table["length"] / table["steps"])
    shared = shared[_several(shared, ["a_step"])]
    shared = shared[shared["a_step"] == shared["a_step"].min()]
    inner = (shared["block"] > shared["a_step"]) & (shared["block"] < shared["length"])
    spread = shared[inner].groupby("block")["length"].nunique()
    sizes = list(spread[spread == spread.max()].index)
    found = []
    for line in shared[["model", "length", "steps", "a_step"]].drop_duplicates().itertuples():
        for size in dict.fromkeys((*sizes[len(sizes) // 2 :][:1], line.length)):
            for order in table["order"].unique():
                at = stands.of(line.model, line.length, size, line.steps, order)
                if at:
                    named = {"model": line.model, "a_step": line.a_step, "order": order}
                    named |= {"blocks": "whole" if size == line.length else str(size)}
                    found.append(named | {"length": line.length} | by.loc[at].to_dict())
    alike = ["model", "a_step", "order", "blocks"]
    out = pd.DataFrame(found, columns=[*alike, "length", *by.columns])
    out = out[_several(out, alike)].sort_values([*alike, "length"], ignore_index=True)
    ends = [f"{name}_{end}" for name in MEASURED for end in ("low", "high")]
    names = ("truth", "perplexity", "correct", *ends, "ended", "answer_tokens", "repeated")
    names = (*names, "entropy_1", "longest_repeat", "passes_a_token")
    shown = [name for name in out if name in names and out[name].notna().any()]
    return out[[*alike, "length", *shown]]


def _several(rows: pd.DataFrame, names: list[str]) -> pd.Series:
    """Whether a row has others like it at another length."""
    return rows.groupby(names)["length"].transform("nunique") > 1


# ---------------------------------------------------------------------- comparing


def weighed(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows with nats per token of the scorer, and passes per token of the answer."""
    tokens = {
        name: frame[name].where(frame[name] > 0) for name in ("scorer_tokens", "answer_tokens")
    }
    nats, cost = frame["nll"] / tokens["scorer_tokens"], frame["passes"] / tokens["answer_tokens"]
    found = text_quality.with_quality(frame).assign(nats=nats, cost=cost)
    return answer_tables.with_shares(found) if "steps_made" in found else found


PAIRED = (
    Pairing(
        {
            "truth": Measure("truth of the small language (points)", scale=100, better="more"),
            "nats": Measure("negative log-likelihood (nats per token)"),
            "entropy_1": Measure("entropy of the answer's own tokens (nats)"),
            "correct": Measure("exact match (points)", hits=True, scale=100, better="more"),
            "repeated": Measure("repeated 4-grams (points)", scale=100, better="less"),
            "answer_tokens": Measure("tokens of the answer"),
            "cost": Measure("passes per token of the answer", better="less"),
            "tau": Measure("Kendall's tau with left to right"),
            "predicted_share": Measure("steps until the right answer is predicted (share)"),
            "path_entropy": Measure("mean entropy of the masks left (nats)"),
        },
        item=("task", "prompt"),
        by=tuple(SERIES[1:]),
        rows=weighed,
    ),
)
