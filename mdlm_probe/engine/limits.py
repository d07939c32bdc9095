"""What the engine allows itself, for those who plan without torch as well."""

from __future__ import annotations

ROW_BYTES = 256 * 2**20
"""Most memory that rows of the output layer take at a time; more rows are done in turns."""

LARGEST = {"cpu": 8192, "cuda": 131072}
"""Tokens above which larger batches stop paying; measured in bench/engine.py for the CPU."""
