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
    names = [str(option.name) for option in options]

    def callback(**given: Any) -> None:
        jobs = jobs_of(name, names, given)
        with executor_of(given["workers"], given["ray_address"]) as executor:
            measure(jobs, executor, quiet=given["quiet"])

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
        epilog=own_defaults(name, names),
        short_help=catalog.first_line("probe", name),
    )


def own_defaults(probe: str, known: Sequence[str]) -> str:
    """What a help text says of the bundled models' own defaults."""
    given = models.resolve(BUNDLED[0]).defaults_for(probe)
    typed = {n: ",".join(map(str, v)) if isinstance(v, tuple) else v for n, v in given.items()}
    options = " ".join(f"--{name} {value}" for name, value in typed.items() if name in known)
    return f"The bundled models and the oracle have defaults of their own: {options}."


def measure(jobs: Sequence[Job], executor: Executor, quiet: bool) -> None:
    """Runs jobs one after another, then reports on their folder."""
    plans, notes = prepare_all(jobs)
    with Bar(quiet) as bar:
        for note in notes:
            bar.note(note)
        for plan in plans:
            runner.run(plan, bar, executor)
    if shard := jobs[0].shard:
        echo(told(shard, jobs[0].output))
    else:
        show_report(jobs[0].output)


def told(shard: Shard, folder: Path) -> str:
    """What is said in place of a report, which one part of the cells would mislead."""
    return (
        f"shard {shard} is in {folder}; `mdlm-probe merge FOLDER... --output WHOLE` joins all"
        f" {shard.count}"
    )
