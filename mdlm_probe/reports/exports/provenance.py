"""What a measurement was made of and with: its command, its model's numbers, its tool."""

from __future__ import annotations

import inspect
import shlex
from dataclasses import fields
from typing import Any

from mdlm_probe import models
from mdlm_probe.core import catalog
from mdlm_probe.models import LoadOptions

Entry = dict[str, Any]


def masked(entry: Entry) -> bool:
    """Whether a measurement's model is a masked one."""
    facts = entry.get("model", {})
    kind: str | None = facts.get("kind") or facts.get("entry", {}).get("kind")
    return kind == "masked"


def command(entry: Entry) -> str:
    """The command that measures the same: the options that aren't the probe's defaults.

    Defaults that the registry has for the model are given in full, since they may change.
    """
    config = entry["config"]
    given = {o.name: o.default for o in fields(LoadOptions)}
    changed = {n: v for n, v in config.get("load", {}).items() if v != given.get(n) and v}
    name = config["model"]
    registered = models.resolve(name).revision if name in models.names() else "main"
    if changed.get("revision") == registered:
        del changed["revision"]
    known = inspect.signature(catalog.load("probe", config["probe"]).plan).parameters
    own = entry.get("model", {}).get("entry", {}).get("defaults", {})
    kept = own | own.get("all", {}) | own.get(config["probe"], {})
    for option, value in config["options"].items():
        default = _plain(known[option].default) if option in known else None
        if value not in (None, []) and (default != value or option in kept):
            changed[option] = value
    source = name if name in models.names() else config.get("source") or name
    words = ["mdlm-probe", config["probe"], "--model", source]
    for option, value in changed.items():
        words += [f"--{option.replace('_', '-')}", _word(value)]
    return shlex.join(words)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def numbers(entry: Entry) -> str:
    """The number format of the weights, whether they are quantised, and where they ran."""
    facts = entry.get("model", {})
    quantised = facts.get("quantize") or entry["config"].get("load", {}).get("quantize")
    how = f"quantised to {quantised}" if quantised else "not quantised"
    return f"{facts.get('dtype', 'unknown')}, {how}, on {facts.get('device', 'unknown')}"


def version(entry: Entry) -> str:
    """The tool's versions that measured, oldest first."""
    found = [session.get("version", "unknown") for session in entry.get("sessions", [])]
    return ", ".join(dict.fromkeys(found)) or "unknown"
