"""What an evaluation leaves behind: rows of metrics, and lm-eval's own files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.analysis import frames
from mdlm_probe.core import csv_text
from mdlm_probe.core.columns import MODEL, RUN, Column, names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole
from mdlm_probe.core.shared_columns import TASK, N
from mdlm_probe.harness.monte_carlo_errors import MonteCarloErrors, pooled
from mdlm_probe.prompts import lm_eval_documents

if TYPE_CHECKING:
    from lm_eval.loggers import EvaluationTracker

    from mdlm_probe.harness.lm_eval_tasks import Loaded
    from mdlm_probe.harness.probe_lm import ProbeLM

COLUMNS = (
    MODEL,
    TASK,
    Column("metric", str, "", "lm-eval's name of the metric"),
    Column("filter", str, "", "lm-eval's name of the filter"),
    Column("value", float, "", "the metric"),
    Column("stderr", float, "", "lm-eval's standard error of the metric, over documents"),
    Column("mc_stderr", float, "", "our standard error of the metric, over Monte Carlo draws"),
    N,
    Column("n_shot", int, "examples", "examples in the prompt"),
    Column("estimator", str, "", "how likelihoods were estimated"),
    Column("overlong", int, "documents", "documents longer than the model reads: cut, or skipped"),
    RUN,
)
NAMES = names(COLUMNS)


def rows_of(
    name: str, lm: ProbeLM, loaded: Loaded, results: dict[str, Any], run: str
) -> list[dict[str, Any]]:
    """One row per metric of a task or group; the errors go into lm-eval's results as well.

    Args:
        name: the model's.
        lm, loaded, results: who was asked what, and lm-eval's results.
        run: the id of the evaluation.
    """
    by_title = {}
    for title, task in loaded.tasks.items():
        found = results["results"][title]
        by_title[title] = MonteCarloErrors.of(
            task, lm, {m: found[",".join(m)] for m in _metrics(found)}
        )
    overlong = {t: len(lm.overlong.of(task.config.task)) for t, task in loaded.tasks.items()}
    for title, group in loaded.groups.items():
        by_title[title] = _of_group(group, by_title, results)
        overlong[title] = sum(overlong[task.task_name] for task in group.get_all_tasks())
    rows = []
    for title, own in by_title.items():
        found = results["results"][title]
        for metric in _metrics(found):
            error = own.errors.get(metric, math.nan)
            found["{}_mc_stderr,{}".format(*metric)] = error if error == error else "N/A"
            stderr = found.get("{}_stderr,{}".format(*metric))
            shots = results["n-shot"].get(title)
            values = (
                *(name, title, *metric, float(found[",".join(metric)])),
                *(stderr if isinstance(stderr, float) else math.nan, error),
                *(found["sample_len"], "" if shots is None else shots, own.estimators),
                *(overlong[title], run),
            )
            rows.append(dict(zip(NAMES, values, strict=True)))
    return rows


def add_cuts(lm: ProbeLM, loaded: Loaded, results: dict[str, Any]) -> None:
    """Writes into lm-eval's results how many tokens each document lost; 0 for most."""
    results["overlong"] = {"rule": lm.overlong.rule, "tokens": {}}
    for title, task in loaded.tasks.items():
        cut = lm.overlong.of(task.config.task)
        results["overlong"]["tokens"][title] = cut
        for sample in results["samples"].get(title, ()):
            sample["cut"] = cut.get(sample["doc_id"], 0)


def check_metrics(loaded: Loaded, results: dict[str, Any], hint: str) -> None:
    """Refuses results in which a task has no number.

    Args:
        loaded: the tasks.
        results: lm-eval's.
        hint: what else may be the reason.

    Raises:
        ProbeError: naming the first such task.
    """
    for title, task in loaded.tasks.items():
        if not _metrics(results["results"].get(title, {})):
            wanted = ", ".join(task.aggregation()) or "none"
            raise ProbeError(
                f"task '{title}' gave no metric; its metric_list has {wanted}",
                expected=f"metrics that tasks of {task.get_config('output_type')} have",
                hint=hint or "change metric_list in its YAML; answers are kept",
            )


def _metrics(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The metrics of a task or group that are numbers, each with its filter."""
    names = (
        key.rpartition(",") for key, value in found.items() if "," in key and _is_number(value)
    )
    return [(name, kept) for name, _, kept in names if not name.endswith("_stderr")]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_group(
    group: Any, tasks: dict[str, MonteCarloErrors], results: dict[str, Any]
) -> MonteCarloErrors:
    """The errors of a group's means, where all its tasks have theirs."""
    by_size = {c.metric: c.weight_by_size for c in group.aggregate_metric_list or ()}
    names = [task.task_name for task in group.get_all_tasks()]
    errors = {}
    for metric in _metrics(results["results"][group.name]):
        own = [(tasks[n].errors[metric], n) for n in names if metric in tasks[n].errors]
        sizes = [results["results"][n]["sample_len"] for _, n in own]
        errors[metric] = pooled([error for error, _ in own], sizes, by_size.get(metric[0], True))
    return MonteCarloErrors(errors, "of its tasks")


def save(
    results: dict[str, Any], tracker: EvaluationTracker, output: Path, log_samples: bool
) -> list[Path]:
    """Writes lm-eval's own files, and returns them: results as JSON, samples as JSONL where asked.

    Raises:
        ProbeError: they could not be written.
    """
    samples = results.pop("samples")
    before = set(output.glob("*/*.json*"))
    with lm_eval_documents.quiet():
        tracker.save_results_aggregated(results, samples)
        if log_samples and hasattr(tracker, "date_id"):
            for task in results["configs"]:
                tracker.save_results_samples(task, samples[task])
    found = sorted(set(output.glob("*/*.json*")) - before)
    wanted = 1 + (len(results["configs"]) if log_samples else 0)
    if len(found) < wanted:  # lm-eval only logs what went wrong
        raise ProbeError(
            f"lm-eval could not write its results to {output}",
            expected="a place with free space and leave to write",
            hint="the same command writes them again; answers are kept",
        )
    return found


def write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The CSV of a model: these tasks' rows, after those of tasks evaluated there before."""
    now = {row["task"] for row in rows}
    old: list[dict[str, Any]] = []
    if path.exists():
        table = frames.read_texts(path)
        if NAMES[: len(table.column_names)] == tuple(table.column_names):  # or an earlier version's
            old = [row for row in table.to_pylist() if row["task"] not in now]
    kept = [
        dict.fromkeys(NAMES) | {n: text and csv_text.text_from(text) for n, text in row.items()}
        for row in old
    ]
    write_whole(path, csv_text.csv_of([*kept, *rows], NAMES))
