"""What a model card says against a baseline: differences of the same items, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mdlm_probe.analysis.frames import records
from mdlm_probe.analysis.markdown_text import escape, grid
from mdlm_probe.analysis.model_card import with_interval
from mdlm_probe.analysis.tables import number
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.arms import training_of
from mdlm_probe.reports.compare.compare import Compared, compare
from mdlm_probe.reports.compare.forest import SURE
from mdlm_probe.reports.compare.measurements import Measurement, measurements
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.provenance import masked
from mdlm_probe.reports.remedies import changes
from mdlm_probe.runs.plan import slug

READ = (
    "Differences are this model minus the baseline, over the same items, with 95 % intervals over"
    " clusters of items (relevant tasks) where there are several. Holm's p is corrected over all"
    " lines `all` of this card, and over the points of each measure. `mdlm-probe compare` prints"
    " the same."
)


@dataclass(frozen=True)
class BaselinePart:
    """What a card says of its model against a baseline.

    Attributes:
        text: Markdown.
        figures: PNGs by the names that the text links.
    """

    text: str
    figures: dict[str, bytes]


def baseline_parts(
    runs: Sequence[ExportedRun], request: ExportRequest, probes: Sequence[str]
) -> dict[str, BaselinePart]:
    """The parts of all masked models that a baseline is given for, by the model's name.

    Args:
        runs: exported.
        request: with the baseline.
        probes: those of cards.

    Raises:
        ProbeError: no baseline there, none for these models, or one that was measured otherwise.
    """
    assert request.baseline
    root = runs[0].folder.parent if runs[0].name else runs[0].folder
    models = {
        str(entry["config"]["model"]): run
        for run in runs
        for probe in run.made
        if probe in probes
        for entry in run.measurements(probe).values()
        if masked(entry)
    }
    own = [probe for probe in probes if any(probe in run.made for run in runs)]
    pairs = _paired(request.baseline, root, list(models), own)
    parts = {}
    for pair in pairs:  # one by one: a card's p-values are corrected over what it says alone
        found, _ = compare(request.baseline, root, probes=own, models=[pair], across=request.across)
        parts[pair[1]] = _part(found, root)
    return parts


def _paired(
    baseline: Path, root: Path, models: Sequence[str], probes: Sequence[str]
) -> list[tuple[str, str]]:
    """The baseline's model for each model: that of its name, or the only one there is.

    Of the exported folder itself, a model isn't its own baseline.
    """
    measured = [one for one in measurements(baseline)[0] if one.probe in probes]
    if not measured:
        raise ProbeError(
            f"--baseline {baseline} has no rows of {', '.join(probes)}",
            expected="a run of a probe that the card is about, made with the same options",
            option="baseline",
        )
    first = list(dict.fromkeys(one.model for one in measured))
    home = baseline.parent if baseline.suffix == ".csv" else baseline
    inside = home.resolve() in (root.resolve(), *(p.resolve() for p in root.iterdir()))
    if inside:
        alone = first[0] if len(first) == 1 else ""
        pairs = [(alone, model) for model in models if alone and model != alone]
    elif len(first) == 1:
        pairs = [(first[0], model) for model in models]
    else:
        pairs = [(model, model) for model in models if model in first]
    if not pairs:
        raise ProbeError(
            f"--baseline {baseline} has {', '.join(first)}, none of them for {', '.join(models)}",
            expected="one model, or models of equal names in another folder",
            hint="name a model's CSV: --baseline RUN/PROBE__MODEL.csv",
            option="baseline",
        )
    return pairs


def _part(found: Sequence[Compared], root: Path) -> BaselinePart:
    """One model's part: a sentence, a table and a figure for each probe, and costs."""
    lines = changes([(one.second.model, one) for one in found])
    first, model = found[0].first, found[0].second.model
    text = [f"### Against {_called(first)}", "", _sentence(lines, first, model), ""]
    figures = {}
    for one in found:
        own = lines[lines["probe"] == one.first.probe]
        text += [f"**{escape(one.title)}**", "", *_table(own)]
        name = f"card-{slug(model)}-{slug(one.title)}.png"
        figures[name] = one.picture().png()
        text += [f"![Differences of {escape(one.title)}, with intervals]({name})", ""]
        text += [f"- {escape(note)}" for note in one.notes] + [""] * bool(one.notes)
    text += [READ, "", *_costs(found, root), ""]
    return BaselinePart("\n".join(text), figures)


def _called(side: Measurement) -> str:
    """A baseline's model, with its adapter."""
    adapter = side.answers.get("config", {}).get("load", {}).get("adapter", "")
    return escape(side.model + (f" with the adapter {Path(adapter).name}" if adapter else ""))


def _sentence(lines: pd.DataFrame, first: Measurement, model: str) -> str:
    """The main measure's difference, and how many measures differ for certain."""
    over = lines[lines["at"] == "all"]
    row = records(over)[0]
    differ = {effect: int((over["effect"] == effect).sum()) for effect in ("better", "worse")}
    n = int(row["n"])
    return (
        f"Over the same {n} items, {escape(row['measure'])} is {number(row['after'])} with"
        f" {escape(model)} and {number(row['before'])} with {_called(first)}: a difference of"
        f" {_difference(row)}, Holm's p = {number(row['p_holm'])}; of {len(over)} measures over"
        f" whole sweeps, {differ['better']} are better and {differ['worse']} worse at p < {SURE:g}."
    )


def _difference(row: dict[str, Any]) -> str:
    return with_interval(row["difference"], row["difference_low"], row["difference_high"])


def _table(lines: pd.DataFrame) -> list[str]:
    heads = ["measure", "at", "baseline", "this model", "difference (95 %)", "Holm's p"]
    heads += ["effect", "items"]
    rows = [
        [
            *(row["measure"], row["at"], number(row["before"]), number(row["after"])),
            *(_difference(row), number(row["p_holm"]), row["effect"], str(row["n"])),
        ]
        for row in records(lines)
    ]
    return grid(heads, rows, {"measure", "at", "effect"})


def _costs(found: Sequence[Compared], root: Path) -> list[str]:
    """What a remedy took: its adapter's training, where that is known here."""
    second = found[0].second
    adapter = second.answers.get("config", {}).get("load", {}).get("adapter", "")
    if not adapter:
        return ["Costs: no adapter was used, so that there is no training to count."]
    arm = training_of(second, root)
    if not arm:
        said = f"trained elsewhere: {Path(adapter).name} has no record here"
    else:
        said = (
            f"{arm.objective} took {arm.training_steps} steps, {arm.trained_tokens} tokens"
            f" through the network and {arm.seconds:g} s of training"
        )
    return [f"Costs of the remedy: {escape(said)}."]
