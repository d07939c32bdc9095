"""The command `judge`: which judge the options mean, and its verdicts on a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdlm_probe.cli.completions import model_names
from mdlm_probe.cli.judge_options import INTERVENTIONS, MODELS, OWN, choice_of, judge_of, kind_of
from mdlm_probe.cli.options import WORKER_OPTIONS, Commas
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import show_report
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import flag

if TYPE_CHECKING:
    from mdlm_probe.runs.judges import Choice, ModelChoice

HELP = """Judges models against each other, or a run's shifted answers against its unshifted ones.

Of several RUNs, written by `mdlm-probe generate` or `shift`, and of several models within one, the
undisturbed answers to the same prompts are compared: win rates, Bradley-Terry strengths, and both
at equal length. One RUN of `shift` is judged by itself: shifted answers against unshifted ones.
Existing verdicts are kept. Texts of the bundled models' language are judged by that language; any
others need --endpoint or --judge-model.

Example: mdlm-probe judge results/base results/tuned --endpoint http://localhost:8000/v1 --judge
NAME
"""

OPTIONS = [
    click.Argument(
        ["folders"],
        metavar="RUN...",
        nargs=-1,
        required=True,
        type=click.Path(path_type=Path),
    ),
    click.Option(
        ["--between"],
        type=click.Choice([MODELS, INTERVENTIONS]),
        help="What is compared: models, or a run's interventions and none. Default: interventions"
        " of a single run of shift; else models.",
    ),
    click.Option(
        ["--against"],
        help="Of models: the one that all others are compared with; default: each with each.",
    ),
    click.Option(
        ["--judge-by"],
        type=click.Choice(list(OWN)),
        help="Who judges: the bundled models' language, whose texts need no model; a local model or"
        " a chat endpoint, in both orders; the scorer's likelihood (nll), which repetitive texts"
        " win; or people (human), for whom a page is written. Default: what the other options"
        " imply, or language.",
    ),
    click.Option(
        ["--verdicts"],
        multiple=True,
        type=click.Path(path_type=Path),
        help="Of people: a file that the page made; may be given several times, once per person.",
    ),
    click.Option(["--endpoint"], help="URL of an OpenAI-compatible server, up to /v1."),
    click.Option(["--judge"], help="Name of the judge at the endpoint."),
    click.Option(
        ["--judge-model"],
        shell_complete=model_names,
        help="Registry name, folder or hub id of a local judge.",
    ),
    click.Option(
        ["--api-key-env"], help="Environment variable with the key; default: OPENAI_API_KEY."
    ),
    click.Option(
        ["--concurrency"], type=click.IntRange(1, 256), help="Calls in flight; default: 8."
    ),
    click.Option(
        ["--timeout"],
        type=click.FloatRange(0, min_open=True),
        help="Seconds a call may take; default: 60.",
    ),
    click.Option(["--retries"], type=click.IntRange(0, 100), help="Retries per call; default: 5."),
    click.Option(
        ["--max-tokens"], type=click.IntRange(1), help="Most tokens of a reply; default: 1024."
    ),
    click.Option(["--limit"], type=click.IntRange(1), help="Prompts per task; default: all."),
    click.Option(
        ["--intervention"], type=Commas(click.STRING), help="Interventions to judge; default: all."
    ),
    click.Option(["--frac"], type=Commas(click.FLOAT), help="Fractions to judge; default: all."),
    click.Option(
        ["--batch-tokens"], help="Of a local judge: tokens per batch, padding included, or auto."
    ),
    click.Option(["--device"], help="Of a local judge: auto, cpu, cuda, cuda:1, mps."),
    click.Option(
        ["--device-map"],
        type=click.Choice(["auto"]),
        help="Of a local judge: auto spreads one that is larger than a card over several.",
    ),
    click.Option(
        ["--dtype"],
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        help="Of a local judge: number format of the weights; default: auto.",
    ),
    click.Option(
        ["--fresh"], is_flag=True, help="Forget the verdicts of this judge, and start over."
    ),
    click.Option(["--quiet", "-q"], is_flag=True, help="No progress; results only."),
]
OUTPUT = click.Option(
    ["--output", "-o"],
    type=click.Path(path_type=Path),
    help="Folder of verdicts between models; default: RUN, or results/judge of several.",
)
DEFAULT = Path("results") / "judge"


class Judging(Bar):
    """Progress of verdicts."""

    unit = "verdicts"


def callback(
    folders: tuple[Path, ...],
    output: Path | None,
    fresh: bool,
    quiet: bool,
    workers: int,
    ray_address: str,
    **given: Any,
) -> None:
    """Judges, reports, and then says what failed.

    Raises:
        ProbeError: whatever the user can mend; verdicts that failed, after the report.
    """
    from mdlm_probe.runs import judges
    from mdlm_probe.runs.executors import executor_of

    choice = choice_of(given, folders, output)
    target = output or (folders[0] if len(folders) == 1 else DEFAULT)
    given["verdicts"] = given["verdicts"] or None
    if kind_of(given) == "human":
        _people(folders, target, choice, given["verdicts"] or (), fresh, quiet)
        return
    by = judge_of(given, target, fresh)
    asked = {"workers": workers, "ray_address": ray_address}
    named = [name for name, value in asked.items() if value]
    if named and not isinstance(by, judges.LocalJudge):
        raise ProbeError(
            f"{flag(named[0])} is for a local judge; this one is {by.name}",
            expected="--judge-model MODEL",
            option=named[0],
        )
    with Judging(quiet) as bar, executor_of(workers, ray_address) as executor:
        if isinstance(choice, judges.ModelChoice):
            done = judges.judge_models(
                folders, by, choice, target, bar, fresh=fresh, executor=executor
            )
        else:
            done = judges.judge(target, by, choice, bar, fresh=fresh, executor=executor)
    show_report(target)
    if done.failed:
        raise ProbeError(
            f"{done.failed} of {done.verdicts} verdicts failed; the first: {done.reason}",
            hint="the same command, without --fresh, asks these anew; all others are kept",
        )


def _people(
    folders: Sequence[Path],
    target: Path,
    choice: Choice | ModelChoice,
    verdicts: Sequence[Path],
    fresh: bool,
    quiet: bool,
) -> None:
    """Writes the page for people; or reads what they made of it, and reports.

    Raises:
        ProbeError: files of verdicts that can't be used; pairs that somebody didn't judge, after
            the report.
    """
    from mdlm_probe.runs.judges import people

    if not verdicts:
        page, key = people.write_page(folders, target, choice, fresh=fresh)
        echo(f"wrote {page}")
        echo(f"wrote {key}: keep it; who has the page alone can't tell whose answers they see")
        echo("Everyone judges on the page in a browser, and sends back the file it makes; then the")
        echo("same command with --verdicts FILE, once for each file, has the results.")
        return
    if fresh:
        raise ProbeError(
            "--fresh draws a new page, and these verdicts are of the old one",
            expected="one of the two",
            option="fresh",
        )
    with Judging(quiet) as bar:
        left = people.read_verdicts(folders, target, choice, verdicts, bar)
    show_report(target)
    if left:
        raise ProbeError(
            "; ".join(left),
            hint="the same command with whole files; nobody's missing verdicts are guessed",
        )


command = click.Command(
    "judge",
    callback=callback,
    params=[*OPTIONS[:-2], *WORKER_OPTIONS, OUTPUT, *OPTIONS[-2:]],
    help=HELP,
    short_help="Judges models, or a run's shifted answers: win rates.",
)
