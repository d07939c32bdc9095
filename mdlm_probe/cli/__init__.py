"""The command line: options in, one call, tables out. Click and rich live here and nowhere else."""

from mdlm_probe.cli import environment

environment.clean()  # before any library is imported that reads it

try:
    from mdlm_probe.cli.commands import main
except KeyboardInterrupt:  # nothing has begun: nothing is to be said
    raise SystemExit(130) from None

__all__ = ["main"]
