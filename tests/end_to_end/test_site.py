"""The documentation as a site: every page is there, every link leads somewhere, no network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [path.relative_to(ROOT / "docs") for path in ROOT.glob("docs/**/*.md")]


def built(where, config="mkdocs.yml"):
    """What building the site says."""
    typed = ["-m", "mkdocs", "build", "--site-dir", str(where), "-f", str(config)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        [sys.executable, *typed], cwd=ROOT, env=environment, capture_output=True, text=True
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site's folder."""
    where = tmp_path_factory.mktemp("site")
    done = built(where)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return where


def test_every_page_is_there_and_what_it_refers_to(site):
    names = {str(page.with_suffix(".html")) for page in PAGES} | {"start.html"}
    assert names <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for name in names:
        page = site / name
        for target in re.findall(r'(?:href|src)="?([^"#?\s>]+)', page.read_text()):
            assert "://" in target or (page.parent / target).exists(), (name, target)


def test_nothing_is_fetched_from_elsewhere(site):
    for page in site.rglob("*.html"):
        assert not re.findall(
            r"<(?:script|link|img)[^>]*=\"?(?:https?:)?//[^>]*>", page.read_text()
        )


def test_a_broken_link_fails(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[gone](gone.md)\n")
    (tmp_path / "mkdocs.yml").write_text("site_name: x\nstrict: true\n")
    done = built(tmp_path / "site", tmp_path / "mkdocs.yml")
    assert done.returncode != 0
    assert "gone.md" in done.stderr
