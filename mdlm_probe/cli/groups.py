"""Groups of commands: one for each probe, or objective, of a folder, beside the group's own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import click
from click.shell_completion import CompletionItem

from mdlm_probe.cli import interrupts, output, screen
from mdlm_probe.core import catalog
from mdlm_probe.core.contract import Part
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.secrets import redacted
from mdlm_probe.core.threads import is_ctrl_c

STOPPED = "Stopped. What was written is kept; the same command, without --fresh, resumes."


def no_other(name: str) -> click.Command | None:
    """No command: a group that has none besides probes and its own."""
    return None


class ProbeGroup(click.Group):
    """A group whose commands are its own and one for each probe in the probes/ folder.

    Args:
        make: a probe's command, by the probe's name.
        part: "probe", or what else there is a command for each of.
        other: the command that a name stands for which is neither, or None.
        others: names that `other` knows, for suggestions and for completion.
        titles: heads of the help's two lists, probes and own commands.
        uses: what the group's own commands do, in place of a line for each; "" for the lines.
        given: what click's groups take.
    """

    def __init__(
        self,
        *given: Any,
        make: Callable[[str], click.Command],
        part: Part = "probe",
        other: Callable[[str], click.Command | None] = no_other,
        others: Callable[[], list[str]] = list,
        titles: tuple[str, str] = ("Probes", "Commands"),
        uses: str = "",
        **named: Any,
    ) -> None:
        super().__init__(*given, **named)
        self.make, self.part, self.other, self.others = make, part, other, others
        self.titles, self.uses = titles, uses

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Probes first, then the group's own commands."""
        return [*catalog.names(self.part), *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Builds a probe's command when it is asked for."""
        found = super().get_command(ctx, name)
        if found is None:
            known = name in catalog.names(self.part)
            found = self.make(name) if known else self.other(name)
        return found and output.with_options(found)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click's, with a suggestion for a wrong name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            error = catalog.unknown("command", args[0], [*self.list_commands(ctx), *self.others()])
            raise click.UsageError(str(error), ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Names that begin so, probes first; unlike click's, no probe is imported for it."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        rows = [
            *catalog.first_lines(self.part),
            *self._own(self.commands),
            *((name, "") for name in self.others()),
        ]
        return [
            CompletionItem(name, help=text) for name, text in rows if name.startswith(incomplete)
        ]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands alone: there is only --help and --version, and a screen is short."""
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists probes by their question, without importing them, then the group's own commands."""
        own = [] if self.uses else self._own(sorted(self.commands))
        for title, rows in zip(self.titles, (catalog.first_lines(self.part), own), strict=True):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
        if self.uses:
            with formatter.section(self.titles[1]):
                formatter.write_text(self.uses)

    def _own(self, names: Iterable[str]) -> list[tuple[str, str]]:
        return [(name, self.commands[name].get_short_help_str(70)) for name in names]


class MainGroup(ProbeGroup):
    """The group of all commands: whatever one of them raises comes to the screen here."""

    def main(self, *given: Any, **named: Any) -> Any:
        """As click's; that the reader of a pipe had enough, wherever it is noticed, is no error."""
        code: Any
        try:
            return super().main(*given, **named)
        except SystemExit as ended:
            code = ended.code
        except BrokenPipeError:  # nobody reads what is wrong with the command
            code = click.UsageError.exit_code
        screen.flush()
        sys.exit(code)

    def make_context(self, *given: Any, **named: Any) -> click.Context:
        """As click's, which prints the help here."""
        try:
            return super().make_context(*given, **named)
        except BrokenPipeError:
            raise click.exceptions.Exit(0) from None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As a probe group's; `help COMMAND` is `COMMAND --help`."""
        if args[:1] == ["help"]:
            if len(args) == 1:
                click.echo(ctx.get_help())
                ctx.exit()
            args = [*args[1:], "--help"]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; what a user can mend is a message and exit code 1, Ctrl-C is 130.

        Usage errors are click's own: exit code 2.
        """
        try:
            with interrupts.obeyed():
                return super().invoke(ctx)
        except click.ClickException as error:
            vars(error)["message"] = screen.visible(error.message)
            raise
        except ProbeError as error:
            code, said = 1, f"Error: {error}"
        except KeyboardInterrupt:
            code, said = 130, STOPPED
        except BrokenPipeError:
            code, said = 0, ""  # the reader of a pipe had enough
        except OSError as error:
            code, said = 1, redacted(f"Error: the system refused: {error}")
        except RuntimeError as error:
            if not is_ctrl_c(error):
                raise
            code, said = 130, STOPPED
        with suppress(BrokenPipeError):
            screen.echo(said, err=True, nl=bool(said))
        raise click.exceptions.Exit(code)
