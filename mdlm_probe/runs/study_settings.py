"""Whether the rows in a study's folder were measured with the settings that it has now."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RUN, differences, read_run
from mdlm_probe.models._slack import FILE as ADAPTED
from mdlm_probe.models._slack import read
from mdlm_probe.runs.judges import name_of
from mdlm_probe.runs.plan import Plan
from mdlm_probe.runs.study_plan import StudyRun, Verdicts
from mdlm_probe.tuning.request import Tuning


def check_settings(folder: Path, parts: Sequence[StudyRun], fresh: bool = False) -> None:
    """Refuses to resume with other settings than the rows in the run folders were measured with.

    Raises:
        ProbeError: every setting that differs, old and new, with its run, models and file.
    """
    found: dict[tuple[str, str, str], list[str]] = {}
    for part in parts:
        changed = [
            (plan.entry.name, plan.job.output / RUN, line)
            for plan in part.plans
            for line in _changed(plan)
        ]
        if part.verdicts and not fresh:
            at = folder / part.verdicts.run
            lines = _changed_judge(part.verdicts, at)
            changed += [(part.models[0], at / RUN, line) for line in lines]
        if part.tuning:
            at = part.tuning.output / ADAPTED
            changed += [(part.tuning.model, at, line) for line in _changed_tuning(part.tuning)]
        for model, place, line in changed:
            found.setdefault((part.name, str(place), line), []).append(model)
    if found:
        runs = ",".join(dict.fromkeys(run for run, _, _ in found))
        lines = [
            f"  {run} ({file}; {', '.join(models)}): {line}"
            for (run, file, line), models in found.items()
        ]
        raise ProbeError(
            f"{folder} holds rows that were measured with other settings:\n" + "\n".join(lines),
            expected="the settings before the arrows, with which the same study resumes",
            hint=f"--output DIR keeps both; --only {runs} --fresh forgets the rows of these runs",
        )


def _changed(plan: Plan) -> list[str]:
    """Settings of a plan that are not those of its rows; what has no rows, or is to be forgotten,
    binds nobody.
    """
    known = {} if plan.job.fresh else _recorded(plan.job.output, plan.name)
    return differences(known, plan.config) if known else []


def _changed_tuning(asked: Tuning) -> list[str]:
    """The same of a tuning; its data are read for that."""
    known = {} if asked.fresh else read(asked.output).get("config", {})
    if not known:
        return []
    from mdlm_probe.tuning import tune  # with the trainer, which others don't wait for

    with suppress(ProbeError):  # data that can't be read are the tuning's own failure
        return differences(known, tune.prepare(asked).config)
    return []


def _changed_judge(asked: Verdicts, folder: Path) -> list[str]:
    """The same of a judge, except what is judged, which may not be measured yet."""
    options = {n: list(v) if isinstance(v, tuple) else v for n, v in asdict(asked.choice).items()}
    known = _recorded(folder, name_of(asked.by, asked.choice))
    new = {"options": options, **asked.by.config} if known else {}
    return differences({name: known.get(name) for name in new}, new)


def _recorded(folder: Path, name: str) -> dict[str, Any]:
    """The settings that a measurement's rows were measured with; empty where there are none."""
    if (folder / f"{name}.csv").exists():
        with suppress(ProbeError):  # a damaged run.json is its run's own failure
            config: dict[str, Any] = read_run(folder).get(name, {}).get("config", {})
            return config
    return {}
