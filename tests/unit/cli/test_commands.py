"""Every file in cli/commands is a command; what any of them raises comes to the screen once."""

import click
import pytest
from click.testing import CliRunner

from mdlm_probe import cli
from mdlm_probe.cli.groups import STOPPED, MainGroup
from mdlm_probe.core import catalog
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.files import PACKAGE

FILES = sorted(path.stem for path in (PACKAGE / "cli" / "commands").glob("[!_]*.py"))


def test_the_commands_are_the_files():
    assert "compare" in FILES
    assert sorted(cli.main.commands) == FILES
    assert all(name == command.name for name, command in cli.main.commands.items())


@pytest.mark.parametrize("name", [*FILES, *catalog.names("probe")])
def test_a_command_says_what_it_is_and_shows_a_line_to_type(name):
    command = cli.main.get_command(click.Context(cli.main), name)
    assert command.help or command.callback.__doc__
    assert f"Example: mdlm-probe {name}" in command.help
    assert len(command.get_short_help_str(100)) > 20
    assert all(o.help for o in command.params if isinstance(o, click.Option) and o.name != "help")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ProbeError("a", expected="b", hint="c"), 1, "Error: a\nexpected: b\nhint: c\n"),
        (KeyboardInterrupt(), 130, STOPPED),
        (BrokenPipeError(), 0, ""),
        (PermissionError(13, "Permission denied"), 1, "Error: the system refused: [Errno 13] Perm"),
        (click.UsageError("no such thing"), 2, "Error: no such thing"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_errors_are_messages_and_exit_codes(error, code, said, nested):
    def fails():
        raise error

    group = MainGroup("main", make=lambda name: click.Command(name))
    inner = click.Group("inner") if nested else group
    inner.add_command(click.Command("fails", callback=fails))
    if nested:
        group.add_command(inner)
    result = CliRunner().invoke(group, [*(["inner"] if nested else []), "fails"])
    assert result.exit_code == code
    assert said in result.stderr
    assert bool(result.stderr) == bool(said)
    assert result.stdout == ""


def test_what_is_a_defect_is_not_hidden():
    def fails():
        raise ZeroDivisionError

    group = MainGroup("main", make=lambda name: click.Command(name))
    group.add_command(click.Command("fails", callback=fails))
    assert isinstance(CliRunner().invoke(group, ["fails"]).exception, ZeroDivisionError)
