"""A small job of locality, and progress that remembers what a run said."""

from mdlm_probe.runs.plan import Job

OPTIONS = {
    "tasks": ("verb-smallest",),
    "limit": 6,
    "shots": 2,
    "distractors": 4,
    "positions": (0, 4),
}


class Log:
    """Progress that remembers."""

    def __init__(self):
        self.notes, self.starts, self.cells = [], [], 0

    def note(self, text):
        self.notes.append(text)

    def start(self, name, cells, done):
        self.starts.append((name, cells, done))

    def advance(self, cells, tokens):
        self.cells += cells


def job(folder, model="oracle", **changes):
    fields = {"options": OPTIONS, "output": folder, "batch_tokens": 50} | changes
    return Job("locality", model, **fields)
