"""A study's YAML into runs: its options are those of the command line, parsed by the same code."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
import yaml

from mdlm_probe.cli import judge_options
from mdlm_probe.cli.commands import judge as judge_command
from mdlm_probe.cli.commands import tune as tune_command
from mdlm_probe.cli.options import MODEL_OPTIONS, jobs_of, plan_options
from mdlm_probe.cli.study_changes import StudyChanges
from mdlm_probe.cli.typed_values import typed
from mdlm_probe.core import catalog
from mdlm_probe.core.catalog import JUDGE, TUNE
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document
from mdlm_probe.prompts import shipped
from mdlm_probe.runs import judges, plan
from mdlm_probe.runs.study_plan import Study, StudyRun, Verdicts

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
Given = dict[str, tuple[Any, tuple[str, ...]]]
"""Values by an option's name, with the field that each stands in."""


class StudyFile(Document):
    """A study's YAML file; a name that stands twice is an error, however it is written."""

    def _build(self, node: yaml.Node | None, at: tuple[Any, ...]) -> Any:
        if node is None:
            raise ProbeError(
                f"{self.path} is empty",
                expected="runs, by name: what a study asks",
                hint="`mdlm-probe study --help` names those that ship; docs/studies.md shows one",
            )
        return super()._build(node, at)

    def spelt(self, name: str) -> str:
        """Options may be written with - or _."""
        return name.replace("-", "_")


def load(
    name: str,
    output: Path | None = None,
    fresh: bool = False,
    changes: StudyChanges | None = None,
) -> tuple[Study, dict[str, list[str]]]:
    """A study from a shipped name or a path, all its runs prepared; and who is left out, by run.

    Args:
        name: of a study in tasks/, or a path to a YAML.
        output: the study's folder; default: results/NAME.
        fresh: whether its runs are to forget what is there.
        changes: what is to be different from the file.

    Raises:
        ProbeError: whatever is wrong, naming file, line and field.
    """
    path = shipped.path_of(name, "study", shipped.studies())
    doc = StudyFile(path)
    folder = output or folder_of(path)
    if doc.data.get("runs", ...) in (None, {}):
        raise doc.error(("runs",), "is empty", "one run or more, by name")
    names = list(doc.get(("runs",), dict))
    probes = {run: _probe(doc, run) for run in names}
    if changes:
        changes.apply(doc.data, probes, partial(_known, doc))
    shared = _given(doc, (), [name for name in doc.data if name != "runs"])
    judged = {run: _judged(doc, run, probes) for run in names if probes[run] == JUDGE}
    measured = [probe for probe in probes.values() if probe not in (TUNE, JUDGE)]
    known = {option.name for probe in measured for option in _options(probe)}
    for option, (_, at) in shared.items():
        if option not in known:
            raise _unknown(doc, at, sorted(map(str, known)))
    parts, notes = [], {}
    for run, probe in probes.items():
        if probe == JUDGE:
            parts.append(_verdicts(doc, run, judged[run], folder, fresh))
            continue
        if probe == TUNE:
            parts.append(_tuning(doc, run, folder, fresh))
            continue
        tuned = {name: folder / name for name, other in probes.items() if other == TUNE}
        part, left_out = _measurement(doc, run, probe, shared, folder, fresh, tuned)
        parts.append(part)
        notes[run] = [f"{run}: {note}" for note in left_out]
    _check_judges(doc, parts)
    source = path.read_text(encoding="utf-8")
    if changes and (told := changes.told()):
        source = f"{source.rstrip()}\n{told}\n"
    return Study(path.stem, source, tuple(parts)), notes


def folder_of(path: Path) -> Path:
    """Where a study's runs go unless --output says."""
    return Path("results") / path.stem


def _probe(doc: StudyFile, run: str) -> str:
    at = ("runs", run)
    if not NAME.fullmatch(run):
        raise doc.error(at, "can't name a folder", "letters, digits, - and _")
    if doc.data["runs"][run] is None:  # a run may have no options of its own
        doc.data["runs"][run] = {}
    if TUNE in doc.get(at, dict):
        objective, known = doc.get((*at, TUNE), str), catalog.names("objective")
        if objective not in known:
            error = catalog.unknown("objective", objective, known)
            raise doc.error((*at, TUNE), error.found, error.expected, error.hint)
        return TUNE
    probe = doc.get((*at, "probe"), str, run)
    known = [*catalog.names("probe"), JUDGE]
    if probe not in known:
        error = catalog.unknown("probe", probe, known)
        where = (*at, "probe") if "probe" in doc.data["runs"][run] else at
        hint = error.hint or "probe: NAME says it, where the run's own name doesn't"
        raise doc.error(where, error.found, error.expected, hint)
    return probe


def _options(probe: str, objective: str = "") -> list[click.Option]:
    """The options that a run of a probe, of a judge or of a tuning may have."""
    if probe == TUNE:
        own = {option.name for option in tune_command.RUN}
        return [o for o in tune_command.options(objective) if o.name not in own]
    if probe == JUDGE:
        left = ("fresh", "quiet")
        given = judge_command.OPTIONS
        return [o for o in given if isinstance(o, click.Option) and o.name not in left]
    return [*MODEL_OPTIONS, *plan_options(catalog.load("probe", probe).plan)]


def _given(doc: StudyFile, at: tuple[str, ...], names: Sequence[str]) -> Given:
    own = doc.get(at, dict)
    found = {str(name).replace("-", "_"): (own[name], (*at, name)) for name in names}
    if "model" in found:
        value, where = found["model"]
        found["model"] = _named(doc, value, where), where
    return found


def _named(doc: StudyFile, value: Any, at: tuple[str, ...]) -> Any:
    """Models, of which each may be `{name: NAME, path: PATH}`: NAME=PATH."""
    if isinstance(value, list):
        return [_named(doc, one, (*at, str(place))) for place, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if set(value) != {"name", "path"} or not all(isinstance(v, str) for v in value.values()):
        raise doc.error(at, f"found {value!r}", "{name: NAME, path: PATH}")
    return f"{value['name']}={value['path']}"


def _own(doc: StudyFile, run: str, others: Sequence[str]) -> Given:
    """A run's own options, all of them known to its command."""
    at = ("runs", run)
    own = _given(doc, at, [name for name in doc.get(at, dict) if name not in others])
    known = _known(doc, run)
    for option, (_, where) in own.items():
        if option not in known:
            raise _unknown(doc, where, known)
    return own


def _known(doc: StudyFile, run: str) -> list[str]:
    """The options that a run may have."""
    objective = doc.get(("runs", run, TUNE), str, "")
    return [str(option.name) for option in _options(_probe(doc, run), objective)]


def _unknown(doc: StudyFile, at: tuple[str, ...], known: Sequence[str]) -> ProbeError:
    shown = [name.replace("_", "-") for name in known]
    near = difflib.get_close_matches(at[-1].replace("_", "-"), shown, n=1)
    hint = f"did you mean '{near[0]}'?" if near else ""
    return doc.error(at, "unknown option", "one of " + ", ".join(shown), hint)


def _measurement(
    doc: StudyFile,
    run: str,
    probe: str,
    shared: Given,
    folder: Path,
    fresh: bool,
    tuned: dict[str, Path],
) -> tuple[StudyRun, list[str]]:
    """A probe's run, and why some of the models are left out of it.

    An adapter may be named by the run that trains it.
    """
    options = _options(probe)
    names = [str(option.name) for option in options]
    given = {n: v for n, v in shared.items() if n in names} | _own(doc, run, ("probe",))
    values = _parsed(doc, probe, options, given)
    if values["adapter"] in tuned:
        values["adapter"] = str(tuned[values["adapter"]])
    plan_names = names[len(MODEL_OPTIONS) :]
    try:
        jobs = jobs_of(probe, plan_names, values | {"output": folder / run, "fresh": fresh})
        plans, notes = plan.prepare_all(jobs)
    except ProbeError as error:
        raise _placed(doc, run, given, error) from None
    return StudyRun(run, probe, tuple(plans)), notes


def _tuning(doc: StudyFile, run: str, folder: Path, fresh: bool) -> StudyRun:
    """A tuning's run. Its options are all its own, as a judge's are."""
    objective, given = doc.get(("runs", run, TUNE), str), _own(doc, run, (TUNE,))
    values = _parsed(doc, objective, _options(TUNE, objective), given)
    values |= {"output": folder / run, "fresh": fresh}
    asked = tune_command.tuning_of(objective, values)
    from mdlm_probe.tuning.choice import chosen  # with numpy, which a help text does without

    try:
        chosen(asked)
    except ProbeError as error:
        raise _placed(doc, run, given, error) from None
    return StudyRun(run, TUNE, tuning=asked)


def _judged(doc: StudyFile, run: str, probes: dict[str, str]) -> str:
    """The run that a judge's run is about."""
    of = doc.get(("runs", run, "run"), str)
    judged = catalog.judged()
    if probes.get(of) not in judged:
        known = ", ".join(n for n, probe in probes.items() if probe in judged) or "none is listed"
        raise doc.error(
            ("runs", run, "run"),
            f"'{of}' is no run of `{'` or `'.join(judged)}`",
            f"such a run's name: {known}",
        )
    return of


def _verdicts(doc: StudyFile, run: str, of: str, folder: Path, fresh: bool) -> StudyRun:
    """A judge's run. Its options are all its own: the study's are about the models asked."""
    given = _own(doc, run, ("probe", "run"))
    values = _parsed(doc, JUDGE, judge_command.OPTIONS, given, str(folder / of))
    try:
        by = judge_options.judge_of(values, folder / of, fresh)
        choice = judge_options.choice_of(values, [folder / of], None)
    except ProbeError as error:
        raise _placed(doc, run, given, error) from None
    return StudyRun(run, JUDGE, verdicts=Verdicts(of, by, choice))


def _check_judges(doc: StudyFile, parts: Sequence[StudyRun]) -> None:
    """Refuses judges of prompts that they can't judge, before anything is measured."""
    plans = {part.name: part.plans for part in parts}
    for part in parts:
        if part.verdicts is None:
            continue
        for one in plans[part.verdicts.run]:
            known = judges.asked_texts(one.options["prompts"], one.options["lexicon"])
            asked = [known[prompt] for prompt in one.cells.counted("prompt")]
            try:
                part.verdicts.by.check(asked)
            except ProbeError as error:
                raise _placed(doc, part.name, {}, error) from None


def _parsed(
    doc: StudyFile, command: str, params: Sequence[click.Parameter], given: Given, *arguments: str
) -> dict[str, Any]:
    """Values as the command line would have them, by the options that parse it."""
    types = {str(param.name): param for param in params}
    typed = []
    for name, (value, at) in given.items():
        typed += [
            f"--{name.replace('_', '-')}={text}" for text in _typed(doc, types[name], value, at)
        ]
    try:
        made = click.Command(command, params=list(params))
        return made.make_context(command, [*typed, *arguments]).params
    except click.UsageError as error:
        param = getattr(error, "param", None)
        at = given[param.name][1] if param is not None and param.name in given else ("runs",)
        raise doc.error(
            at, error.message, "a value as on the command line", f"see mdlm-probe {command} --help"
        ) from None


def _typed(doc: StudyFile, param: click.Parameter, value: Any, at: tuple[str, ...]) -> list[str]:
    """A value as a person would type it: once, or as often as an option is repeated."""
    try:
        return typed(param, value)
    except ValueError as error:
        raise doc.error(at, f"found {value!r}", str(error)) from None


def _placed(doc: StudyFile, run: str, given: Given, error: ProbeError) -> ProbeError:
    """An error with the line of the option or the model that it speaks of, or else of the run."""
    places = [given[name][1] for name in error.options if name in given]
    at = next(iter([*places, *_models_named(given, error.found)]), ("runs", run))
    return doc.error(at, error.found, error.expected, error.hint)


def _models_named(given: Given, text: str) -> list[tuple[Any, ...]]:
    """Where the models stand that a text names: in quotes, or as the path or hub id they are."""
    value, at = given.get("model", ((), ()))
    listed = (
        [((*at, i), str(name)) for i, name in enumerate(value)] if isinstance(value, list) else []
    )
    named = listed or ([(at, str(value))] if value else [])
    return [
        where
        for where, name in named
        if f"'{name}'" in text or ("/" in name and name.removeprefix("./") in text)
    ]
