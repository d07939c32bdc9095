"""The command line: options in, one call, tables out. Click and rich live here and nowhere else."""

from mdlm_probe.cli import environment

environment.clean()  # before any library is imported that reads it

from mdlm_probe.cli.commands import main  # noqa: E402

__all__ = ["main"]
