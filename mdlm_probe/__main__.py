"""`python -m mdlm_probe` is `mdlm-probe`."""

from mdlm_probe.cli import main

main()
