"""The whole lines of a file that is being written."""

import pytest

from mdlm_probe.core import whole_lines
from mdlm_probe.core.whole_lines import WholeLines


@pytest.mark.parametrize("piece", [1, 3, 2**16])
@pytest.mark.parametrize("text", [b"", b"half", b"one\n", b"one\nha", b"one\n\ntwo\nhalf"])
def test_what_is_half_written_is_not_there(tmp_path, monkeypatch, text, piece):
    monkeypatch.setattr(whole_lines, "PIECE", piece)
    path = tmp_path / "rows.csv"
    path.write_bytes(text)
    whole = text[: text.rfind(b"\n") + 1]
    with path.open("rb") as file:
        lines = WholeLines(file)
        with path.open("ab") as more:  # by the process that measures, meanwhile
            more.write(b" written\nsince\n")
        assert lines.size == len(whole)
        assert lines.head() == whole[: whole.find(b"\n") + 1]
        for size in (2, None):
            lines.rewind()
            assert b"".join(iter(lambda size=size: lines.read(size), b"")) == whole
