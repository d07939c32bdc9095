"""`python -m mdlm_probe.cli` is `mdlm-probe`."""

from mdlm_probe.cli import main

main()
