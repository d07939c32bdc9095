"""A headless Chromium for the tests: the machine's own, or the one that playwright installed."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# a closed network refuses what a browser does in the background, many times a second
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--disable-quic"),
)


def executable() -> str:
    """The path of a browser; empty where there is none."""
    if found := next(filter(None, map(shutil.which, NAMES)), ""):
        return found
    with sync_playwright() as driver:
        path = driver.chromium.executable_path
    return path if Path(path).exists() else ""


@contextmanager
def launched() -> Iterator[Browser]:
    """A browser without a window."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable(), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(not executable())
