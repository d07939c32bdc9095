"""Judging a run: pairs to calls, calls to replies on disk, replies to a CSV as planned."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mdlm_probe.core.cells import key
from mdlm_probe.core.csv_text import csv_of
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import write_whole
from mdlm_probe.core.run_folder import RunFolder, differences
from mdlm_probe.core.version import __version__
from mdlm_probe.runs import executors, run_id
from mdlm_probe.runs.executors.contract import Executor
from mdlm_probe.runs.judges import judge_calls, judged_pairs, model_pairs
from mdlm_probe.runs.judges.answer_pairs import Choice
from mdlm_probe.runs.judges.judge_calls import Call, Judge, Verdict
from mdlm_probe.runs.judges.judged_pairs import JudgedPairs
from mdlm_probe.runs.judges.model_pairs import ModelChoice
from mdlm_probe.runs.judges.replies import Replies
from mdlm_probe.runs.plan import Progress, slug
from mdlm_probe.runs.runner import now

CONFLICT = "--fresh forgets the old verdicts and asks anew; the recorded options continue"


@dataclass(frozen=True)
class JudgeOutcome:
    """What came of judging.

    Attributes:
        path: the CSV of verdicts.
        verdicts: how many there should be.
        failed: how many calls failed; the same command asks them anew.
        reason: why the first of them did.
    """

    path: Path
    verdicts: int
    failed: int
    reason: str


def judge(
    folder: Path,
    by: Judge,
    choice: Choice,
    progress: Progress,
    *,
    fresh: bool = False,
    executor: Executor | None = None,
) -> JudgeOutcome:
    """Judges the pairs of a run folder; verdicts that are there already are kept.

    Writes judge__NAME.csv, and beside it the raw replies, judge__NAME.replies.jsonl.

    Args:
        folder: a run of a probe whose answers are judged.
        by: who judges.
        choice: which pairs.
        progress: what a front end shows.
        fresh: forget earlier verdicts of this judge.
        executor: has the engines of a local model; none: this process.

    Raises:
        ProbeError: whatever the user can mend; replies that came before stay.
        KeyboardInterrupt: Ctrl-C; the same call resumes.
    """
    found = judged_pairs.of_run(folder, choice, prompts=by.needs_prompts)
    return judge_pairs(
        folder, name_of(by, choice), found, by, progress, fresh=fresh, executor=executor
    )


def judge_models(
    folders: Sequence[Path],
    by: Judge,
    choice: ModelChoice,
    output: Path,
    progress: Progress,
    *,
    fresh: bool = False,
    executor: Executor | None = None,
) -> JudgeOutcome:
    """Judges models against each other, by their answers to the same prompts.

    Writes judge__models__NAME.csv into `output`, and beside it the raw replies. What has no partner
    is said, and stands in run.json under `unpaired`.

    Args:
        folders: runs of `generate`, and of probes whose undisturbed answers are judged.
        by, progress, fresh, executor: as for `judge`.
        choice: which answers.
        output: the folder of the verdicts, which may be one of `folders`.

    Raises:
        ProbeError, KeyboardInterrupt: as for `judge`.
    """
    found = judged_pairs.of_models(folders, choice, output)
    for note in model_pairs.told_without(found.unpaired):
        progress.note(note)
    return judge_pairs(
        output, name_of(by, choice), found, by, progress, fresh=fresh, executor=executor
    )


def name_of(by: Judge, choice: Choice | ModelChoice) -> str:
    """The name of a judge's verdicts in run.json, and of their file."""
    between = "models__" if isinstance(choice, ModelChoice) else ""
    return f"judge__{between}{slug(by.name)}"


def judge_pairs(
    folder: Path,
    name: str,
    work: JudgedPairs,
    by: Judge,
    progress: Progress,
    *,
    fresh: bool = False,
    executor: Executor | None = None,
) -> JudgeOutcome:
    """Judges pairs into a folder, under a name; verdicts that are there already are kept.

    Else as `judge`.
    """
    by.check(list(dict.fromkeys(pair.text for pair in work.pairs)))
    calls = judge_calls.plan(work.pairs, by.orders)
    config = _config(by, work)
    with RunFolder.locked(folder, name, fresh=fresh) as run:
        path = run.path(name)
        raw = path.with_suffix(".replies.jsonl") if by.keeps_replies else None
        if fresh and raw:
            raw.unlink(missing_ok=True)
        try:
            told: dict[str, Any] = {"compared": list(work.compared), "unpaired": work.unpaired}
            told = {what: one for what, one in told.items() if one}
            known = run.begin(name, {"config": config, **told})
        except ProbeError as error:
            raise ProbeError(error.found, hint=CONFLICT) from None
        if caution := by.caution(work.scorers):
            progress.note(caution)
        if path.exists() and known.get("size") == path.stat().st_size:
            progress.note(f"{path} is finished: nothing to do")
            return JudgeOutcome(path, len(calls), 0, "")
        own = hashlib.blake2b(key(by.config).encode(), digest_size=8).hexdigest()
        stamp = {"judge": by.name, "prompt": config["prompt"], "config": own}
        replies = Replies(raw, stamp)
        try:
            with executors.lent(executor) as lent:
                _ask(calls, by, replies, run, (name, work.columns), progress, lent)
        finally:
            own_run = run.entries[name].get("run", "")
            found = _written(path, calls, replies, by, own_run, work.columns)
        return _end(run, name, found, progress)


def _config(by: Judge, work: JudgedPairs) -> dict[str, Any]:
    """What must be equal for verdicts to belong together."""
    asked = {"version": by.prompt.version, "hash": by.prompt.digest} if by.prompt else None
    options = {n: list(v) if isinstance(v, tuple) else v for n, v in work.options.items()}
    about = {"probe": "judge", "judge": by.name, "prompt": asked, "of": work.digests}
    return about | {"options": options, **by.config}


def _ask(
    calls: Sequence[Call],
    by: Judge,
    replies: Replies,
    run: RunFolder,
    named: tuple[str, Sequence[str]],
    progress: Progress,
    executor: Executor,
) -> None:
    """Asks what isn't settled; every reply is kept as soon as it comes."""
    name, columns = named
    waiting = [call for call in calls if not replies.settled(call)]
    known = run.entries[name]
    workers = by.open(progress.note, executor) if waiting else ()
    session: dict[str, Any] = {"started": now(), "version": __version__}
    if workers:
        session["workers"] = list(workers)
    old = {fact: value for fact, value in known.get("facts", {}).items() if fact in by.facts}
    if found := differences(old, {fact: by.facts[fact] for fact in old}):
        raise ProbeError(
            f"judge '{by.name}' is not as it was when this run began:\n"
            + "\n".join(f"  {line}" for line in found),
            hint="--fresh starts over",
        )
    facts = by.facts or known.get("facts", {})
    told = {fact: facts[fact] for fact in run_id.FACTS if fact in facts}
    run.update(
        name,
        status="started",
        cells=len(calls),
        facts=facts,
        run=run_id.digest(known["config"], told),
        sessions=[*known.get("sessions", []), session],
    )
    asked = [call for call in calls if not call.pair.identical]
    if identical := len(calls) - len(asked):
        progress.note(f"pairs of equal texts are ties, which nobody is asked: {identical}")
    progress.start(by.name, len(asked), len(asked) - len(waiting))
    if not waiting:
        return
    with closing(by.ask(waiting)) as replied:  # an error that is kept would keep it open
        for call, reply in replied:
            if not run.path(name).exists():  # a configuration binds others once it has replies
                _write(run.path(name), [], columns)
            replies.add(call, reply)
            verdict = judge_calls.verdict_of(call, reply, by)
            progress.advance(1, (verdict.prompt_tokens or 0) + (verdict.completion_tokens or 0))


def _written(
    path: Path,
    calls: Sequence[Call],
    replies: Replies,
    by: Judge,
    run: str,
    columns: Sequence[str],
) -> list[Verdict]:
    """The verdicts of all calls; those that came are written down, failed ones among them."""
    found = [judge_calls.verdict_of(call, replies.get(call), by) for call in calls]
    rows = [
        judge_calls.row(by.name, call, verdict, run)
        for call, verdict in zip(calls, found, strict=True)
        if call.pair.identical or replies.get(call) is not None
    ]
    if path.exists() or all(map(replies.settled, calls)):
        _write(path, rows, columns)
    return found


def _write(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    write_whole(path, csv_of(rows, columns))


def _end(run: RunFolder, name: str, found: Sequence[Verdict], progress: Progress) -> JudgeOutcome:
    """Says what it cost, and marks the run as finished if nothing failed."""
    path = run.path(name)
    spent = {
        kind: sum(getattr(verdict, kind) or 0 for verdict in found)
        for kind in ("prompt_tokens", "completion_tokens")
    }
    if any(spent.values()):
        progress.note(
            f"{spent['prompt_tokens']} prompt tokens and {spent['completion_tokens']} completion"
            f" tokens for {len(found)} verdicts"
        )
    failed = [verdict for verdict in found if verdict.verdict == "failed"]
    done = {} if failed else {"status": "finished", "size": path.stat().st_size}
    run.update(name, usage=spent, ended=now(), **done)
    return JudgeOutcome(path, len(found), len(failed), failed[0].reason if failed else "")
