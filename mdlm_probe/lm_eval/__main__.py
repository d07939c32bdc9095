"""`python -m mdlm_probe.lm_eval`."""

from mdlm_probe.lm_eval import main

if __name__ == "__main__":  # processes that are spawned read this file, too
    main()
