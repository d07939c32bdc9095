"""--columns: tables of a page's column, in the user's order, with nothing left unsaid."""

import re

import pandas as pd
import pytest
import reference
from commands import call

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports import exports
from mdlm_probe.reports.exports import latex_columns
from mdlm_probe.reports.exports.chosen_columns import check_chosen, chosen_table, selectable
from mdlm_probe.reports.exports.formats.latex import narrow_table

pytestmark = pytest.mark.usefixtures("reports_once")

CHOSEN = ("amount", "model", "accuracy", "tasks_interval")


@pytest.fixture
def curve():
    """Two fillers, of which one has a wide interval and no p."""
    rows = [
        {"model": "a", "filler": f, "steps": 1, "amount": m} for f in ("mask", "eos") for m in "05"
    ]
    table = pd.DataFrame(rows).assign(accuracy=[0.5, -1.25, 0.00001, float("nan")], n=8)
    table = table.assign(tasks_low=[0.25, -2, float("nan"), 0], tasks_high=[0.75, 2, 1, 1])
    return table.assign(p_right=0.125, p_right_low=0.0, p_right_high=0.25, tasks=3)


def test_columns_are_the_users_in_their_order_and_the_rest_is_said(curve):
    made = chosen_table("masks", "curve", curve, CHOSEN)
    assert [c.head for c in made.columns] == ["amount", "model", "accuracy", "95 % over tasks"]
    assert made.columns[3].cells == ("[0.250, 0.750]", "[-2.000, 2.000]", "-", "[0.000, 1.000]")
    assert made.groups == {"filler mask": [0, 1], "filler eos": [2, 3]}
    assert made.caption.endswith("All with steps 1, n 8, tasks 3.")
    again = chosen_table("masks", "curve", curve, ("filler", "amount", "p_right", "n"))
    assert again.groups == {"": [0, 1, 2, 3]}
    assert again.columns[2].intervals == ("[0.000, 0.250]",) * 4
    assert again.columns[3].cells == ("8",) * 4  # constant, but asked for
    assert again.caption.endswith("All with model a, steps 1, tasks 3. Brackets: 95 % intervals.")


def test_numbers_are_siunitxs_and_what_is_none_is_braced(curve):
    text = narrow_table(chosen_table("masks", "curve", curve, CHOSEN), "x").decode()
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert r"\begin{tabular}{@{}llS[table-format=-1.3]l@{}}" in text
    assert rows[1:] == [
        r"\multicolumn{4}{@{}l}{\itshape filler mask} \\",
        r"0 & a & 0.500 & {[}0.250, 0.750{]} \\",
        r"5 & a & -1.250 & {[}$-$2.000, 2.000{]} \\",
        r"\multicolumn{4}{@{}l}{\itshape filler eos} \\",
        r"0 & a & {\num{1.0e-5}} & - \\",
        r"5 & a & {-} & {[}0.000, 1.000{]} \\",
    ]


def test_a_number_and_its_own_interval_share_a_head(curve):
    text = narrow_table(chosen_table("masks", "curve", curve, ("p_right",)), "x").decode()
    assert r"{@{}S[table-format=1.3]@{ }r@{}}" in text
    assert r"\multicolumn{2}{c}{probability of right} \\" in text
    assert r"0.125 & {[}0.000, 0.250{]} \\" in text


def test_text_shrinks_until_it_fits_and_else_spans_both_columns(curve):
    sizes = []
    for length in (1, 25, 27, 30, 90):
        frame = curve.assign(model="m" * length)
        made = chosen_table("masks", "curve", frame, ("model", "amount"))
        sizes.append(latex_columns.narrow(made).size)
        text = narrow_table(made, "x").decode()
        assert (r"\begin{table*}" in text) == (not sizes[-1]) == ("over both" in text)
    assert sizes == ["small", "small", "footnotesize", "scriptsize", ""]


def test_a_misspelt_column_is_an_error_with_the_nearest(curve, run, tmp_path):
    words = ["export", run, "--to", "latex", "-o", tmp_path / "x", "--columns"]
    said = call(*words, "model,acuracy", code=1).output
    assert "did you mean 'accuracy'?" in said
    assert "--columns" in said or "unknown column 'acuracy'" in said
    said = call(*words, "accuracy,degradation", code=1).output
    assert "no table has all of the columns accuracy, degradation" in said
    assert not (tmp_path / "x").exists()
    said = call("export", run, "--to", "markdown", "--columns", "model", code=1).output
    assert "--to latex" in said


def test_only_tables_with_all_columns_are_written(run, tmp_path):
    call("export", run, "--to", "latex", "--columns", "model,amount,accuracy", "-o", tmp_path)
    names = sorted(path.stem for path in tmp_path.glob("*.tex"))
    assert names == ["masks-calibration", "masks-curve", "masks-reliability"]


def test_ends_of_intervals_are_chosen_together(curve):
    names = selectable(curve)
    assert {"tasks", "tasks_interval", "p_right", "p_right_interval"} <= set(names)
    assert not [name for name in names if re.search("_(low|high)$", name)]
    assert chosen_table("masks", "curve", curve, ("tasks_low",)) is None


@pytest.mark.slow
def test_no_row_is_lost_whatever_is_chosen():
    """The first number of each table with the model: rows are all there, in groups or not."""
    runs, _ = exports.load(reference.FOLDER / "needle")
    seen = 0
    for run in runs:
        for probe, one in run.made.items():
            for name, frame in one.tables.items():
                if not len(frame):
                    continue
                number = next(c for c in selectable(frame) if c in frame.select_dtypes("float"))
                check_chosen([run], ("model", number))
                made = chosen_table(probe, name, frame, ("model", number))
                places = sorted(p for group in made.groups.values() for p in group)
                assert places == list(range(len(frame)))
                seen += 1
    assert seen == 6
    with pytest.raises(ProbeError):
        check_chosen(runs, ("nothing",))
