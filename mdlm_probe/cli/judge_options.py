"""Which judge the options of `judge` mean, and what it is to compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.cli.options import batch_tokens
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
MODELS, INTERVENTIONS = "models", "interventions"


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
