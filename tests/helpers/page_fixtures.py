"""The small study and its page, made once for all tests of the room."""

import pytest
import small_study
from browser import executable, launched

from mdlm_probe.reports import html


@pytest.fixture(scope="session")
def study(once):
    """The study's folder, and what is read from it."""
    folder = once("study", small_study.make)
    return folder, html.read(folder)


@pytest.fixture(scope="session")
def page_file(study):
    """report.html of the small study."""
    folder, runs = study
    path = folder / "report.html"
    path.write_text(html.page(folder, runs), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    if not executable():
        pytest.skip("no browser: install chromium, or `playwright install chromium`")
    with launched() as browser:
        yield browser
