"""A jury behind an endpoint, for tests: asked through the real client."""

from __future__ import annotations

import csv
import json
import threading

from fakes import rows, write
from progress import Silent

from mdlm_probe.runs.judges import Access, Choice, EndpointJudge, judge, load_prompt

MARK = "thoughts\n[[A>B]]"


class Notes(Silent):
    def __init__(self):
        self.said = []

    def note(self, text):
        self.said.append(text)


def ask(folder, server, progress=None, fresh=False, name="jury", **access):
    told = {"timeout": 5.0, "retries": 2, "concurrency": 3} | access
    by = EndpointJudge(name, Access(server.url, **told), load_prompt())
    return judge(folder, by, Choice(), progress or Silent(), fresh=fresh)


def read(done):
    with done.path.open(newline="") as file:
        return list(csv.DictReader(file))


def lines_of(folder, name="jury"):
    path = folder / f"judge__{name}.replies.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def one(folder):
    """A run with a single pair: two calls."""
    return write(folder, rows(prompts=1, fracs=(0.1,)))


def ended_judging(others, patience=30):
    """Waits for the threads of judges that aren't among others; whether they have ended.

    Args:
        others: threads that were there before.
        patience: seconds; only what hangs takes so long.
    """
    mine = [t for t in set(threading.enumerate()) - others if t.name.startswith("judge")]
    for thread in mine:
        thread.join(patience)
    return not any(thread.is_alive() for thread in mine)
