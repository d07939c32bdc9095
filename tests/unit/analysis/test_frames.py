"""The one reader of result CSVs: values, texts, and what can't be read."""

import csv
import ctypes
import io
import json
import signal
import sys
import threading

import pandas as pd
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st

from mdlm_probe.analysis import frames
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import value
from mdlm_probe.core.csv_text import lines_of, text_from
from mdlm_probe.core.errors import ProbeError

HEAD = {"model": "model", "answer": "answer"}


def write(folder, name, rows, status="finished", **entry):
    path = folder / f"{name}.csv"
    path.write_bytes(lines_of([HEAD, *rows], tuple(HEAD)))
    run = folder / "run.json"
    known = json.loads(run.read_text()) if run.exists() else {}
    config = {"probe": name.partition("__")[0]}
    run.write_text(json.dumps(known | {name: {"status": status, "config": config, **entry}}))
    return path


def rows(model, *answers):
    return [{"model": model, "answer": answer} for answer in answers]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1))
def test_texts_are_what_was_written(tmp_path_factory, answers):
    folder = tmp_path_factory.mktemp("run")
    path = write(folder, "shift__m", rows("m", *answers))
    found = frames.read_texts(path).to_pylist()
    assert [text_from(row["answer"] or "") for row in found] == answers
    by_hand = list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    assert [{name: text or "" for name, text in row.items()} for row in found] == by_hand


def test_values_are_numbers_where_all_of_a_column_is(tmp_path):
    path = write(tmp_path, "shift__m", rows("m", "007", "12", ""))
    assert frames.read_values(path)["answer"].tolist()[:2] == [7, 12]
    assert frames.read_texts(path)["answer"].to_pylist() == ["007", "12", None]
    assert frames.read_values(path, ["answer"])["answer"].tolist()[:2] == ["007", "12"]
    path = write(tmp_path, "shift__n", rows("n", "007", "NA"))
    assert frames.read_values(path)["answer"].tolist() == ["007", "NA"]


@pytest.mark.parametrize("answer", ["007", "True", "1e5", "inf"])
def test_columns_that_a_probe_declares_as_texts_are_texts(tmp_path, answer):
    write(tmp_path, "shift__m", rows("m", answer))
    assert frames.frames(tmp_path)[0]["shift"]["answer"].tolist() == [answer]


def test_a_row_may_be_longer_than_a_block(tmp_path):
    long = "a, " * frames.BLOCK
    path = write(tmp_path, "shift__m", rows("m", "short", long, "short"))
    assert frames.read_texts(path)["answer"].to_pylist() == ["short", long, "short"]
    assert frames.read_values(path)["answer"].tolist() == ["short", long, "short"]


def test_a_half_written_line_counts_for_nothing(tmp_path):
    path = write(tmp_path, "shift__m", rows("m", "one", "two"))
    whole = path.read_bytes()
    starts = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for size in range(starts[0], len(whole)):
        path.write_bytes(whole[:size])
        lines = sum(start <= size for start in starts[1:])
        assert len(frames.read_texts(path)) == len(frames.read_values(path)) == lines


ODD = {
    "numbers and words": "1|x|2",
    "words for no number": "1|nan|2",
    "not numbers alone": "nan|nan",
    "infinite": "1|inf|-inf",
    "capitals": "Infinity|NaN|NA|None|null",
    "yes and no": "True|False|True",
    "whole and not": "1|2.5|3",
    "whole and none": "1||3",
    "none": "||",
    "zeros before": "007|012",
    "signs": "+5|-5|-0",
    "powers": "1e5|2E-3|1e400",
    "points": "1.|.5|-.5",
    "beyond whole numbers": "9223372036854775807|9223372036854775808",
    "beyond all": "123456789012345678901234567890|1",
    "spaces": " 1|2 | 3 ",
    "days": "2024-01-01|2024-01-02",
    "times": "2024-01-01 10:00:00|12:30",
    "sixteens": "0x10|1_000",
    "many digits": "0.1234567890123456789|1234.56789012345678",
    "quotes": '"a"|a,b|"|\'',
    "escapes": "a\nb|\\|\r",
    "others' letters": "ünï|日本|🙂",
}


@pytest.mark.parametrize("texts", [(), ("answer",)], ids=["guessed", "declared"])
@pytest.mark.parametrize("values", ODD.values(), ids=ODD)
def test_values_are_as_pandas_reads_them(tmp_path, values, texts):
    path = write(tmp_path, "shift__m", rows("m", *values.split("|")))
    _as_pandas_reads(path, texts)


def _as_pandas_reads(path, texts):
    kinds = dict.fromkeys(texts, str)
    known = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=kinds)
    pd.testing.assert_frame_equal(frames.read_values(path, texts), known, check_exact=True)


@pytest.mark.parametrize("probe", catalog.names("probe"))
def test_values_of_the_committed_run_are_as_pandas_reads_them(probe):
    (path, *_) = sorted((reference.FOLDER / probe).glob(f"{probe}__*.csv"))
    _as_pandas_reads(path, catalog.columns_of_type(probe, str))


@pytest.mark.parametrize(
    "text",
    [
        "model,a\n",
        "model,a\r\nm,1\r\n",
        "model,a\n\nm,1\n\n",
        'model,a\nm,"1\n2"\n',
        '"a,b",c\n1,2\n',
        "a,a\n1,2\n",
        "model,a\nm\n",
        "\ufeffmodel,a\nm,1\n",
    ],
)
def test_files_of_another_hand_are_as_pandas_reads_them(tmp_path, text):
    path = tmp_path / "shift__m.csv"
    path.write_bytes(text.encode())
    _as_pandas_reads(path, ())


def test_columns_that_reports_make_nothing_of_stay_in_the_csv(tmp_path):
    write(tmp_path, "shift__m", rows("m", "one"))
    optional = [c.name for c in catalog.columns("shift") if c.optional]
    unread = catalog.load("report", "shift").UNREAD
    assert list(frames.frames(tmp_path)[0]["shift"]) == ["model", "answer", *optional]
    some = [name for name in optional if name not in unread]
    assert list(frames.frames(tmp_path, whole=False)[0]["shift"]) == ["model", *some]


def test_columns_that_a_run_does_not_write_are_empty_and_others_are_refused(tmp_path):
    path = write(tmp_path, "shift__m", rows("m", "one"))
    assert frames.frames(tmp_path)[0]["shift"]["nll"].isna().all()
    path.write_text("model,answer,diverged\nm,one,3\n")
    with pytest.raises(ProbeError, match="columns of another version: diverged") as error:
        frames.frames(tmp_path)
    assert "--fresh measures anew" in error.value.hint


def test_a_damaged_file_cannot_be_read(tmp_path):
    path = write(tmp_path, "shift__m", rows("m", "one"))
    path.write_bytes(path.read_bytes() + b"m,a,more\n")
    with pytest.raises(ProbeError, match="cannot read"):
        frames.frames(tmp_path, whole=False)


@pytest.mark.parametrize("name", catalog.names("report"))
def test_what_stays_in_the_csv_is_text_and_no_coordinate(name):
    unread = value("report", catalog.load("report", name), "UNREAD")
    types = {c.name: c.type for c in catalog.columns(name)}
    assert all(types[column] in (str, list) for column in unread)
    assert not {c.name for c in catalog.coordinates(name)} & {*unread}


@pytest.mark.parametrize("harm", [b"m,a,more\n", b"m\n", b"m,\xff\n"])
def test_damage_is_an_error_that_names_the_file(tmp_path, harm):
    path = write(tmp_path, "shift__m", rows("m", "one"))
    path.write_bytes(path.read_bytes() + harm)
    with pytest.raises(ProbeError, match=r"cannot read .*shift__m\.csv"):
        frames.read_texts(path)


@pytest.fixture
def damaged(tmp_path):
    """A run of three, the second of which can't be read."""
    for model in ("one", "two", "three"):
        write(tmp_path, f"shift__{model}", rows(model, "a", "b"))
    write(tmp_path, "shift__three", rows("three", "c"), status="started", cells=2)
    path = tmp_path / "shift__two.csv"
    path.write_bytes(path.read_bytes() + b"m,a,more\n")
    return tmp_path


def test_what_can_not_be_read_is_noted(damaged):
    found, notes, entries = frames.frames(damaged)
    assert list(entries) == ["shift__one", "shift__three"]
    assert found["shift"]["model"].tolist() == ["one", "one", "three"]
    assert notes[0].startswith("shift__two is left out: cannot read")
    assert notes[1].startswith("shift__three is unfinished (1 rows, 2 cells planned)")
    assert len(notes) == 2


def test_where_nothing_can_be_read_that_is_the_error(damaged):
    for model in ("one", "three"):
        (damaged / f"shift__{model}.csv").unlink()
    with pytest.raises(ProbeError, match=r"cannot read .*shift__two\.csv"):
        frames.frames(damaged)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system who handles a signal")
def test_ctrl_c_stays_python_s_while_rows_are_read(tmp_path):
    """Arrow's reader may handle it meanwhile, and drops one that comes at the end of a file."""
    path, over, handlers = tmp_path / "locality__m.csv", threading.Event(), set()
    path.write_text("model,set,item\n" + "m,verb,1\n" * 100_000)
    system = ctypes.CDLL(None)

    def watch():
        action = (ctypes.c_uint64 * 32)()
        while not over.is_set():
            system.sigaction(signal.SIGINT, None, ctypes.byref(action))
            handlers.add(action[0])

    watching = threading.Thread(target=watch)
    watching.start()
    for _ in range(5):
        frames.read_texts(path)
    over.set()
    watching.join()
    assert len(handlers) == 1
