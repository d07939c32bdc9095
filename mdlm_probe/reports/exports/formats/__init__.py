"""Formats of exports: one file each, found by its name."""
