"""How much of a metric is chance of our draws: its Monte Carlo standard error.

lm-eval's standard error says what other documents would change; this says what other draws would.
"""

from __future__ import annotations

import math
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mdlm_probe.core.cells import seed as seed_of

if TYPE_CHECKING:
    from mdlm_probe.harness.continuation_scores import Scored
    from mdlm_probe.harness.probe_lm import ProbeLM

DRAWS = 200
"""Times that the likelihoods of a document are drawn again."""
Metric = tuple[str, str]
"""A metric and the filter that it is computed after."""


class MonteCarloErrors(NamedTuple):
    """What our draws do to a task's metrics.

    Attributes:
        errors: Monte Carlo standard errors; 0 where all is exact, NaN where none can be said.
        estimators: how many requests were scored how, as text: "exact 40, mc 8".
    """

    errors: dict[Metric, float]
    estimators: str

    @classmethod
    def of(cls, task: Any, lm: ProbeLM, values: Mapping[Metric, float]) -> MonteCarloErrors:
        """The errors of a task that was evaluated.

        Args:
            task: lm-eval's, with its requests and their answers.
            lm: what answered them.
            values: the metrics found.
        """
        found = {id(request): lm.record(request) for request in task.instances}
        records = {key: one for key, one in found.items() if one}
        tally = Tally(one.estimator for one in records.values())
        if not tally:  # texts are written without draws of ours
            return cls(dict.fromkeys(values, 0.0), "written")
        text = ", ".join(f"{name} {number}" for name, number in sorted(tally.items()))
        if not any(one.se for one in records.values()):
            return cls(dict.fromkeys(values, 0.0), text)
        documents: dict[Any, list[Any]] = {}
        for request in sorted(task.instances, key=lambda request: request.idx):
            if id(request) in records:  # others were skipped
                documents.setdefault(request.doc_id, []).append(request)
        return cls({m: _error(task, m, v, documents, records) for m, v in values.items()}, text)


def _error(
    task: Any,
    metric: Metric,
    value: float,
    documents: Mapping[Any, Sequence[Any]],
    records: Mapping[int, Scored],
) -> float:
    name = metric[0]
    if name in ("perplexity", "word_perplexity", "byte_perplexity", "bits_per_byte"):
        return _propagated(task, metric, value, documents, records)
    if getattr(task.aggregation().get(name), "__name__", "") != "mean":
        return math.nan
    variances = []
    for requests in documents.values():
        found = [records[id(request)] for request in requests]
        if not any(one.se for one in found):
            variances.append(0.0)
            continue
        rng = np.random.default_rng(seed_of("spread", [r.args[:2] for r in requests]))
        logps, ses = np.array([(one.logp, one.se) for one in found]).T
        values = [
            task.process_results(
                requests[0].doc,
                [(float(p), one.greedy) for p, one in zip(row, found, strict=True)],
            ).get(name, math.nan)
            for row in logps + ses * rng.standard_normal((DRAWS, len(found)))
        ]
        variances.append(float(np.var(values)))
    return math.sqrt(sum(variances)) / len(documents)


def _propagated(
    task: Any,
    metric: Metric,
    value: float,
    documents: Mapping[Any, Sequence[Any]],
    records: Mapping[int, Scored],
) -> float:
    """The error of exp(-sum / size), or of bits per byte, from those of the sum's parts."""
    name, kept = metric
    variance = size = 0.0
    for requests in documents.values():
        variance += sum(records[id(request)].se ** 2 for request in requests)
        answers = [request.filtered_resps[kept] for request in requests]
        item = task.process_results(requests[0].doc, answers)[name]
        size += item[1] if isinstance(item, tuple) else 1
    slope = 1 / math.log(2) if name == "bits_per_byte" else value
    return slope * math.sqrt(variance) / size


def pooled(errors: Sequence[float], sizes: Sequence[int], by_size: bool) -> float:
    """The error of a group's mean, from those of its tasks, weighted by size or evenly."""
    weights = np.array(sizes if by_size else [1] * len(sizes), dtype=float)
    return float(np.sqrt(np.sum((weights * np.array(errors)) ** 2)) / weights.sum())
