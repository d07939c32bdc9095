"""Tables and lines: fitted to a terminal, wide, or as JSON."""

import json
from pathlib import Path

import click
import pandas as pd
import pytest
from commands import call
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe import cli
from mdlm_probe.cli import show
from mdlm_probe.cli.fitting_tables import GAP, fitted
from mdlm_probe.cli.screen import Screen
from mdlm_probe.core import catalog

REFERENCE = Path(__file__).parent.parent.parent.parent / "results" / "reference"
CELLS = st.text("ab-", min_size=1, max_size=12)


@st.composite
def tables(draw):
    """Heads of different names, and rows."""
    heads = draw(st.lists(CELLS, min_size=1, max_size=7, unique=True))
    rows = draw(st.lists(st.tuples(*[CELLS] * len(heads)), min_size=1, max_size=5))
    return heads, rows


@given(tables(), st.integers(10, 60))
def test_every_value_is_shown_and_blocks_fit(table, width):
    heads, rows = table
    blocks, common = fitted(heads, rows, width)
    columns = dict(zip(heads, zip(*rows, strict=True), strict=True))
    shown = {}
    for block in blocks:
        assert len(block.rows) == len(rows)
        shown |= dict(zip(block.heads, zip(*block.rows, strict=True), strict=True))
    for head, column in columns.items():
        if head in shown:
            assert shown[head] == column
        else:
            assert {common.get(head, "-")} == {*column}
    if len(blocks) == 1 and not common and len(shown) == len(heads):
        return
    first = [head for head in blocks[0].heads if all(head in block.heads for block in blocks)]
    for block in blocks:
        size = sum(max(map(len, (h, *shown[h]))) for h in block.heads)
        size += GAP * (len(block.heads) - 1)
        assert size <= width or len(block.heads) <= len(first) + 1


def test_a_table_that_fits_stays_as_it_is():
    assert fitted(["a", "b"], [("1", "2")], 10) == ([(("a", "b"), (("1", "2"),))], {})


def test_blocks_begin_with_what_tells_rows_apart():
    rows = [("m", "0", "same", "1" * 20, "2" * 20), ("m", "5", "same", "3" * 20, "4" * 20)]
    blocks, common = fitted(["model", "masks", "kind", "one", "two"], rows, 40)
    assert common == {"model": "m", "kind": "same"}
    assert [block.heads for block in blocks] == [("masks", "one"), ("masks", "two")]


@pytest.fixture
def terminal(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setattr(
        show,
        "Screen",
        lambda **how: Screen(**{"force_terminal": True, "no_color": True, "width": 80} | how),
    )


def test_blocks_on_a_terminal_are_no_wider(terminal, capsys):
    frame = pd.DataFrame({"model": ["a", "b"], **{f"column_{i}": [i, i + 1] for i in range(12)}})
    show.echo_frame(frame.assign(kind="same"))
    out = click.unstyle(capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 80
    assert "In all rows: kind same" in out
    assert out.count("model") > 1


def test_wide_keeps_all_columns_side_by_side(monkeypatch):
    frame = pd.DataFrame({"model": ["a", "b"], **{f"column_{i}": [i, i + 1] for i in range(12)}})
    monkeypatch.setattr(
        show, "Screen", lambda **how: Screen(**{"force_terminal": True, "width": 200} | how)
    )
    monkeypatch.setattr(show, "fitted", lambda *given: pytest.fail("folded"))
    call("columns", "masks", "--wide")
    with pytest.raises(pytest.fail.Exception):
        show.echo_frame(frame)


@pytest.mark.slow
def test_json_has_tables_with_numbers_and_lines(tmp_path):
    done = call("compare", REFERENCE / "masks", REFERENCE / "masks", "--json", "-o", tmp_path)
    found = json.loads(done.stdout)
    assert {"tables", "lines"} == set(found)
    row = found["tables"][0]["rows"][0]
    assert isinstance(row["difference"], int | float)
    assert any("wrote" in line for line in found["lines"])


def test_listings_are_json_too():
    found = json.loads(call("columns", "--json").stdout)["tables"][0]["rows"]
    assert {row["probe"] for row in found} == {*catalog.names("probe"), catalog.JUDGE}
    (one,) = [row for row in found if (row["probe"], row["column"]) == ("masks", "logp_right")]
    assert one["type"] == "float"
    named = json.loads(call("models", "--json").stdout)["tables"][0]["rows"]
    assert "llada-8b" in {next(iter(row.values())) for row in named}


@pytest.mark.slow
def test_columns_are_searched_and_names_are_checked():
    few = call("columns", "--find", "hash").output
    assert len(few.splitlines()) < len(call("columns").output.splitlines())
    assert "did you mean 'masks'" in call("columns", "mask", code=1).output


@pytest.mark.parametrize("name", [*catalog.names("probe"), catalog.JUDGE])
def test_columns_of_tables_are_on_the_probes_page(name):
    """They aren't among those of rows: whoever looks for one is told where it is."""
    found = call("columns", name, "--find", "points_holm").output
    assert "no column of rows has 'points_holm'" in found
    assert Path(found.split()[-1]).is_file()


@pytest.mark.parametrize("name", [*cli.main.commands, *catalog.names("probe")])
def test_every_command_has_both(name):
    command = cli.main.get_command(None, name)
    names = [param.name for param in command.params]
    if name not in ("tune", "plan"):
        assert names.count("json_") == names.count("wide") == 1
    again = cli.main.get_command(None, name)
    assert [param.name for param in again.params].count("json_") <= 1
