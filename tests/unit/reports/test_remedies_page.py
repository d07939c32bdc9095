"""The page's table of other recipes says what the kept tables of that study say."""

import re

import pandas as pd
import pytest

from mdlm_probe.core.files import PACKAGE

ROOT = PACKAGE.parent
KEPT = ROOT / "results" / "reference-more-remedies"
PAGE = (ROOT / "docs" / "tuning.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| ([^|]*\d points? [^|]*) \|$", PAGE, re.MULTILINE)
MEASURES = {
    "edits": ("harm", "edit distance (% of the longer answer)"),
    "truth": ("", "truth of the small language (points)"),
    "locality index": ("index", "locality index (points)"),
}


@pytest.fixture(scope="module")
def kept():
    changes = pd.read_csv(KEPT / "remedies-changes.csv", keep_default_na=False)
    return changes[changes["at"] == "all"], pd.read_csv(KEPT / "remedies-published.csv")


def test_every_recipe_of_the_study_has_a_row():
    assert [name for name, _ in ROWS] == list(pd.read_csv(KEPT / "remedies-arms.csv")["name"])


@pytest.mark.parametrize(("name", "told"), ROWS)
def test_differences_and_intervals_are_those_of_the_tables(kept, name, told):
    changes, published = kept
    for what, *numbers in re.findall(r"([a-z ]+) ([-+][\d.]+) points \((\S+) to (\S+)\)", told):
        if what.strip() == "relative degradation":
            few = published["measure"].str.startswith("(max - min) / max")
            rows = published[few & (published["remedy"] == name)]
        else:
            kind, measure = MEASURES[what.strip()]
            own = (changes["what"] == kind) & (changes["measure"] == measure)
            rows = changes[own & (changes["remedy"] == name)]
        (row,) = rows.to_dict("records")
        ends = (row[f"difference{end}"] for end in ("", "_low", "_high"))
        assert [float(n) for n in numbers] == pytest.approx([float(n) for n in ends], abs=0.051)
    for tokens in re.findall(r"answers of ([\d.]+) tokens", told):
        own = (changes["remedy"] == name) & (changes["measure"] == "tokens of the answer")
        assert float(tokens) == pytest.approx(float(changes[own]["after"].iloc[0]), abs=0.051)
