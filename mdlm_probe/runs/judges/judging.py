"""Judging a run: pairs to calls, calls to replies on disk, replies to a CSV as planned."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
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
from mdlm_probe.runs.judges import answer_pairs, judge_calls
from mdlm_probe.runs.judges.answer_pairs import Choice
from mdlm_probe.runs.judges.columns import NAMES
from mdlm_probe.runs.judges.judge_calls import Call, Judge, Verdict
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
    pairs, digests = answer_pairs.load(folder, choice, prompts=by.needs_prompts)
    by.check(list(dict.fromkeys(pair.text for pair in pairs)))
    calls = judge_calls.plan(pairs, by.orders)
    name = f"judge__{slug(by.name)}"
    config = _config(by, choice, digests)
    with RunFolder.locked(folder, name, fresh=fresh) as run:
        path = run.path(name)
        raw = path.with_suffix(".replies.jsonl") if by.keeps_replies else None
        if fresh and raw:
            raw.unlink(missing_ok=True)
        try:
            known = run.begin(name, {"config": config})
        except ProbeError as error:
            raise ProbeError(error.found, hint=CONFLICT) from None
        if caution := by.caution(_scorers(run, digests)):
            progress.note(caution)
        if path.exists() and known.get("size") == path.stat().st_size:
            progress.note(f"{path} is finished: nothing to do")
            return JudgeOutcome(path, len(calls), 0, "")
        own = hashlib.blake2b(key(by.config).encode(), digest_size=8).hexdigest()
        stamp = {"judge": by.name, "prompt": config["prompt"], "config": own}
        replies = Replies(raw, stamp)
        try:
            with executors.lent(executor) as lent:
                _ask(calls, by, replies, run, name, progress, lent)
        finally:
            found = _written(path, calls, replies, by, run.entries[name].get("run", ""))
        return _end(run, name, found, progress)


def _scorers(run: RunFolder, judged: Iterable[str]) -> dict[str, str]:
    """The scorers of the models that wrote what is judged; "" for none."""
    entries = [run.entries[name] for name in judged]
    return {e["config"]["model"]: e.get("scorer", {}).get("name", "") for e in entries}


def _config(by: Judge, choice: Choice, digests: dict[str, str]) -> dict[str, Any]:
    """What must be equal for verdicts to belong together."""
    asked = {"version": by.prompt.version, "hash": by.prompt.digest} if by.prompt else None
    options = asdict(choice)
    return {"probe": "judge", "judge": by.name, "prompt": asked, "of": digests} | {
        "options": {name: list(v) if isinstance(v, tuple) else v for name, v in options.items()},
        **by.config,
    }


def _ask(
    calls: Sequence[Call],
    by: Judge,
    replies: Replies,
    run: RunFolder,
    name: str,
    progress: Progress,
    executor: Executor,
) -> None:
    """Asks what isn't settled; every reply is kept as soon as it comes."""
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
    for call, reply in by.ask(waiting) if waiting else ():
        if not run.path(name).exists():  # a configuration binds others once it has replies
            _write(run.path(name), [])
        replies.add(call, reply)
        verdict = judge_calls.verdict_of(call, reply, by)
        progress.advance(1, (verdict.prompt_tokens or 0) + (verdict.completion_tokens or 0))


def _written(
    path: Path, calls: Sequence[Call], replies: Replies, by: Judge, run: str
) -> list[Verdict]:
    """The verdicts of all calls; those that came are written down, failed ones among them."""
    found = [judge_calls.verdict_of(call, replies.get(call), by) for call in calls]
    rows = [
        judge_calls.row(by.name, call, verdict, run)
        for call, verdict in zip(calls, found, strict=True)
        if call.pair.identical or replies.get(call) is not None
    ]
    if path.exists() or all(map(replies.settled, calls)):
        _write(path, rows)
    return found


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    write_whole(path, csv_of(rows, NAMES))


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
