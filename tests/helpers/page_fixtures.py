"""The page of the committed study, made once for all workers, a browser to look at it; and reports
without pictures.
"""

import odd_study
import pytest
from browser import executable, launched

from mdlm_probe.reports import pictures


@pytest.fixture(scope="session")
def page_file(once):
    """report.html in the folder of the study."""
    return once("study", odd_study.make) / "report.html"


@pytest.fixture(scope="session")
def small_page(once):
    """The same of two runs, with lines, heat maps and tasks: opened in a quarter of the time."""
    made = once("small-study", lambda folder: odd_study.make(folder, "locality", "needle"))
    return made / "report.html"


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    if not executable():
        pytest.skip("no browser: install chromium, or `playwright install chromium`")
    with launched() as browser:
        yield browser


@pytest.fixture
def undrawn(monkeypatch):
    """Reports as they are, their charts' data, too; but no pictures, which take most of the time.

    For what is asked of something else than pictures: others draw those of every probe.
    """
    monkeypatch.setattr(pictures, "save", lambda *_: [])


@pytest.fixture
def drawn_once(monkeypatch):
    """Pictures are drawn, but as SVG alone: PNG and PDF are made of that, and are empty files."""
    for name in ("png", "pdf"):
        monkeypatch.setattr(pictures.Picture, name, lambda _: b"")
