"""Probes: one file each; the file's name is the command."""
