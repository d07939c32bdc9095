"""Ctrl-C that comes in a `__del__`, where Python drops errors, ends the command all the same."""

import _thread
import sys
import time

import click
import pytest
from click.testing import CliRunner

from mdlm_probe.cli.groups import STOPPED, MainGroup
from mdlm_probe.cli.interrupts import LATER, obeyed

PATIENCE = 30  # seconds


class Stops:
    """Something in whose clearing up Ctrl-C comes."""

    def __del__(self):
        _thread.interrupt_main()
        for _ in range(1000):  # the mark is looked at between two lines
            pass


def work():
    Stops()
    for _ in range(PATIENCE * 100):
        time.sleep(0.01)
    pytest.fail("it goes on")


def test_what_is_dropped_comes_again():
    with pytest.raises(KeyboardInterrupt), obeyed():
        work()


def test_what_follows_is_not_stopped():
    with obeyed():
        Stops()
    time.sleep(3 * LATER)


def test_a_command_ends():
    group = MainGroup("main", make=lambda name: click.Command(name))
    group.add_command(click.Command("works", callback=work))
    result = CliRunner().invoke(group, ["works"])
    assert (result.exit_code, result.stdout) == (130, "")
    assert STOPPED in result.stderr


def broken(cause):
    try:
        raise cause
    finally:
        raise RuntimeError("release unlocked lock")


def test_a_lock_that_it_breaks_is_no_error_of_its_own():
    group = MainGroup("main", make=lambda name: click.Command(name))
    group.add_command(click.Command("works", callback=lambda: broken(KeyboardInterrupt)))
    group.add_command(click.Command("fails", callback=lambda: broken(ValueError)))
    result = CliRunner().invoke(group, ["works"])
    assert result.exit_code == 130
    assert STOPPED in result.stderr
    assert isinstance(CliRunner().invoke(group, ["fails"]).exception, RuntimeError)


def test_other_errors_are_dropped_as_ever(monkeypatch):
    class Fails:
        def __del__(self):
            raise ZeroDivisionError

    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    with obeyed():
        Fails()
    assert [found.exc_type for found in dropped] == [ZeroDivisionError]
    assert sys.unraisablehook == dropped.append
