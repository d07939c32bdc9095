"""Queries through the network in batches, and what is read from each position."""
