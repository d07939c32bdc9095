"""Pushes a run's or a study's folder to the Hugging Face Hub, as a repository of a data set.

There go the CSVs of rows that datapackage.json describes, that file, run.json (study.json), the
tables and figures of a report that lie beside them, and a card: what was measured, the main
figures, how to read the rows. Nothing else of the folder is read. What others wrote into the card
stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.analysis.observed import count, where
from mdlm_probe.analysis.tables import TextTable
from mdlm_probe.core import hub
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RUN, STUDY, read_study
from mdlm_probe.core.secrets import redacted
from mdlm_probe.reports import leaderboard, leaderboard_files, pictures
from mdlm_probe.reports.exports import provenance
from mdlm_probe.reports.exports.captioned_tables import CaptionedTable
from mdlm_probe.reports.exports.exported_run import ExportedRun
from mdlm_probe.reports.exports.formats import markdown
from mdlm_probe.reports.exports.hub_push import README, with_section

if TYPE_CHECKING:
    from huggingface_hub import HfApi

OPTION = "push-dataset"
PACKAGE = "datapackage.json"
TAGS = ("mdlm-probe", "evaluation", "diffusion-language-model")
KEPT = "the folder is as it was, and the same command pushes again"


def push(
    folder: Path, runs: Sequence[ExportedRun], package: bytes, repo: str, *, public: bool
) -> list[str]:
    """Puts a folder into a repository, made where there is none; returns what to tell the user.

    Args:
        folder: of the run or the study.
        runs: what is in it.
        package: datapackage.json.
        repo: OWNER/NAME of a data set on the Hub.
        public: whether everybody may read it.

    Raises:
        ProbeError: no token, a repository that everybody can read although `public` doesn't say
            so, or the Hub refused or can't be reached.
    """
    import huggingface_hub
    from huggingface_hub import CommitOperationAdd

    api = huggingface_hub.HfApi(token=hub.token_for(OPTION))
    files = contents(folder, runs) | {PACKAGE: package}
    try:
        there = public and api.repo_exists(repo, repo_type="dataset")
        if not (there or hub.check_private(api, repo, OPTION, "--public")):
            api.create_repo(repo, repo_type="dataset", private=not public)
        old = _readme(api, repo)
        files[README] = card(old, folder, runs, repo).encode()
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        api.create_commit(
            repo, operations, repo_type="dataset", commit_message="A run of mdlm-probe"
        )
    except ProbeError:
        raise
    # the Hub's own, the network's, and whatever lies below: none of it is a bug of ours to trace
    except Exception as error:
        raise hub.refused(
            f"--{OPTION} {repo}",
            error,
            OPTION,
            "the Hub within reach, and OWNER/NAME that the token may write to",
            KEPT,
        ) from None
    return [f"pushed {len(files)} files to {hub.address(repo)}"]


def _readme(api: HfApi, repo: str) -> str:
    """The card that is there; "" where there is none."""
    if not api.file_exists(repo, README, repo_type="dataset"):
        return ""
    path = api.hf_hub_download(repo, README, repo_type="dataset")
    return Path(path).read_text(encoding="utf-8")


def contents(folder: Path, runs: Sequence[ExportedRun]) -> dict[str, bytes | Path]:
    """What is pushed of a folder, but for card and datapackage.json, by its name there."""
    found: dict[str, bytes | Path] = {}
    if (folder / STUDY).exists() and read_study(folder):
        found[STUDY] = _redacted(folder / STUDY)
    for run in runs:
        found[run.file(RUN)] = _redacted(run.folder / RUN)
        names = [name for probe in run.made for own in run.csvs(probe).values() for name in own]
        for probe, made in run.made.items():
            names += [f"{probe}-{name}.csv" for name in made.tables]
            stems = pictures.stems(probe, list(made.charts), "screen")
            names += [f"{stem}.png" for stem in stems]
        there = [name for name in dict.fromkeys(names) if (run.folder / name).is_file()]
        found |= {run.file(name): run.folder / name for name in there}
    return found


def _redacted(path: Path) -> bytes:
    """A file without names and keys in its URLs."""
    return redacted(path.read_text(encoding="utf-8")).encode()


# ---------------------------------------------------------------------- the card


def card(old: str, folder: Path, runs: Sequence[ExportedRun], repo: str) -> str:
    """The repository's README: our section in its place, and what the Hub shows as data."""
    head: dict[str, Any] = {"configs": _configs(runs), "tags": list(TAGS)}
    return with_section(old, _section(folder, runs, repo), lambda theirs: _metadata(theirs, head))


def _metadata(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """Both: others' configurations and tags stay."""
    names = {one["config_name"] for one in ours["configs"]}
    others = [one for one in theirs.get("configs") or [] if one.get("config_name") not in names]
    tags = dict.fromkeys([*(theirs.get("tags") or []), *ours["tags"]])
    return {**theirs, "configs": [*others, *ours["configs"]], "tags": list(tags)}


def _configs(runs: Sequence[ExportedRun]) -> list[dict[str, Any]]:
    """A configuration for each kind of rows of a probe: those of all its models."""
    return [
        {
            "config_name": "-".join(filter(None, (run.name, probe, kind if place else ""))),
            "data_files": [run.file(name) for name in files],
        }
        for run in runs
        for probe in run.made
        for place, (kind, files) in enumerate(run.csvs(probe).items())
        if files
    ]


def _section(folder: Path, runs: Sequence[ExportedRun], repo: str) -> str:
    names = [one["config_name"] for one in _configs(runs)]
    lines = [
        "## What mdlm-probe measured",
        "",
        "Rows of [mdlm-probe](https://pypi.org/project/mdlm-probe): how language models use"
        " context. `datapackage.json` says what every column holds, with type and unit, and"
        " `run.json` with which models, options and versions it was measured.",
        "",
        *_measurements(runs),
        *_headlines(folder),
        "```python",
        "from datasets import load_dataset",
        "",
        f'rows = load_dataset("{repo}", "{names[0]}", split="train")',
        "```",
    ]
    return "\n".join(lines)


def _measurements(runs: Sequence[ExportedRun]) -> list[str]:
    """A table of what was measured."""
    rows = []
    for run in runs:
        for probe, made in run.made.items():
            for entry in run.measurements(probe).values():
                model = str(entry.get("config", {}).get("model", ""))
                many = count(where(made.frame, "model", model))
                said = (probe, model, str(many), str(entry.get("status")))
                rows.append((run.name or "-", *said, provenance.version(entry)))
    table = TextTable(
        ("run", "probe", "model", "rows", "status", "version"),
        tuple(rows),
        (False, False, False, True, False, False),
    )
    return [*markdown.table(CaptionedTable("", {}, table)), ""]


def _headlines(folder: Path) -> list[str]:
    """The leaderboard of the folder; nothing where its probes have none."""
    try:
        made = leaderboard.make([folder])
    except ProbeError:
        return []
    text = leaderboard_files.markdown_text(made)
    return [text.replace(f"## {leaderboard_files.TITLE}", "### Main figures", 1)]
