"""The tool in Python: the same names and defaults as on the command line."""

from mdlm_probe.api.calls import compare, load, run, study, tune
from mdlm_probe.api.loaded_run import Run
from mdlm_probe.core.errors import ProbeError

__all__ = ["ProbeError", "Run", "compare", "load", "run", "study", "tune"]
