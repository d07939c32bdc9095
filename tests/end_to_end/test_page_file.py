"""The page as a file: small, self-contained, the same for the same rows, and its command."""

import json

import pytest
import reference
from commands import call
from odd_study import HOSTILE

from mdlm_probe.core import catalog
from mdlm_probe.reports import html
from mdlm_probe.reports.html import (
    probe_sections,
)


def test_equal_rows_give_an_equal_page(tmp_path):
    for name in ("needle", "cache"):
        reference.run(tmp_path / name, name)
    pages = {html.page(tmp_path, html.read(tmp_path)) for _ in range(2)}
    assert len(pages) == 1


def test_the_page_is_small_and_self_contained(page_file):
    text = page_file.read_text()
    assert len(text.encode()) < 5e6
    for element in ("<link", '<img src="http', "<script src", "@import", "url("):
        assert element not in text.partition("<script")[0]
    assert "default-src 'none'" in text


def test_no_text_of_a_model_ends_a_script(page_file):
    text = page_file.read_text()
    assert HOSTILE not in text
    begin = text.index('id="data">') + len('id="data">')
    data = json.loads(text[begin : text.index("</script>", begin)])
    assert set(data) == {"models", "sections"}
    assert len(data["sections"]) == len(catalog.names("report"))


def test_the_command_prints_tables_and_names_the_page_last(tmp_path):
    for name in ("needle", "cache"):
        reference.run(tmp_path / name, name)
    result = call("report", tmp_path)
    assert result.output.rstrip().endswith(f"wrote {tmp_path / 'report.html'}")
    assert "== cache ==" in result.output
    assert "needle: overview" in result.output
    for run in html.read(tmp_path):
        (section,) = probe_sections.sections(run, ("tiny-mdlm", "tiny-arlm"))
        assert len(section.files) > 2
        assert all((tmp_path / address).exists() for _, address in section.files)
    alone = call("report", tmp_path / "cache")
    assert "==" not in alone.output
    assert (tmp_path / "cache" / "report.html").exists()


@pytest.mark.parametrize("there", [True, False])
def test_the_command_without_a_run(tmp_path, there):
    folder = tmp_path if there else tmp_path / "nowhere"
    assert "no run in" in call("report", folder, code=1).output
