"""What all tests of judges share."""

import openai
import pytest

from mdlm_probe.analysis import frames as _frames
from mdlm_probe.reports import probe_report
from mdlm_probe.runs.judges import endpoint


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Back-off as short as can be: what is tested is that it happens, not how long."""
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(endpoint, "BACKOFF", (0.01, 0.02))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def verdicts_alone(monkeypatch):
    """Reports on verdicts alone: the run's own rows are another report's."""
    inner = _frames.frames

    def frames(folder, **how):
        found = inner(folder, **how)
        return found._replace(rows={n: rows for n, rows in found.rows.items() if n == "judge"})

    monkeypatch.setattr(probe_report.frames, "frames", frames)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
