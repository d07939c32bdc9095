"""A model card's section: accuracy at every number of masks, and metadata for the Hub.

One file per masked model. The guideline is that of "Masks Can Be Distracting" (arXiv 2511.21338):
every result says how many masks it was measured with, and sensitivity to masks in long contexts is
a part of evaluating these models. Metadata: the `model-index` of the Hugging Face Hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml
from huggingface_hub import EvalResult
from huggingface_hub.repocard_data import eval_results_to_model_index

from mdlm_probe.core import catalog
from mdlm_probe.reports.exports.card_baseline import baseline_parts
from mdlm_probe.reports.exports.card_parts import CardPart, card_part
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest, Lacking
from mdlm_probe.reports.exports.provenance import masked
from mdlm_probe.runs.plan import slug

HEAD = """## Sensitivity to masks

How well this masked diffusion model answers few-shot questions depends on how many masks stand in
its prompt. Each number below therefore says how many there were; numbers with different ones can't
be compared ([arXiv 2511.21338](https://arxiv.org/abs/2511.21338)). Intervals are 95 %, over tasks
(kinds of questions, the independent unit), unless they say otherwise.
"""


def files(runs: Sequence[ExportedRun], request: ExportRequest) -> dict[str, bytes]:
    """card-MODEL.md for each masked model: YAML metadata, then the section; and its figures.

    Raises:
        Lacking: no masked model was measured at more than one number of masks.
        ProbeError: a baseline that can't be compared.
    """
    parts: dict[str, list[CardPart]] = {}
    for run in runs:
        for probe in [probe for probe in run.made if probe in catalog.names("card")]:
            for model, part in _parts(run, probe):
                parts.setdefault(model, []).append(part)
    if not parts:
        commands = [catalog.load("card", probe).COMMAND for probe in catalog.names("card")]
        raise Lacking(
            "no masked model was measured at several numbers of masks here",
            expected="rows of " + " or ".join(f"`{command}`" for command in commands),
            hint=f"{commands[-1]} --output DIR makes them; then export DIR",
        )
    against = baseline_parts(runs, request, catalog.names("card")) if request.baseline else {}
    made: dict[str, bytes] = {}
    for model, found in parts.items():
        own = against.get(model)
        made[f"card-{slug(model)}.md"] = card(model, found, own.text if own else "").encode()
        made |= own.figures if own else {}
    return made


def _parts(run: ExportedRun, probe: str) -> Iterator[tuple[str, CardPart]]:
    """The parts of a probe's masked models, by the model's name."""
    tables, section = run.made[probe].tables, catalog.load("card", probe).section
    for entry in run.measurements(probe).values():
        model = str(entry["config"]["model"])
        if masked(entry) and (found := section(tables, model)):
            yield model, card_part(run, entry, found)


def card(model: str, parts: Sequence[CardPart], against: str = "") -> str:
    """A model card's metadata and section, what it says against a baseline first."""
    found = [own for part in parts for setting in part.results for own in _metadata(setting)]
    index = [{"name": model, "results": found}]
    metadata = yaml.safe_dump(
        {"model-index": index}, sort_keys=False, allow_unicode=True, width=100
    )
    return "\n".join(
        [f"---\n{metadata}---\n", HEAD, *filter(None, [against]), *(part.text for part in parts)]
    )


def _metadata(setting: Sequence[EvalResult]) -> list[dict[str, Any]]:
    """Results of one setting for a `model-index`: the Hub's package merges those of several."""
    (index,) = eval_results_to_model_index("", list(setting))
    found: list[dict[str, Any]] = index["results"]
    return found
