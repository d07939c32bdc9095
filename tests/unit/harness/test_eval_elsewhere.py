"""Answers of a model in another process are the same bytes as in this one."""

import pytest
from elsewhere import Elsewhere
from eval_tasks import Request

from mdlm_probe import models
from mdlm_probe.harness import AnswerLog, ProbeLM
from mdlm_probe.likelihood.settings import Settings
from mdlm_probe.models._checkpoint import LoadOptions
from mdlm_probe.runs.executors import InProcess
from mdlm_probe.runs.executors.contract import EngineRequest

CHOICES = [
    Request(" the", f" {text}", task="t", doc=number // 2, idx=number % 2)
    for number, text in enumerate(("wind loved a door", "hill", "storm", "door", "road", "often"))
]
DOCUMENTS = [Request(text) for text in (" the wind", " the wind loved a door", " this hill")]
DRAWN = {"max_gen_toks": 4, "temperature": 1.0, "do_sample": True}
TEXTS = [Request(text, DRAWN) for text in (" the", " the wind", " this pale door", " the hill")]


class Counted:
    def __init__(self):
        self.done = 0

    def note(self, text):
        pass

    def start(self, name, cells, done):
        pass

    def advance(self, cells, tokens):
        self.done += cells


@pytest.mark.parametrize("model", ["tiny-mdlm", "tiny-arlm"])
def test_answers_are_the_same_bytes(tmp_path, model):
    load, entry, found = LoadOptions(), models.resolve(model), []
    settings = Settings(bound=1, draws=5, decide=True)
    for name, executor in (("here", InProcess()), ("there", Elsewhere())):
        path, counted = tmp_path / name, Counted()
        session = executor.open(EngineRequest(entry, load, batch={"tokens": 12}), print)
        more = {"answers": AnswerLog(path), "progress": counted}
        lm = ProbeLM(session, executor.border(entry, load), settings, **more)
        values = (
            lm.loglikelihood(CHOICES),
            lm.loglikelihood_rolling(DOCUMENTS),
            lm.generate_until(TEXTS),
        )
        found.append((values, path.read_bytes(), counted.done))
    assert found[0] == found[1]
    assert found[0][1].count(b"\n") == found[0][2] == len(CHOICES + DOCUMENTS + TEXTS)
    assert len(executor.groups) > 3, "everything travelled at once"
