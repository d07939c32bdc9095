"""The command that runs a probe, made from the probe's plan, and the run itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mdlm_probe import models
from mdlm_probe.cli.options import (
    BUNDLED,
    MODEL_OPTIONS,
    RUN_OPTIONS,
    SHARD,
    WORKER_OPTIONS,
    jobs_of,
    plan_options,
    trust_options,
)
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import show_report
from mdlm_probe.core import catalog
from mdlm_probe.runs import runner
from mdlm_probe.runs.executors import Executor, executor_of
from mdlm_probe.runs.plan import Job, prepare_all
from mdlm_probe.runs.shards import Shard


def probe_command(name: str) -> click.Command:
    """The command that runs a probe."""
    probe = catalog.load("probe", name)
    options = plan_options(probe.plan)

    def callback(**given: Any) -> None:
        asked = jobs(name, given)
        with executor_of(given["workers"], given["ray_address"]) as executor:
            measure(asked, executor, quiet=given["quiet"])
        show(asked[0])

    return click.Command(
        name,
        callback=callback,
        params=[
            *MODEL_OPTIONS[:1],
            *options,
            *trust_options(options),
            *MODEL_OPTIONS[1:],
            *WORKER_OPTIONS,
            SHARD,
            *RUN_OPTIONS,
        ],
        help=f"{probe.__doc__}\n\nExample: mdlm-probe {name} --model tiny-mdlm --limit 5",
        epilog=own_defaults(name, [str(option.name) for option in options]),
        short_help=catalog.first_line("probe", name),
    )


def own_defaults(probe: str, known: Sequence[str]) -> str:
    """What a help text says of the bundled models' own defaults."""
    given = models.resolve(BUNDLED[0]).defaults_for(probe)
    typed = {n: ",".join(map(str, v)) if isinstance(v, tuple) else v for n, v in given.items()}
    options = " ".join(f"--{name} {value}" for name, value in typed.items() if name in known)
    return f"The bundled models and the oracle have defaults of their own: {options}."


def jobs(probe: str, given: dict[str, Any]) -> list[Job]:
    """What the parsed options of a probe's command ask for."""
    names = [str(option.name) for option in plan_options(catalog.load("probe", probe).plan)]
    return jobs_of(probe, names, given)


def measure(jobs: Sequence[Job], executor: Executor, quiet: bool) -> None:
    """Runs jobs one after another."""
    plans, notes = prepare_all(jobs)
    with Bar(quiet) as bar:
        for note in notes:
            bar.note(note)
        for plan in plans:
            runner.run(plan, bar, executor)


def show(job: Job) -> None:
    """Reports on the folder of jobs, all of whose rows are there."""
    if job.shard:
        echo(told(job.shard, job.output))
    else:
        show_report(job.output)


def told(shard: Shard, folder: Path) -> str:
    """What is said in place of a report, which one part of the cells would mislead."""
    return (
        f"shard {shard} is in {folder}; `mdlm-probe merge FOLDER... --output WHOLE` joins all"
        f" {shard.count}"
    )
