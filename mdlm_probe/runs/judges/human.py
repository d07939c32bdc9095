"""A person as a judge: verdicts from the file that the page made."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import unusable
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.runs.executors.contract import Executor, Note
from mdlm_probe.runs.judges.answer_pairs import AnswerPair
from mdlm_probe.runs.judges.columns import PEOPLE
from mdlm_probe.runs.judges.human_page import PageKey
from mdlm_probe.runs.judges.judge_calls import BOTH, Call, Reply, Verdict
from mdlm_probe.runs.judges.judge_prompt import VERDICTS

RATER = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,39}")
"""As the page has it; a file is called after it."""
MOST = 2**24
"""Bytes of a file of verdicts."""


class HumanJudge:
    """A rater, by the verdicts that the page made a file of.

    Every pair was shown once, in an order drawn at random.

    Args:
        path: the rater's file.
        key: of the page.

    Raises:
        ProbeError: a file that is damaged, or of another page.
    """

    keeps_replies = False
    needs_prompts = True
    prompt = None

    def __init__(self, path: Path, key: PageKey) -> None:
        rater, verdicts = _read(path, key)
        self.name = f"{PEOPLE}{rater.replace(' ', '-')}"
        self.config: dict[str, Any] = {"by": "human", "page": key.page}
        self.facts: dict[str, Any] = {}
        self._calls = {call: item for item, call in key.items.items()}
        self._verdicts, self._path = verdicts, path

    def orders(self, pair: AnswerPair) -> tuple[str, ...]:
        """The order in which the page showed a pair.

        Raises:
            ProbeError: it showed none of the kind.
        """
        found = tuple(order for order in BOTH if Call(pair, order).id in self._calls)
        if len(found) != 1:
            raise ProbeError(
                f"the page of {self._path} didn't show '{pair.prompt}', or with other answers",
                expected="the runs and options that the page was made with",
                option="verdicts",
            )
        return found

    def caution(self, scorers: Mapping[str, str]) -> str:
        """Nothing."""
        return ""

    def check(self, prompts: Sequence[Text]) -> None:
        """Any prompt will do."""

    def open(self, note: Note, executor: Executor) -> Sequence[dict[str, Any]]:
        """Nothing to do."""
        return ()

    def ask(self, calls: Sequence[Call]) -> Generator[tuple[Call, Reply], None, None]:
        """The verdicts in the file; what has none failed."""
        for call in calls:
            verdict = self._verdicts.get(self._calls[call.id])
            yield call, {"response": verdict} if verdict else {"failed": "not judged yet"}

    def read(self, reply: Reply) -> Verdict:
        """The verdict as it is."""
        return Verdict(reply["response"])


def _read(path: Path, key: PageKey) -> tuple[str, dict[str, str]]:
    """The rater's name, and verdicts by their pair's name on the page."""

    def damaged(why: str) -> ProbeError:
        return ProbeError(
            f"{path}: {why}",
            expected="a file that the page's button 'Download verdicts' wrote",
            option="verdicts",
        )

    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise unusable(path, error) from error
    if len(data) > MOST:
        raise damaged(f"more than {MOST // 2**20} MiB")
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        raise damaged("no JSON") from None
    if not isinstance(found, dict) or {"page", "rater", "verdicts"} - found.keys():
        raise damaged("no verdicts")
    if found["page"] != key.page:
        raise ProbeError(
            f"{path} is of another page",
            expected="verdicts on the page in this folder",
            option="verdicts",
        )
    rater, verdicts = found["rater"], found["verdicts"]
    if not isinstance(rater, str) or not RATER.fullmatch(rater):
        raise damaged(f"the rater's name is {str(rater)[:40]!r}")
    if not isinstance(verdicts, dict):
        raise damaged("no verdicts")
    for item, verdict in verdicts.items():
        if item not in key.items:
            raise damaged(f"the page has no pair {item[:40]!r}")
        if not isinstance(verdict, str) or verdict not in VERDICTS:
            raise damaged(f"{str(verdict)[:40]!r} is no verdict")
    return rater, verdicts
