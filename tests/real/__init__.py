"""Checks on real weights, by hand: `make real`."""
