"""Answers and verdicts of models in other processes are the same bytes as in this one."""

import pytest
from elsewhere import Elsewhere
from fakes import write
from progress import Silent

from mdlm_probe.core.run_folder import read_run
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs import generate
from mdlm_probe.runs.judges import Choice, LocalJudge, judge, load_prompt, local_model
from mdlm_probe.runs.plan import Job

PROMPTS = (" the wind", " the quiet hill", " the pale storm", " this", " the door")


class Counted(Silent):
    """A front end of `generate`, which counts what it is told."""

    watches = False

    def __init__(self):
        self.answers = self.tokens = self.steps = 0

    def wrote(self, tokens, steps=1):
        self.tokens, self.steps = self.tokens + tokens, self.steps + steps

    def advance(self, cells, tokens):
        self.answers += cells

    def watcher(self, text, engine, length):
        return None


@pytest.mark.parametrize("model", ["tiny-mdlm", "tiny-arlm"])
def test_answers_are_the_same_bytes(tmp_path, model):
    options = {"text": PROMPTS, "length": 4, "temperature": 0.8, "eos": "eos_inf"}
    files, seen = [], []
    for name, executor in (("here", None), ("there", Elsewhere())):
        job = Job("generate", model, options, LoadOptions(), tmp_path / name, batch_tokens=16)
        seen.append(Counted())
        files.append(generate.run(job, seen[-1], executor))
    here, there = (path.read_bytes() for path in files)
    assert here == there
    assert here.count(b"\n") == sum(executor.groups) == 5
    assert executor.groups == [2, 2, 1]
    assert vars(seen[0]) == vars(seen[1]) == {"answers": 5, "tokens": 20, "steps": 20}
    (session,) = read_run(tmp_path / "there")[f"generate__{model}"]["sessions"]
    assert session["workers"] == [{"device": "elsewhere"}]


def test_verdicts_are_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(local_model, "GROUP", 5)
    found = []
    for name, executor in (("here", None), ("there", Elsewhere())):
        by = LocalJudge("tiny-arlm", load_prompt(), LoadOptions(), 2048)
        folder = write(tmp_path / name)
        path = judge(folder, by, Choice(), Silent(), executor=executor).path
        found.append((path.read_bytes(), path.with_suffix(".replies.jsonl").read_bytes()))
    assert found[0] == found[1]
    assert executor.groups == [5, 5, 2]
    (session,) = read_run(folder)["judge__tiny-arlm"]["sessions"]
    assert session["workers"] == [{"device": "elsewhere"}]
