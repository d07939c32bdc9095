"""The page as its command writes it: the same for the same rows, and beside all that it names."""

import re

import pytest
import reference
from commands import call

from mdlm_probe.reports import html


def test_the_command_prints_tables_and_names_the_page_last(tmp_path):
    reference.run(tmp_path / "needle", "needle", "tiny-mdlm")
    reference.run(tmp_path / "cache", "cache", "tiny-mdlm")
    result = call("report", tmp_path)
    assert result.output.rstrip().endswith(f"wrote {tmp_path / 'report.html'}")
    assert "== cache ==" in result.output
    assert "needle: overview" in result.output
    text = (tmp_path / "report.html").read_text()
    assert html.page(tmp_path, html.read(tmp_path)) == text, "equal rows make an equal page"
    addresses = set(re.findall(r'href="(\w+/[^"]+)"', text))
    assert {"cache/cache.svg", "needle/needle-gain.pdf", "needle/needle-overview.csv"} <= addresses
    assert all((tmp_path / address).exists() for address in addresses)
    alone = call("report", tmp_path / "cache")
    assert "==" not in alone.output
    assert (tmp_path / "cache" / "report.html").exists()


@pytest.mark.parametrize("there", [True, False])
def test_the_command_without_a_run(tmp_path, there):
    folder = tmp_path if there else tmp_path / "nowhere"
    assert "no run in" in call("report", folder, code=1).output
