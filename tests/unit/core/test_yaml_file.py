"""YAML of anybody: read, or refused with file and line; never a traceback, never a wait."""

from pathlib import Path

import pytest

from mdlm_probe.core import yaml_file
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.yaml_file import Document

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)


def document(tmp_path: Path, text: str) -> Document:
    path = tmp_path / "some.yaml"
    path.write_text(text)
    return Document(path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.getcwd []\n", "line 2, field 'b': found the tag"),
        ("a: !unknown x\n", "line 1, field 'a': could not determine a constructor"),
        ("a: !!int abc\n", "field 'a': 'abc' is no int"),
        ("a: !!float x\n", "field 'a': 'x' is no float"),
        ("a: !!bool maybe\n", "field 'a': 'maybe' is no bool"),
        ("a: !!timestamp x\n", "field 'a': 'x' is no timestamp"),
        ("a: 2001-99-99\n", "field 'a': '2001-99-99' is no timestamp"),
        ("a: !!set {x, y}\n", "field 'a': found the tag"),
        ("a: " + "9" * 10_000 + "\n", r"field 'a': '9{40}'\.\.\. is no int"),
        ("? [a, b]\n: c\n", "line 1: no name"),
        ("? {a: b}\n: c\n", "line 1: no name"),
        ("a: 1\nb: 2\na: 3\n", "line 3, field 'a': stands twice"),
        ("a: {b: 1, b: 2}\n", r"line 1, field 'a\.b': stands twice"),
        ("a: " + "[" * 5000 + "]" * 5000, "line 1: too many levels"),
        ("a: " + "- " * 500 + "x", "line 1: |is not valid YAML"),
        ("a: &a [*a]\n", "an anchor inside itself"),
        ("a: &a {b: *a}\n", "an anchor inside itself"),
        (LAUGHS, "stands for more than 200000 values"),
        ("a: *unknown\n", "is not valid YAML"),
        ("---\na: 1\n---\nb: 1\n", "is not valid YAML"),
        ("a: \x00\n", "is not valid YAML"),
        ("[1]\n", "found list"),
        ("", "found NoneType"),
        ("x" * (yaml_file.LARGEST + 1), "no YAML for people"),
    ],
)
def test_what_is_no_file_of_fields_is_refused(tmp_path, text, message):
    with pytest.raises(ProbeError, match=message):
        document(tmp_path, text)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "some.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(ProbeError, match="cannot read"):
        Document(tmp_path / "some.yaml")


def test_what_people_write_is_read(tmp_path):
    found = document(tmp_path, "a: &x [1, 2.5, yes, ~]\nb: {c: *x, d: !!str 7}\n1: |\n  text\n")
    assert found.data == {"a": [1, 2.5, True, None], "b": {"c": [1, 2.5, True, None], "d": "7"}} | {
        "1": "text\n"
    }
