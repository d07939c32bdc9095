"""The page's summary, shares in percent, heads with meanings, and folded published rows."""

import re

import made_runs
import pandas as pd
import pytest
import reference

from mdlm_probe.analysis.tables import text_table
from mdlm_probe.core import catalog
from mdlm_probe.reports import html, percent
from mdlm_probe.reports.html import page_tables, probe_sections, summary


def planted(folder, fails):
    """A run of locality whose answers are wrong where `fails(row)` says so."""
    reference.run(folder, "locality", "tiny-mdlm")
    made_runs.changed(
        *(folder, "locality__tiny-mdlm"),
        lambda row: [row | {"correct": str(int(not fails(row)))}],
    )
    return folder


def index_line(folder):
    (part,) = summary.summary(html.read(folder))
    (line,) = part.lines
    assert part.name == "locality index"
    return part, line


@pytest.mark.slow
def test_a_planted_effect_is_said_in_words_and_stands_out(tmp_path):
    """Far from the question all fail but one item of one task: 79 of 80 items."""

    def fails(row):
        return row["position"] == "0" and (row["task"] != "country" or row["item"] != "0")

    part, line = index_line(planted(tmp_path, fails))
    assert line.out
    assert part.out == ["tiny-mdlm"]
    found = re.fullmatch(r"accuracy is ([\d.]+) points higher .*", line.said)
    assert float(found[1]) > 95
    assert re.fullmatch(r"95 % interval [\d.]+ to 100, n = 8 relevant tasks", line.interval)
    text = html.page(tmp_path, html.read(tmp_path))
    assert "Stands out." in text
    assert f"accuracy is {found[1]} points higher" in text


@pytest.mark.slow
def test_no_effect_does_not_stand_out(tmp_path):
    """Half of the tasks fail far from the question, the others next to it."""
    tasks = sorted({row["task"] for row in reference.rows("locality", "tiny-mdlm")})

    def fails(row):
        return row["position"] == ("0" if tasks.index(row["task"]) % 2 else "40")

    part, line = index_line(planted(tmp_path, fails))
    assert not line.out
    assert part.out == []
    assert line.said.startswith("accuracy is 0 points")
    text = html.page(tmp_path, html.read(tmp_path))
    assert "Stands out." not in text
    assert "<strong>What stands out:</strong> nothing." in text


@pytest.mark.slow
def test_lines_of_models_and_links_to_sections(tmp_path):
    reference.run(tmp_path / "few", "masks", "tiny-arlm", "oracle-biased")
    runs = html.read(tmp_path)
    parts = summary.summary(runs)
    (section,) = probe_sections.sections(runs[0], ("tiny-arlm", "oracle-biased"))
    assert {part.section for part in parts} == {section.id}
    assert {part.title for part in parts} == {section.title}
    lines = {(part.name, line.model): line for part in parts for line in part.lines}
    causal = lines["distraction", "tiny-arlm"]
    assert "no masks were appended" in causal.said
    assert causal.interval == ""
    assert lines["distraction p_right", "oracle-biased"].out
    assert not lines["distraction", "oracle-biased"].out
    assert lines["distraction", "oracle-biased"].interval == "no interval, n = 8 relevant tasks"


# ---------------------------------------------------------------------- tables


def test_shares_are_in_percent_where_charts_have_them_so():
    table = pd.DataFrame(
        {
            "model": ["a"],
            "amount": [4],
            "accuracy": [0.25],
            "n": [8],
            "items_low": [0.125],
            "items_high": [0.5],
            "entropy": [0.5],
            "p_right": [0.75],
            "p_right_low": [0.5],
            "p_right_high": [1.0],
        }
    )
    shares = percent.in_percent("masks", "curve", table)
    found = page_tables.page_table("curve", table, percent=shares)
    assert found.heads == (
        *("model", "amount", "accuracy (%)", "n", "95 % over items", "entropy"),
        *("p_right (%)", "95 % of p_right (%)"),
    )
    assert found.rows[0][1] == ("a", "4", "25", "8", "12.5 to 50", "0.5", "75", "50 to 100")
    printed = text_table(table, percent=shares)
    assert printed.heads == found.heads
    assert printed.rows == (("a", "4", "25", "8", "12.5 to 50.0", "0.500", "75", "50.0 to 100.0"),)
    assert table["accuracy"][0] == 0.25


def test_points_stay_points_and_differences_are_points():
    points = {"accuracy_points": [-24.0], "accuracy_points_low": [-30.0]}
    changes = pd.DataFrame({"model": ["a"], **points})
    assert percent.in_percent("masks", "changes", changes) == {}
    gaps = pd.DataFrame({"exact": [0.5, -0.25], "exact_low": [0.0, -0.5], "exact_high": [1.0, 0.0]})
    found = page_tables.page_table("depth", gaps, {}, percent.in_percent("needle", "depth", gaps))
    assert found.heads == ("exact (points)", "95 % of exact (points)")
    assert [cells for _, cells in found.rows] == [("50", "0 to 100"), ("-25", "-50 to 0")]


def test_the_tables_of_a_page_are_those_of_the_report(tmp_path):
    """In percent on the page, as they are in the CSV."""
    reference.run(tmp_path, "needle", "tiny-mdlm")
    (run,) = html.read(tmp_path)
    (section,) = probe_sections.sections(run, ("tiny-mdlm",))
    (overview,) = (table for table in section.tables if table.title == "overview")
    place = overview.heads.index("exact (%)")
    exact = run.made["needle"].tables["overview"]["exact"]
    shown = [float(cells[place]) for _, cells in overview.rows]
    assert shown == pytest.approx(list(100 * exact), abs=1e-3)
    assert max(shown) > 1


def test_heads_say_what_declared_columns_mean():
    meanings = {column.name: column.meaning for column in catalog.columns("masks")}
    table = pd.DataFrame({"model": ["a"], "amount": ["4"], "own": [1.0], "entropy (nats)": [0.5]})
    found = page_tables.page_table("t", table, meanings)
    assert found.titles == (meanings["model"], meanings["amount"], "", meanings["entropy"])
    assert page_tables.page_table("t", table[["own"]], meanings).titles == ()


@pytest.mark.slow
def test_published_rows_that_were_not_run_are_folded(tmp_path):
    reference.run(tmp_path, "masks", "tiny-mdlm", "oracle")
    runs = html.read(tmp_path)
    (section,) = probe_sections.sections(runs[0], ("tiny-mdlm", "oracle"))
    assert {model for model, _ in section.published.rows} == {"tiny-mdlm", "oracle"}
    assert {model for model, _ in section.unrun.rows} == {""}
    assert all(cells[3] == "not run" for _, cells in section.unrun.rows)
    text = html.page(tmp_path, runs)
    folded = text.partition('<details class="unrun">')[2].partition("</details>")[0]
    assert "llada-8b-instruct" in folded
    assert "llada-8b-instruct" not in text.partition('<details class="unrun">')[0]
