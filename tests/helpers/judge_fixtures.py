"""What all tests of judges share."""

import openai
import pytest

from mdlm_probe.runs.judges import endpoint


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    """Back-off as short as can be: what is tested is that it happens, not how long."""
    monkeypatch.setattr(openai._base_client, "INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setattr(endpoint, "BACKOFF", (0.01, 0.02))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
