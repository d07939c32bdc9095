"""A run's rows in Python: what was measured and written."""

import made_runs
import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.reports.rows import load_run

TEXTS = ["007", "NA", "None", "", "a\nb\\n", "1e5", "True"]


def test_texts_are_what_was_written(tmp_path):
    rows = [{"model": "m", "answer": text, "nll": 0.5, "canvas": [text, [226]]} for text in TEXTS]
    made_runs.written(tmp_path, "shift", rows)
    frame = load_run(tmp_path)["shift"]
    assert frame["answer"].tolist() == TEXTS
    assert frame["canvas"].tolist() == [[text, [226]] for text in TEXTS]
    assert frame["nll"].sum() == len(TEXTS) / 2


def test_a_text_is_one_even_if_all_are_numbers(tmp_path):
    made_runs.written(tmp_path, "shift", [{"model": "m", "prompt": "007", "seed": 7}])
    frame = load_run(str(tmp_path))["shift"]
    assert frame.to_dict("records") == [{"model": "m", "prompt": "007", "seed": 7}]


def test_a_folder_without_rows_is_named(tmp_path):
    with pytest.raises(ProbeError, match="no rows in"):
        load_run(tmp_path)
