"""Makes the data that the bundled models are tuned on: `python -m training.tuning_data`.

`python -m training.tuning_data FILE` writes prose with longer answers, of which none is shipped.

Of the small language, as their training was, on stretches of the stream that training didn't read:
few-shot documents that end in an answer, and prose to go on with. Nothing in them is about masks,
shifts or blocks.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mdlm_probe.core.cells import seed as seed_of
from mdlm_probe.prompts import shipped
from training import _bundled_data as data
from training import _bundled_facts as facts
from training._bundled_data import Ids

ROWS, LONG_ROWS = 512, 256
EXAMPLES = (5, 15)
"""Fewest and most answered examples before a question."""
PROMPT, SENTENCES, LONG = (30, 60), (2, 4), (6, 8)
"""Tokens of a prose prompt, which is cut anywhere, and sentences that end in its answer."""


def _rng(name: str, row: int) -> np.random.Generator:
    return np.random.default_rng(seed_of("tuning data", name, row))


def _text(ids: Ids) -> str:
    return "".join(data.vocabulary()[i] for i in ids)


def few_shot() -> Iterator[dict[str, str]]:
    """Documents of one topic each, the last answer to be given; options of the training split."""
    for row in range(ROWS):
        rng = _rng("few-shot", row)
        count = int(rng.integers(EXAMPLES[0], EXAMPLES[1] + 1)) + 1
        topics = data.topics(1, rng)
        which = np.full((1, count), data.sequence(topics, 1, rng)[0, 0])
        tokens = data.spell(*data.exercises(topics, which, rng)).reshape(-1)
        end = len(tokens) - data.EXAMPLE + data.ANSWER
        yield {"prompt": _text(tokens[:end]), "answer": _text(tokens[end : end + 2])}


def prose(rows: int = ROWS, answer: tuple[int, int] = SENTENCES) -> Iterator[dict[str, str]]:
    """Prose cut anywhere, and how it goes on to the end of a sentence.

    Args:
        rows: how many.
        answer: fewest and most sentences that end in an answer.
    """
    for row in range(rows):
        rng = _rng("prose", row)
        cut = int(rng.integers(*PROMPT))
        sentences, ids, ends = facts.prose(rng), list[int](), 0
        wanted = int(rng.integers(answer[0], answer[1] + 1))
        while ends < wanted:
            ids += next(sentences).tolist()
            ends += len(ids) > cut
        yield {"prompt": _text(ids[:cut]), "answer": _text(ids[cut:])}


def main() -> None:
    """Writes both files into tasks/tuning, or longer answers into a file of the user's."""
    folder = shipped.folder() / "tuning"
    files = {folder / "small-few-shot.jsonl": few_shot(), folder / "small-prose.jsonl": prose()}
    if sys.argv[1:]:
        files = {Path(sys.argv[1]): prose(LONG_ROWS, LONG)}
    for path, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
