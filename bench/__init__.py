"""Speed and memory against a plain baseline in the same run, printed as ratios: `make bench`."""
