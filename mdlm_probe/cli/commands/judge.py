"""The command `judge`: which judge the options mean, and its verdicts on a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mdlm_probe.cli.completions import model_names
from mdlm_probe.cli.options import WORKER_OPTIONS, Commas, batch_tokens
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import show_report
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import flag
from mdlm_probe.core.run_folder import probe_of, read_run
from mdlm_probe.models._checkpoint import LoadOptions

if TYPE_CHECKING:
    from mdlm_probe.runs.judges import Choice, Judge, ModelChoice

OWN = {
    "language": (),
    "nll": (),
    "model": ("judge_model", "device", "device_map", "dtype", "batch_tokens"),
    "endpoint": (
        *("endpoint", "judge", "api_key_env", "concurrency", "timeout", "retries"),
        "max_tokens",
    ),
    "human": ("verdicts",),
}
"""Options that mean something to one kind of judge only."""

NEEDED: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(OWN, ()),
    "model": ("judge_model",),
    "endpoint": ("endpoint", "judge"),
}


HELP = """Judges models against each other, or a run's shifted answers against its unshifted ones.

Of several RUNs, written by `mdlm-probe generate` or `shift`, and of several models within one, the
undisturbed answers to the same prompts are compared: win rates, Bradley-Terry strengths, and both
at equal length. One RUN of `shift` is judged by itself: shifted answers against unshifted ones.
Existing verdicts are kept. Texts of the bundled models' language are judged by that language; any
others need --endpoint or --judge-model.

Example: mdlm-probe judge results/base results/tuned --endpoint http://localhost:8000/v1 --judge
NAME
"""

MODELS, INTERVENTIONS = "models", "interventions"

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


def choice_of(
    given: dict[str, Any], folders: Sequence[Path], output: Path | None
) -> Choice | ModelChoice:
    """What parsed options choose to compare.

    Raises:
        ProbeError: options of the other kind of comparison.
    """
    from mdlm_probe.runs import judges

    between = given["between"] or between_of(folders)
    if between == MODELS:
        odd = [name for name in ("intervention", "frac") if given[name]]
    else:
        odd = [n for n, value in (("against", given["against"]), ("output", output)) if value]
        if len(folders) > 1:
            raise ProbeError(
                f"{len(folders)} runs, but --between is {INTERVENTIONS}",
                expected=f"one run, or --between {MODELS}",
                option="between",
            )
    if odd:
        raise ProbeError(
            f"{flag(odd[0])} has no meaning between {between}",
            expected="options of one kind of comparison: --intervention and --frac of"
            f" {INTERVENTIONS}; --against and --output of {MODELS}",
            option=odd[0],
        )
    if between == MODELS:
        return judges.ModelChoice(given["limit"], given["against"] or "")
    return judges.Choice(given["limit"], given["intervention"] or (), given["frac"] or ())


def between_of(folders: Sequence[Path]) -> str:
    """What is compared unless the user says: models, but of one run of a probe interventions."""
    if len(folders) > 1:
        return MODELS
    entries = read_run(folders[0]) if folders[0].is_dir() else {}
    probes = {probe_of(name, entry) for name, entry in entries.items()}
    return MODELS if "generate" in probes and not probes & {*catalog.judged()} else INTERVENTIONS


def judge_of(given: dict[str, Any], folder: Path, fresh: bool) -> Judge:
    """The judge that parsed options mean; without any the bundled models' language.

    Raises:
        ProbeError: options that contradict each other, or one that is missing; none, where the
            folder holds unfinished verdicts by what was the default once.
    """
    from mdlm_probe.runs import judges

    by = kind_of(given)
    if by == "human":
        raise ProbeError(
            "people can't be waited for here",
            expected="mdlm-probe judge RUN --judge-by human, by hand",
            option="judge_by",
        )
    own = {name: given[name] for name in OWN[by] if given.get(name) is not None}
    if by == "endpoint":
        url, name, env = own.pop("endpoint"), own.pop("judge"), own.pop("api_key_env", None)
        access = judges.Access(url, **own, **({"key_env": env} if env else {}))
        return judges.EndpointJudge(name, access, judges.load_prompt())
    if by == "model":
        load = LoadOptions(
            own.get("dtype", "auto"),
            own.get("device", "auto"),
            device_map=own.get("device_map", ""),
        )
        tokens = batch_tokens(own.get("batch_tokens", "auto"))
        return judges.LocalJudge(own["judge_model"], judges.load_prompt(), load, tokens)
    if by == "nll":
        return judges.LikelihoodJudge()
    assumed = given["judge_by"] is None
    if assumed and not fresh:
        _check_begun(folder)
    return judges.LanguageJudge(assumed)


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
            "--fresh draws a new page, and --verdicts are of the old one",
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


def kind_of(given: dict[str, Any]) -> str:
    """Which kind of judge parsed options mean.

    Raises:
        ProbeError: options that contradict each other, or one that is missing.
    """
    named = {name for name, value in given.items() if value not in (None, ())}
    implied = next((k for k in ("endpoint", "model", "human") if named & {*OWN[k]}), "")
    by: str = given["judge_by"] or implied or "language"
    for other, options in OWN.items():
        if other != by and (extra := [name for name in options if name in named]):
            raise ProbeError(
                f"{flag(extra[0])} is for judges by {other}; this one judges by {by}",
                expected=f"options of one kind of judge: {', '.join(map(flag, OWN[by])) or 'none'}",
                hint=f"--judge-by {other}, or leave {flag(extra[0])} away",
                option=extra[0],
            )
    if missing := [name for name in NEEDED[by] if name not in named]:
        raise ProbeError(
            f"a judge by {by} needs {flag(missing[0])}",
            expected=" and ".join(map(flag, NEEDED[by])),
            option=missing[0],
        )
    return by


def _check_begun(folder: Path) -> None:
    """Refuses to leave verdicts by likelihood unfinished, which needed no option once."""
    entry = read_run(folder).get("judge__nll")
    if entry and entry.get("status") != "finished":
        raise ProbeError(
            f"{folder / 'judge__nll.csv'} is unfinished: verdicts by the scorer's likelihood, which"
            " were begun when that was the default",
            expected="a judge: --judge-by nll resumes them",
            hint="--judge-by language judges anew, beside them",
            option="judge_by",
        )


command = click.Command(
    "judge",
    callback=callback,
    params=[*OPTIONS[:-2], *WORKER_OPTIONS, OUTPUT, *OPTIONS[-2:]],
    help=HELP,
    short_help="Judges models, or a run's shifted answers: win rates.",
)
