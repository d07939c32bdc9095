"""Replies of a chat endpoint: whether they are any, and the verdict that they hold."""

from __future__ import annotations

import json
from typing import Any

from mdlm_probe.runs.judges.judge_calls import Verdict
from mdlm_probe.runs.judges.judge_prompt import JudgePrompt

LONGEST_REASON = 300
"""Characters of a reason that are kept."""


def verdict_of(response: dict[str, Any], prompt: JudgePrompt) -> Verdict:
    """The mark that a reply ends in; refusals and replies without one are said to be that."""
    usage = response.get("usage") or {}
    usage = usage if isinstance(usage, dict) else {}
    spent = (_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    if response.get("blocked"):
        return Verdict("refused", response["blocked"], None, None, *spent)
    choice = response["choices"][0]
    message, finish = choice["message"], choice.get("finish_reason")
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
        content = response["choices"][0]["message"].get("content")
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError(f"the reply is no chat completion: {raw[:80]!r}") from None
    if not isinstance(content, str | None):
        raise ValueError(f"the reply's content is no text: {content!r:.80}")
    return response


def short(text: str) -> str:
    """A text on one line, cut where it is long."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
