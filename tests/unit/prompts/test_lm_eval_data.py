"""Documents from files: cells and values are what stands there."""

import json

import pytest

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.prompts import lm_eval_columns, lm_eval_data

TASK = {
    "task": "t",
    "output_type": "multiple_choice",
    "test_split": "test",
    "doc_to_text": "{{question}}",
    "doc_to_choice": ["a", "b", "3"],
    "doc_to_target": "answer",
}
ODD = ["None", "NA", "null", "007", "", "nan", "1e5", "True", " x ", "1.10", "2020-01-01", "\u2028"]


def documents(made):
    return made["custom_dataset"]()["test"].to_list()


def write(path, text):
    path.write_bytes(text.encode())
    return str(path)


@pytest.mark.parametrize("mark", [",", "\t"])
def test_cells_are_the_texts_that_stand_there(tmp_path, mark):
    rows = "".join(f'"{cell}"{mark}a\n' for cell in ODD)
    path = write(tmp_path / ("x.csv" if mark == "," else "x.tsv"), f"question{mark}answer\n{rows}")
    found = documents(lm_eval_data.own("t", path, TASK))
    assert [row["question"] for row in found] == ODD
    kwargs = {"data_files": {"test": path}}
    given = TASK | {"dataset_path": "csv", "dataset_kwargs": kwargs}
    assert documents(lm_eval_data.beside(tmp_path / "t.yaml", given)) == found


def test_a_text_of_several_lines_is_a_cell(tmp_path):
    path = write(tmp_path / "x.csv", '\ufeffquestion,answer\r\n"one\ntwo, ""three""",b\r\n\r\n')
    (row,) = documents(lm_eval_data.own("t", path, TASK))
    assert row == {"question": 'one\ntwo, "three"', "answer": "b"}


def test_the_number_of_a_choice_is_a_number_and_its_text_a_text(tmp_path):
    """lm-eval takes a text that is no choice for a wrong label, without a word."""
    path = write(tmp_path / "x.csv", "question,answer\n1,1\n2,01\n3,b\n4,3\n")
    with pytest.raises(ProbeError, match="row 3 has 'b' in the column 'answer'"):
        lm_eval_data.own("t", path, TASK)
    path = write(tmp_path / "x.csv", "question,answer\n1,1\n2,0\n")
    assert [row["answer"] for row in documents(lm_eval_data.own("t", path, TASK))] == [1, 0]
    path = write(tmp_path / "x.csv", "question,answer\n1,3\n2,b\n")
    assert [row["answer"] for row in documents(lm_eval_data.own("t", path, TASK))] == ["3", "b"]
    written = TASK | {"output_type": "generate_until", "doc_to_choice": None}
    path = write(tmp_path / "x.csv", "question,answer\n1,007\n")
    assert documents(lm_eval_data.own("t", path, written))[0]["answer"] == "007"


@pytest.mark.parametrize(
    "template",
    [
        "{{choices[n]}}",
        "{{n + 1}}",
        "{{ 2 * n }}",
        "{% if n == 0 %}a{% endif %}",
        "{% for c in x %}{% if loop.index0 == n %}{{c}}{% endif %}{% endfor %}",
        "{% for i in range(n) %}x{% endfor %}",
        "{{ {0: 'a', 1: 'b'}[n] }}",
        "{{ x[:n] }}",
        "{{ -n }}",
    ],
)
def test_columns_that_a_task_counts_with_are_numbers(template):
    assert lm_eval_columns.numeric({"doc_to_text": template}) == {"n"}


@pytest.mark.parametrize(
    "template",
    ["{{n}}", "{{n + x}}", "{{ '%s' % n }}", "{{ {'a': 'b'}[n] }}", "{% if n == 'a' %}{% endif %}",
     "n", "{{n.x}}", "{{ n | upper }}", "{% if n == true %}{% endif %}"],
)  # fmt: skip
def test_others_are_texts(template):
    assert lm_eval_columns.numeric({"doc_to_text": template}) == set()


def test_a_cell_that_must_be_a_number_and_is_none_is_named(tmp_path):
    task = TASK | {"doc_to_text": "{{ 'abc'[n] }}"}
    path = write(tmp_path / "x.csv", "n,answer\n2,a\n1.5,a\n")
    with pytest.raises(ProbeError, match="of another kind"):
        lm_eval_data.own("t", path, task)
    path = write(tmp_path / "x.csv", "n,answer\n2,a\nNA,a\n")
    with pytest.raises(ProbeError, match=r"--data: .*row 2 has 'NA' in the column 'n'"):
        lm_eval_data.own("t", path, task)
    path = write(tmp_path / "x.csv", "n,answer\n2,a\n01,a\n")
    assert [row["n"] for row in documents(lm_eval_data.own("t", path, task))] == [2, 1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,answer\na,b,c\n", "line 2 has 3 cells, the header has 2"),
        ("question,question\na,b\n", "two columns are called 'question'"),
        ("question,answer\n", "holds no table"),
        ("", "holds no table"),
        ("question,answer\nx,\0\n", ""),
    ],
)
def test_a_csv_that_is_none_is_refused(tmp_path, text, message):
    path = write(tmp_path / "x.csv", text)
    if message:
        with pytest.raises(ProbeError, match=message):
            lm_eval_data.own("t", path, TASK)
    else:
        assert documents(lm_eval_data.own("t", path, TASK))[0]["answer"] == "\0"


def test_json_is_what_it_says(tmp_path):
    """Not cut at U+2028, no dates made of texts, no names lost."""
    rows = [{"question": f"{odd}\u2028\x85", "answer": 0, "more": {"a": odd}} for odd in ODD]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = write(tmp_path / "x.jsonl", lines)
    assert documents(lm_eval_data.own("t", path, TASK)) == rows
    whole = write(tmp_path / "x.json", json.dumps(rows))
    assert documents(lm_eval_data.own("t", whole, TASK)) == rows
    kwargs = {"data_files": {"test": "x.jsonl"}}
    given = TASK | {"dataset_path": "json", "dataset_kwargs": kwargs}
    assert documents(lm_eval_data.beside(tmp_path / "t.yaml", given)) == rows


def test_values_of_several_kinds_in_a_column_are_named(tmp_path):
    path = write(
        tmp_path / "x.jsonl", '{"question": 1, "answer": 0}\n{"question": 1.5, "answer": 0}\n'
    )
    with pytest.raises(ProbeError, match=r"row 1: 1 in column 'question'.*read as 1\.0"):
        lm_eval_data.own("t", path, TASK)
    path = write(
        tmp_path / "x.jsonl", '{"question": 1, "answer": 0}\n{"question": "a", "answer": 0}\n'
    )
    with pytest.raises(ProbeError, match="are no table"):
        lm_eval_data.own("t", path, TASK)


def test_what_some_rows_of_a_task_s_file_lack_is_none(tmp_path):
    write(
        tmp_path / "x.jsonl",
        '{"question": "a", "answer": 0}\n{"question": "b", "answer": 1, "z": "c"}\n',
    )
    kwargs = {"data_files": {"test": "x.jsonl"}}
    given = TASK | {"dataset_path": "json", "dataset_kwargs": kwargs}
    found = documents(lm_eval_data.beside(tmp_path / "t.yaml", given))
    assert [row["z"] for row in found] == [None, "c"]


def test_other_arguments_of_a_reader_stay_its_own(tmp_path):
    write(tmp_path / "x.csv", "question;answer\nNA;a\n")
    kwargs = {"data_files": {"test": "x.csv"}, "sep": ";"}
    given = TASK | {"dataset_path": "csv", "dataset_kwargs": kwargs}
    assert lm_eval_data.beside(tmp_path / "t.yaml", given) == {
        "dataset_kwargs": {
            "data_files": {"test": str(tmp_path / "x.csv")},
            "sep": ";",
            "keep_default_na": False,
        }
    }
