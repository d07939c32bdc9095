"""The quality of texts, as tables and a chart: truth, repetition, entropy, and the frontier.

Perplexity alone rewards texts that say the same again. It is a divergence from the scorer plus the
entropy of the texts, so that it can be compared at equal entropy only (arXiv 2604.02718, which sets
the entropy of a text's own tokens beside it). Which other texts a text is compared with at equal
entropy is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mdlm_probe.analysis import stats
from mdlm_probe.analysis.charts import Axis, Chart, ChartLayer, Rows
from mdlm_probe.analysis.frames import Tables, grouped

COUNTS = ("words", "valid", "valid_new", "pairs", "kept", "longest_repeat")
SHARES = ("truth", "repeated", "distinct_1", "distinct_2")
ENTROPIES = ("entropy_1", "entropy_2")
QUALITY = (*SHARES, "valid_share", "kept_share", "longest_repeat", *ENTROPIES)
"""What a table says of texts, each with an interval."""
NLL = ["nll", "scorer_tokens"]
ITEM = ["task", "prompt"]
NOTHING = stats.Estimate(np.nan, np.nan, np.nan, 0)


def with_quality(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows whose columns of quality are numbers: empty where an earlier version wrote none."""
    names = (*COUNTS, *SHARES, *ENTROPIES)
    found = {name: pd.to_numeric(frame[name]) if name in frame else np.nan for name in names}
    return frame.assign(**found)


def quality(part: pd.DataFrame) -> dict[str, float]:
    """The quality of some texts as columns of a table, with intervals over prompts.

    `judged` texts have a truth, which is the mean of theirs (bootstrap, as all means of what can't
    be negative): `valid_share` is the share of their words that the language lets follow,
    `kept_share` that of its pairs that are kept; both ratios of sums. Of all texts: `repeated`
    4-grams, the `longest_repeat` in tokens, different tokens and bigrams (`distinct_1`,
    `distinct_2`), and the entropies of tokens and bigrams in nats.

    Args:
        part: rows of `with_quality`, one a prompt.
    """
    line: dict[str, float] = {"judged": int(part["truth"].notna().sum())}
    line |= _amount(part["truth"], 1.0).columns("truth")
    line |= ratio(part, "valid", "words", 1.0).columns("valid_share")
    line |= ratio(part, "kept", "pairs", 1.0).columns("kept_share")
    for name in ("repeated", "longest_repeat", "distinct_1", "distinct_2"):
        most = np.inf if name == "longest_repeat" else 1.0
        line |= _amount(part[name], most).columns(name)
    for name in ENTROPIES:
        line |= _amount(part[name], np.inf).columns(name)
    return line


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table without what no text has: truth in other languages, quality in old rows."""
    missing = [n for n in QUALITY if n in table and table[n].isna().all()]
    ends = [f"{name}_{end}" for name in missing for end in ("low", "high")]
    judged = ["judged"] if "truth" in missing else []
    return table.drop(columns=[*missing, *ends, *judged], errors="ignore")


def _amount(values: pd.Series, most: float) -> stats.Estimate:
    known = values.dropna().to_numpy(dtype=float)
    return stats.amount(known, most) if len(known) else NOTHING


def ratio(part: pd.DataFrame, top: str, bottom: str, most: float = np.inf) -> stats.Estimate:
    """The sum of a column over that of another, with a bootstrap interval over rows.

    Rows where the lower one is 0 add nothing to either, and are left out.
    """
    both = np.array([part[name].to_numpy(dtype=float) for name in (top, bottom)])
    pairs = both.compress((both[1] > 0) & ~np.isnan(both[0]), axis=1).T
    if not len(pairs):
        return NOTHING
    return stats.bootstrap(pairs, lambda means: means[..., 0] / means[..., 1], (0.0, most))


# ---------------------------------------------------------------------- frontier


def frontier(frame: pd.DataFrame, series: Sequence[str], within: Sequence[str]) -> pd.DataFrame:
    """Perplexity beside entropy, and what it is at equal entropy.

    `entropy_1` of the answers' own tokens is the mean over prompts (bootstrap), `perplexity` a
    ratio of sums (bootstrap). `matched`: nats per scorer token above the line with the lowest
    perplexity among those with as much entropy or more, over the prompts of both, with a bootstrap
    interval over them; 0 for a line on the frontier, that none beats in both. That other one was
    chosen by the same rows, which flatters it: the interval is no test. A text that repeats itself
    has little entropy, and is only compared with what has more: it wins over none of these.

    Args:
        frame: rows of `with_quality` with a likelihood.
        series: coordinates that make a line.
        within: of these, those within which lines are compared.
    """
    rows = frame.dropna(subset=[*NLL, "entropy_1"])
    rows = rows[rows["scorer_tokens"] > 0]
    lines, parts = [], []
    for named, part in grouped(rows, list(series)) if len(rows) else ():
        line: dict[str, Any] = named | {"n": len(part)}
        line |= _amount(part["entropy_1"], np.inf).columns("entropy_1")
        lines.append(line | perplexity(part))
        parts.append(part.set_index(ITEM)[NLL].astype(float))
    return pd.DataFrame(
        [line | _matched(lines, parts, at, within) for at, line in enumerate(lines)]
    )


def perplexity(part: pd.DataFrame) -> dict[str, float]:
    """exp of all nats by all scorer tokens, with a bootstrap interval over prompts."""
    known = part[NLL].dropna().to_numpy(dtype=float)
    found = stats.bootstrap(known, lambda means: np.exp(_nats(means)), (1.0, np.inf))
    return found.columns("perplexity")


def _nats(means: np.ndarray) -> np.ndarray:
    top, bottom = means[..., 0], means[..., 1]
    found: np.ndarray = np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)
    return found


def _matched(
    lines: list[dict[str, Any]], parts: list[pd.DataFrame], at: int, within: Sequence[str]
) -> dict[str, float]:
    own = lines[at]
    rivals = [
        n
        for n, line in enumerate(lines)
        if all(line[name] == own[name] for name in within) and line["entropy_1"] >= own["entropy_1"]
    ]
    best = min(rivals, key=lambda n: (lines[n]["perplexity"], n != at))
    both = parts[at].join(parts[best].add_suffix("_best"), how="inner")
    gap = (
        stats.bootstrap(both.to_numpy(), lambda m: _nats(m[..., :2]) - _nats(m[..., 2:]))
        if best != at and len(both)
        else stats.Estimate(0.0, np.nan, np.nan, len(both))
    )
    return gap.columns("matched")


def _on_frontier(colour: str, dash: str) -> Rows:
    """The lines of the table "frontier" that none beats in both: one line in a panel."""

    def rows(tables: Tables, frame: pd.DataFrame) -> pd.DataFrame:
        table = tables.get("frontier", pd.DataFrame())
        if not len(table):
            return table
        own = table[table["matched"] == 0].sort_values("entropy_1")
        return own.drop(columns=[name for name in (colour, dash) if name])

    return rows


def frontier_chart(
    rows: Rows,
    *,
    colour: str,
    panels: tuple[str, ...],
    dash: str = "",
    names: tuple[tuple[str, str], ...] = (),
    more: tuple[str, ...] = (),
) -> Chart:
    """Perplexity against entropy: down is what the scorer likes, to the left what repeats itself.

    Args:
        rows: the table "frontier", its names in words.
        colour, dash, panels, names, more: see `Chart`.
    """
    return Chart(
        "frontier",
        "Perplexity beside the entropy of the answers' own tokens: compare at equal entropy",
        rows,
        "points",
        Axis("entropy_1", "entropy of an answer's own tokens (nats)"),
        Axis("perplexity", "perplexity", scale="log", ends="perplexity"),
        colour=colour,
        dash=dash,
        panels=panels,
        names=names,
        counts=(("n", "prompts"),),
        more=(*more, "matched"),
        over="prompts",
        layers=(
            ChartLayer(
                "none has less perplexity and more entropy", _on_frontier(colour, dash), "line"
            ),
        ),
        note="texts that repeat themselves stand at the left, whatever their perplexity",
    )
