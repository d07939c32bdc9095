"""The page of the committed study, made once for all workers, and a browser to look at it."""

import odd_study
import pytest
from browser import executable, launched


@pytest.fixture(scope="session")
def page_file(once):
    """report.html in the folder of the study."""
    return once("study", odd_study.make) / "report.html"


@pytest.fixture(scope="session")
def small_page(once):
    """The same of a few runs."""
    return once("small-study", odd_study.few) / "report.html"


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    if not executable():
        pytest.skip("no browser: install chromium, or `playwright install chromium`")
    with launched() as browser:
        yield browser
