"""Pipes that close, colours, `help`, and what is started as a module."""

import json
import os
import runpy
import sys

import pytest
from commands import call
from rich.table import Table

from mdlm_probe import cli
from mdlm_probe.cli import screen
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import Screen
from mdlm_probe.cli.show import echo_table


class Closed:
    """A stream whose reader is gone: all that is written, or only what is flushed, fails."""

    encoding = "utf-8"

    def __init__(self, buffers):
        self._buffers = buffers

    def write(self, text):
        if not self._buffers:
            raise BrokenPipeError(32, "Broken pipe")
        return len(text)

    def flush(self):
        raise BrokenPipeError(32, "Broken pipe")

    def isatty(self):
        return False

    def fileno(self):
        raise OSError("a stream without a number")


@pytest.mark.parametrize("buffers", [False, True])
@pytest.mark.parametrize("arguments", [["--help"], ["tasks"], ["models"], ["probes"], ["help"]])
def test_a_reader_that_had_enough_is_no_error(arguments, buffers, monkeypatch):
    monkeypatch.setattr(sys, "stdout", Closed(buffers))
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert not ended.value.code


MEASURED = "locality -m oracle --limit 2 --tasks verb-smallest --positions 0".split()


@pytest.mark.slow
def test_a_measurement_that_nobody_reads_to_the_end_is_no_success(tmp_path, monkeypatch, undrawn):
    """Its rows stay, and the same command ends it; so does a study's."""
    study = tmp_path / "study.yaml"
    run = {"model": ["oracle"], "limit": 2, "tasks": ["verb-smallest"], "positions": [0]}
    study.write_text(json.dumps({"runs": {"locality": run}}))
    for typed in (MEASURED, ["study", str(study)]):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", Closed(buffers=False))
            with pytest.raises(SystemExit) as ended:
                cli.main([*typed, "-o", str(tmp_path / typed[0])])
        assert ended.value.code == screen.CUT_SHORT
    call(*MEASURED, "-o", tmp_path / "locality")
    entry = json.loads((tmp_path / "locality" / "run.json").read_text())["locality__oracle"]
    assert entry["status"] == "finished"


@pytest.mark.slow
def test_tables_that_nobody_reads_to_the_end_are_no_error(tmp_path, monkeypatch, undrawn):
    """All is measured, and its files are there."""
    monkeypatch.setattr(sys, "stdout", Closed(buffers=False))
    with pytest.raises(SystemExit) as ended:
        cli.main([*MEASURED, "-q", "-o", str(tmp_path)])
    assert not ended.value.code
    assert (tmp_path / "locality-accuracy.csv").exists()


@pytest.mark.parametrize("buffers", [False, True])
def test_an_error_stays_one_though_nobody_reads_it(buffers, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Closed(buffers))
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(tmp_path / "nope")])
    assert ended.value.code == 1


def test_what_waits_for_a_closed_pipe_goes_nowhere(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("waits")
        screen.flush()
        stream.write("goes on")
        stream.flush()


def test_streams_that_are_not_there_need_no_flush(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    screen.flush()


@pytest.mark.parametrize(("setting", "coloured"), [("", True), ("1", False)])
def test_no_color_is_obeyed(setting, coloured, monkeypatch, capsys):
    monkeypatch.setenv("NO_COLOR", setting)
    monkeypatch.setenv("TERM", "xterm-256color")
    drawn = Screen(force_terminal=True, width=40)
    table = Table(header_style="red")
    table.add_column("head")
    drawn.print(table)
    assert ("\x1b[31m" in capsys.readouterr().out) is coloured


@pytest.mark.parametrize("path", [["masks"], ["plan", "locality"], ["report"], ["plan"]])
def test_help_of_a_command(path):
    assert call("help", *path).output == call(*path, "--help").output


def test_help_alone_is_that_of_all():
    assert call("help").output == call("--help").output
    assert "did you mean 'masks'" in call("help", "maks", code=2).output


def test_importing_the_module_that_starts_it_starts_nothing():
    """As processes that are spawned do."""
    runpy.run_module("mdlm_probe.__main__", run_name="__mp_main__")


ESCAPE = "a\x1b]0;x\x07b\x9bc\r"
SHOWN = "a\\x1b]0;x\\x07b\\x9bc\\r"


def test_what_steers_a_terminal_is_shown():
    assert screen.visible(ESCAPE + "\n\té☃") == SHOWN + "\n\té☃"


def test_no_error_note_or_table_steers_a_terminal(tmp_path, capsys):
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"id": ESCAPE, "prompt": ""}) + "\n" + json.dumps({"id": 1}))
    said = call("generate", "--prompts", f"/{ESCAPE}.jsonl", code=1).output
    said += call(ESCAPE, code=2).output + call("masks", "--masks", ESCAPE, code=1).output
    study = tmp_path / "s.yaml"
    study.write_text(f"runs:\n  {json.dumps(ESCAPE)}: {{probe: nope}}\n")
    said += call("study", study, code=1).output
    assert SHOWN in said
    echo_table([ESCAPE], [[ESCAPE]])
    with Bar(quiet=False) as bar:
        bar.note(ESCAPE)
    out, err = capsys.readouterr()
    for text in (said, out, err):
        assert not {"\x1b", "\x07", "\x9b"} & set(text)
        assert SHOWN[:-2] in text
