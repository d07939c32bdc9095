"""Replies of a chat endpoint: whether they are any, and the verdict that they hold."""

from __future__ import annotations

import json
from typing import Any

from mdlm_probe.runs.judges.judge_calls import Verdict
from mdlm_probe.runs.judges.judge_prompt import JudgePrompt

LONGEST_REASON = 300
"""Characters of a reason that are kept."""

DEEPEST = 50
"""Levels of a reply, so that whatever reads it back can."""

MOST = 2**31
"""Tokens that no call can have spent."""


def verdict_of(response: Any, prompt: JudgePrompt) -> Verdict:
    """The mark that a reply ends in; refusals and replies without one are said to be that."""
    if not isinstance(response, dict):
        return Verdict("unparsable", "no chat completion")
    if "choices" not in response:  # ours: an endpoint's own filter gave no reply
        return Verdict("refused", str(response.get("blocked"))[:LONGEST_REASON])
    usage = response.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    spent = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    try:
        message, finish = _message(response)
    except ValueError as error:  # kept by an earlier version
        return Verdict("unparsable", short(str(error)), None, None, *spent)
    text = message.get("content") or ""
    cut = "cut at --max-tokens" if finish == "length" else ""
    if finish == "content_filter" or message.get("refusal"):
        reason = str(message.get("refusal") or finish)[:LONGEST_REASON]
        return Verdict("refused", reason, None, None, *spent)
    if not text.strip():
        return Verdict("unparsable" if cut else "refused", cut or "empty", None, None, *spent)
    said = "unparsable" if cut else prompt.verdict(text)
    return Verdict(said, cut, None, None, *spent)


def parsed(raw: str) -> dict[str, Any]:
    """A raw reply as JSON, if it is a chat's.

    Raises:
        ValueError: it is none.
    """
    try:
        response: dict[str, Any] = json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError(f"the reply is no JSON: {raw[:80]!r}") from None
    try:
        _message(response)
    except ValueError:
        raise ValueError(f"the reply is no chat completion: {raw[:80]!r}") from None
    if _depth(response) > DEEPEST:
        raise ValueError(f"the reply has more than {DEEPEST} levels")
    return response


def _message(response: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """The message of a reply, whose content is a text or None, and why it ended."""
    try:
        choice = response["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content = message.get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("no chat completion") from None
    if not isinstance(content, str | None):
        raise ValueError(f"the reply's content is no text: {content!r:.80}")
    return message, finish


def _depth(value: Any) -> int:
    """How many lists and objects stand in each other."""
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        level = [v for one in level for v in (one.values() if isinstance(one, dict) else one)]
    return depth


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def _count(value: Any) -> int | None:
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST
    return value if known else None
