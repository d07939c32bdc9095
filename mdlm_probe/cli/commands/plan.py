"""The command `plan`: what a probe or a study would run and cost, without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mdlm_probe.cli import tuning_plan
from mdlm_probe.cli.commands import study
from mdlm_probe.cli.cost_table import show_plans
from mdlm_probe.cli.groups import ProbeGroup
from mdlm_probe.cli.options import (
    MODEL_OPTIONS,
    RUN_OPTIONS,
    WORKER_OPTIONS,
    jobs_of,
    plan_options,
    trust_options,
)
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.study_changes import StudyChanges
from mdlm_probe.core import catalog
from mdlm_probe.prompts import shipped
from mdlm_probe.runs import cost
from mdlm_probe.runs.plan import prepare_all

if TYPE_CHECKING:
    from mdlm_probe.runs.study_plan import StudyRun

GPU = click.Option(
    ["--gpu"],
    type=click.Choice(list(cost.CARDS)),
    help="Plan for this GPU, by its published speed; default: for this machine.",
)


def plan_probe(name: str) -> click.Command:
    """The command that says what a probe would cost."""
    probe = catalog.load("probe", name)
    options = plan_options(probe.plan)

    def callback(gpu: str | None, **given: Any) -> None:
        jobs = jobs_of(name, [str(o.name) for o in options], given)
        plans, notes = prepare_all(jobs)
        show_plans([("", plan) for plan in plans], notes, gpu or "")

    return click.Command(
        name,
        callback=callback,
        # --output and its like change nothing here: any command can be planned as it stands
        params=[
            *MODEL_OPTIONS[:1],
            *options,
            *trust_options(options),
            *MODEL_OPTIONS[1:],
            GPU,
            *WORKER_OPTIONS,
            *RUN_OPTIONS,
        ],
        help=f"What `{name}` would run: cells, forwards, tokens, operations, memory, time.\n\n"
        f"Example: mdlm-probe plan {name} --model llada-8b-instruct --limit 5",
        short_help=catalog.first_line("probe", name),
    )


FILES = ("study", "list_", "show", "copy")
"""What a study is, and what is done with its file: nothing to plan."""


def studies() -> list[str]:
    """Names of the studies that ship with the tool."""
    return shipped.studies()


def plan_study(name: str) -> click.Command | None:
    """The command that says what a study would cost; None if the name can't be a study's."""
    if not name.endswith((".yaml", ".yml")) and name not in studies():
        return None

    def callback(
        gpu: str | None,
        only: tuple[str, ...] | None,
        model: tuple[str, ...],
        set_: tuple[str, ...],
        **unused: Any,
    ) -> None:
        from mdlm_probe.cli import study_file

        loaded, left_out = study_file.load(name, changes=StudyChanges(model, set_))
        chosen = study.select(loaded, only or ())
        notes = [note for part in chosen for note in left_out.get(part.name, [])]
        notes += [note for part in chosen if (note := _judging(part) or _training(part, gpu))]
        named = [(part.name, plan) for part in chosen for plan in part.plans]
        if named:
            show_plans(named, notes, gpu or "", loaded.adapters)
        else:
            echo("\n".join(notes))

    return click.Command(
        name,
        callback=callback,
        # as above: any `study` command can be planned as it stands
        params=[option for option in study.OPTIONS if option.name not in FILES] + [GPU],
        help=f"What the study {name} would run: cells, forwards, tokens, operations, memory, time."
        "\n\nExample: mdlm-probe plan smoke",
        short_help="What a study would run and cost.",
    )


def _judging(part: StudyRun) -> str:
    """What a judge's run costs; nothing to say of others."""
    if part.verdicts is None:
        return ""
    if not part.verdicts.by.keeps_replies:
        return f"{part.name}: computed from the answers of {part.verdicts.run}: no passes"
    return f"{part.name}: what {part.verdicts.by.name} reads of {part.verdicts.run} comes on top"


def _training(part: StudyRun, gpu: str | None) -> str:
    """What a tuning's run costs; nothing to say of others."""
    if part.tuning is None:
        return ""
    return f"{part.name}: {tuning_plan.told(part.tuning, gpu)}"


@click.group(
    name="plan",
    cls=ProbeGroup,
    make=plan_probe,
    other=plan_study,
    others=studies,
    subcommand_metavar="PROBE|STUDY ...",
    short_help="What a probe or a study would run and cost; loads no weights.",
)
def command() -> None:
    """What a probe, or a study's YAML file, would run and cost; loads no weights.

    It takes the options of the command itself, so that any command can be planned as it is.

    Example: mdlm-probe plan locality --model llada-8b
    """


command.add_command(tuning_plan.group(GPU))
