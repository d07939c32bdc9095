"""`python -m mdlm_probe.lm_eval` is lm-eval's own command, which then knows `--model mdlm`.

lm-eval finds no models that other packages bring; so they are made known to it first, and all
arguments are lm-eval's. `mdlm-probe eval` does the same with resuming and intervals.
"""

from __future__ import annotations

import sys

from mdlm_probe.core.errors import ProbeError


def main() -> None:
    """Runs lm-eval's command line with our models registered."""
    from lm_eval.__main__ import cli_evaluate

    import mdlm_probe.harness.run  # noqa: F401  registers `mdlm`

    try:
        cli_evaluate()
    except ProbeError as error:
        sys.exit(f"Error: {error}")
