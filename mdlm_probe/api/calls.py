"""The functions of `import mdlm_probe`: each does what the command of its name does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.api.loaded_run import Run
from mdlm_probe.cli import run_probe
from mdlm_probe.cli.commands import study as study_command
from mdlm_probe.cli.commands import tune as tune_command
from mdlm_probe.cli.study_changes import StudyChanges
from mdlm_probe.cli.typed_values import parsed
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.runs.executors import executor_of

if TYPE_CHECKING:
    import pandas as pd

Model = str | Path | Sequence[str | Path]
"""Registry names, folders or hub ids."""


def run(probe: str, *, model: Model | None = None, **options: Any) -> Run:
    """Measures a probe, as `mdlm-probe PROBE` does; what is finished is not measured again.

    Args:
        probe: its name, as `mdlm-probe probes` lists it.
        model: one model or several; default: the bundled pair.
        options: as on the command line, `-` written `_`: `output`, `limit`,
            `tasks=["verb-smallest"]`, `device`, `workers`, `quiet` and all others of the probe.

    Returns:
        The run in the output folder, by default results/PROBE.

    Raises:
        ProbeError: whatever the user can mend; rows written before stay.
    """
    command = run_probe.probe_command(probe)
    with parsed(command, {"model": model, **options}) as context:
        jobs = run_probe.jobs(probe, context.params)
        with executor_of(context.params["workers"], context.params["ray_address"]) as executor:
            run_probe.measure(jobs, executor, quiet=context.params["quiet"])
    return Run(jobs[0].output)


def load(folder: str | Path) -> Run:
    """Opens the folder of a run, or of a study.

    Raises:
        ProbeError: there is no run.
    """
    return Run(folder)


def study(
    study: str | Path,
    *,
    output: str | Path | None = None,
    only: Sequence[str] = (),
    fresh: bool = False,
    workers: int = 0,
    ray_address: str = "",
    quiet: bool = False,
) -> Run:
    """Runs what is missing of a study, as `mdlm-probe study` does.

    Args:
        study: a shipped one's name, or a path to a YAML file.
        output: its folder; default: results/STUDY.
        only: names of its runs; none: all.
        fresh: forget the rows of these runs.
        workers, ray_address: who works; default: this process.
        quiet: no progress.

    Returns:
        The study's folder: `.runs` has its runs by name.

    Raises:
        ProbeError: a file or folder that can't be used; what failed in runs, after all others.
    """
    folder, found = study_command.execute(
        str(study),
        StudyChanges(),
        output=Path(output) if output else None,
        only=only,
        fresh=fresh,
        workers=workers,
        ray_address=ray_address,
        quiet=quiet,
    )
    failed = [f"{one.part.name} {one.model}: {one.error}" for one in found if one.error]
    if failed:
        raise ProbeError("\n".join([f"{len(failed)} of {len(found)} failed:", *failed]))
    return Run(folder)


def compare(
    run_a: Run | str | Path,
    run_b: Run | str | Path,
    *,
    probe: Sequence[str] = (),
    model: Sequence[tuple[str, str]] = (),
    across: Sequence[str] = (),
    points: str = "main",
) -> pd.DataFrame:
    """Two runs item by item, B minus A, as `mdlm-probe compare` does; nothing is written.

    Args:
        run_a, run_b: runs or studies, or their folders.
        probe: those to compare; none: all.
        model: pairs of models by hand.
        across: settings that may differ, such as "load.quantize".
        points: measures that have a line for every point: "main", "all" or "none".

    Returns:
        The lines of compare.csv.

    Raises:
        ProbeError: nothing to pair, or what isn't the same; the differences are shown.
    """
    from mdlm_probe.reports.compare import compare as comparing

    if points not in ("main", "all", "none"):
        raise ProbeError(f"points is '{points}'", expected="main, all or none", option="points")
    first, second = (one.folder if isinstance(one, Run) else Path(one) for one in (run_a, run_b))
    found, _ = comparing.compare(
        first,
        second,
        probes=list(probe),
        models=list(model),
        across=list(across),
        points=points,  # type: ignore[arg-type]
    )
    return comparing.whole(found)


def tune(objective: str, *, model: str | Path | None = None, **options: Any) -> Path:
    """Trains a remedy, as `mdlm-probe tune OBJECTIVE` does; a stopped one resumes.

    Args:
        objective: its name, as `mdlm-probe tune --help` lists it.
        model: what is trained; default: tiny-mdlm.
        options: as on the command line, `-` written `_`: `data`, `steps`, `output`, `full`, ...

    Returns:
        The folder of the adapter, which `run(..., adapter=FOLDER)` takes; with `full`, of the
        checkpoint. training.csv there has the losses.

    Raises:
        ProbeError: whatever the user can mend; the last checkpoint stays.
    """
    from mdlm_probe.tuning import tune as tuning

    command = tune_command.tune_command(objective)
    with parsed(command, {"model": model, **options}) as context:
        asked = tune_command.tuning_of(objective, context.params)
        with tune_command.Training(context.params["quiet"]) as bar:
            return tuning.run(asked, bar)
