"""`python -m mdlm_probe.lm_eval`: lm-eval's own command with our models."""

import json
import logging
import sys

import pytest
from commands import call
from lm_eval.tasks import TaskManager

from mdlm_probe import lm_eval

pytestmark = pytest.mark.slow


@pytest.fixture
def typed(monkeypatch, folder):
    """Runs the command on a small task; lm-eval looks through no thousands of its own for it."""
    whole = TaskManager.__init__

    def with_no_other(self, *given, **named):
        whole(self, *given, **named | {"include_defaults": False})

    monkeypatch.setattr(TaskManager, "__init__", with_no_other)
    logger = logging.getLogger("lm_eval")
    before = list(logger.handlers), logger.level, logger.propagate

    def run(model, *more):
        asked = ["--model", "mdlm", "--model_args", model, "--tasks", "t_choice", "--limit", "2"]
        line = ["lm_eval", "run", *asked, "--include_path", folder, *more]
        monkeypatch.setattr(sys, "argv", [str(part) for part in line])
        monkeypatch.chdir(folder)  # the task names its file so
        lm_eval.main()

    yield run
    # it logs to the streams of its own process for good; here they are closed after the test
    logger.handlers[:], level, logger.propagate = before
    logger.setLevel(level)


def test_metrics_are_those_of_our_own_command(typed, folder, tmp_path, capsys):
    typed("model=tiny-arlm,batch_tokens=400", "--output_path", tmp_path / "theirs")
    assert "t_choice" in capsys.readouterr().out
    small = ("--tasks", "t_choice", "--limit", 2, "--include_path", folder, "--batch-tokens", 400)
    call("eval", "-m", "tiny-arlm", *small, "-q", "-o", tmp_path / "ours")
    results = [
        json.loads(next((tmp_path / name).rglob("results_*.json")).read_text())["results"]
        for name in ("theirs", "ours")
    ]
    theirs, ours = (result["t_choice"] for result in results)
    assert theirs["acc,none"] == ours["acc,none"]
    assert theirs["acc_norm,none"] == ours["acc_norm,none"]


def test_what_a_user_can_mend_is_a_message(typed):
    with pytest.raises(SystemExit) as ended:
        typed("pretrained=tiny-arlm")
    assert str(ended.value).startswith("Error: unknown model argument 'pretrained'")
