"""How many masks a measurement used, in words: it is part of every result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mdlm_probe.core.run_folder import probe_of

Entries = Mapping[str, Mapping[str, Any]]
"""The measurements of a run folder, as run.json holds them."""
DEFAULT = "default"


def entries_of(probe: str, entries: Entries) -> dict[str, Mapping[str, Any]]:
    """A probe's measurements; of judging those that were judged."""
    own = {name: entry for name, entry in entries.items() if probe_of(name, dict(entry)) == probe}
    judged = [name for entry in own.values() for name in entry.get("config", {}).get("of", ())]
    return {name: entries[name] for name in judged if name in entries} or own


def masks_used(form: str, entries: Entries) -> str:
    """How many masks; each model by itself only where they differ. Causal models have none.

    Args:
        form: with options in braces, such as "{masks} appended"; "" where a probe doesn't say: then
            the option `masks`.
        entries: of the probe.
    """
    found: dict[str, list[str]] = {}
    for entry in entries.values():
        config = entry.get("config", {})
        head = str(config.get("model") or config.get("judge"))
        options = {name: option_text(value) for name, value in config.get("options", {}).items()}
        causal = entry.get("model", {}).get("entry", {}).get("kind") == "causal"
        told = form or ("{masks}" if "masks" in options else "")
        try:
            said = "none, it is causal" if causal else told.format(**options)
        except KeyError:  # rows of another version
            continue
        if told:
            found.setdefault(said, []).append(head)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{', '.join(names)}: {said}" for said, names in found.items())


def option_text(value: Any) -> str:
    """An option's value as a person reads it."""
    if isinstance(value, list | tuple):
        return ", ".join(map(option_text, value)) if value else DEFAULT
    if value is None or value == "":
        return DEFAULT
    return f"{value:g}" if isinstance(value, float) else str(value)
