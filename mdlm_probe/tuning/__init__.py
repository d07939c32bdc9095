"""Tuning: objectives, one file each, and the bundled models' own small trainer."""
