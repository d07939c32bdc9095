"""Question files of open-ended benchmarks, as they are published: what their fields mean. No torch.

- Arena-Hard: `uid`, `prompt`, `subcategory`; earlier ones `question_id`, `category`, `turns`, of
  which the first counts.
- MT-Bench (FastChat): `question_id`, `category`, and `turns`, texts that the user says one after
  another; the first is the prompt, others follow its answer.
- WildBench: `session_id`, `primary_tag`, and `conversation_input`, messages with `role` and
  `content`; the last is the prompt.
- Creative Writing v3 (EQ-Bench): one JSON object; by id `writing_prompt`, in which `<SEED>` stands
  for one of `seed_modifiers`, the first in the first of `ITERATIONS`, and so on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mdlm_probe.core.errors import ProbeError

ITERATIONS = 3
"""Of Creative Writing v3: so often every prompt is answered; prompts are called ID/ITERATION."""
SEED = "<SEED>"

Fault = Callable[[str, str, str], ProbeError]
"""Makes the error of a field: its name, what was found, what was expected."""


def rows_of(data: bytes) -> list[Any] | None:
    """The lines that a whole JSON document stands for; None where it is none, but lines.

    A list is its items; an object of writing prompts is one item for each of them and iteration.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):
        return found
    if not isinstance(found, dict) or not found:
        return None
    if not all(isinstance(one, dict) and "writing_prompt" in one for one in found.values()):
        return None
    return [_written(i, name, one) for name, one in found.items() for i in range(ITERATIONS)]


def _written(iteration: int, name: str, one: dict[str, Any]) -> dict[str, Any]:
    """A writing prompt as a line."""
    prompt, seed = one["writing_prompt"], seed_of(iteration, one)
    if isinstance(prompt, str) and SEED in prompt:  # without seeds it is told of as no text
        prompt = None if seed is None else prompt.replace(SEED, seed)
    return {
        "id": f"{name}/{iteration + 1}",
        "task": one.get("category"),
        "prompt": prompt,
    }


def seed_of(iteration: int, one: dict[str, Any]) -> str | None:
    """The seed modifier of an iteration, from 0, of a writing prompt; None where it has none."""
    seeds = one.get("seed_modifiers")
    if not isinstance(seeds, list) or not seeds:
        return None
    seed = seeds[iteration % len(seeds)]
    return seed if isinstance(seed, str) else None


def conversation(row: dict[str, Any], fault: Fault) -> tuple[list[str], list[str]]:
    """What was said before the prompt, user and assistant by turns, with the prompt; and what the
    user says afterwards.

    Args:
        row: a line with `turns` or `conversation_input`.
        fault: makes the error of a field.

    Raises:
        ProbeError: turns of another kind.
    """
    if "conversation_input" in row:
        return _messages(row["conversation_input"], fault), []
    turns = row["turns"]
    shown = _short(turns)
    if not isinstance(turns, list) or not turns:
        raise fault("turns", f"found {shown}", 'a list like [{"content": "..."}]')
    if all(isinstance(turn, str) for turn in turns):
        return turns[:1], turns[1:]
    if not isinstance(turns[0], dict) or "content" not in turns[0]:
        raise fault("turns", f"found {shown}", 'a list like [{"content": "..."}], or of texts')
    return [turns[0]["content"]], []


def _messages(messages: Any, fault: Fault) -> list[str]:
    known = isinstance(messages, list) and all(
        isinstance(one, dict) and {"role", "content"} <= one.keys() for one in messages
    )
    roles = [one["role"] for one in messages] if known else []
    if not roles or roles != ["user", "assistant"] * (len(roles) // 2) + ["user"]:
        raise fault(
            "conversation_input",
            f"found {_short(roles or messages)}",
            "messages of user and assistant by turns, the user's first and last",
        )
    return [one["content"] for one in messages]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
