"""`python -m mdlm_probe` is `mdlm-probe`."""

from mdlm_probe.cli import main

if __name__ == "__main__":  # processes that are spawned read this file, too
    main()
