"""The command line: options in, one call, tables out. Click and rich live here and nowhere else."""

from mdlm_probe.cli.commands import main

__all__ = ["main"]
