"""What was run: models, masks, settings, machine and dates, from run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mdlm_probe.analysis.observed import Observed, count, where
from mdlm_probe.analysis.tables import MISSING
from mdlm_probe.core import catalog
from mdlm_probe.core.run_folder import probe_of
from mdlm_probe.reports.masks_used import DEFAULT, option_text

Entries = dict[str, dict[str, Any]]
"""The measurements of a run folder, as run.json holds them."""

SHORT = 12
"""Characters of a hash that are shown."""
WEIGHTS = "weights"


@dataclass(frozen=True)
class Facts:
    """What a section's rows are of.

    Attributes:
        models: each model's kind, revision, weights, number format and device, in a line.
        heads: the models (of judging: the judges).
        rows: the name of each fact, and what it is of each of them.
        left_out: what was asked, and isn't among the rows, and other things worth knowing.
    """

    models: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    left_out: tuple[str, ...]


def facts(frame: Observed, entries: Entries, notes: Sequence[str]) -> Facts:
    """The facts of a probe's measurements.

    Args:
        frame: the rows.
        entries: of this probe.
        notes: what else a reader should know.
    """
    heads = tuple(str(_config(e).get("model") or _config(e).get("judge")) for e in entries.values())
    each = [_of(name, entry, frame) for name, entry in entries.items()]
    names = list(dict.fromkeys(name for one in each for name in one))
    rows = [(name, tuple(one.get(name) or MISSING for one in each)) for name in names]
    rows = [(name, values) for name, values in rows if not {*values} <= {MISSING, DEFAULT}]
    models = tuple(_line(head, one) for head, one in zip(heads, each, strict=True))
    left_out = (*_left_out(entries), *notes)
    return Facts(models, heads, tuple(rows), left_out)


def _line(head: str, one: Mapping[str, str]) -> str:
    """What was run in a line."""
    said = [one[name] for name in ("kind", "source") if name in one]
    said += [f"{name} {one[name]}" for name in ("revision", WEIGHTS) if name in one]
    said += [one[name] for name in ("number format", "device") if name in one]
    return f"{head} ({', '.join(said)})" if said else head


def _config(entry: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = entry.get("config", {})
    return config


def _scorer(facts: Mapping[str, Any]) -> str | None:
    """A scorer's name, and how it is a relative of the model that it scored."""
    kin = facts.get("relation")
    return f"{facts['name']} ({kin})" if kin else facts.get("name")


def _of(name: str, entry: Mapping[str, Any], frame: Observed) -> dict[str, str]:
    """The facts of one measurement by name."""
    config, model, sessions = _config(entry), entry.get("model", {}), entry.get("sessions", [{}])
    registered, load = model.get("entry", {}), config.get("load", {})
    machine = (sessions or [{}])[-1].get("machine", {})
    libraries = machine.get("libraries", {})
    rows = where(frame, "model", config["model"]) if "model" in config else frame
    found = {
        "status": entry.get("status"),
        "kind": registered.get("kind"),
        "source": config.get("source") or registered.get("source"),
        "revision": model.get("commit") or model.get("revision") or load.get("revision"),
        WEIGHTS: str(model.get("weight_hash") or "")[:SHORT],
        "adapter": model.get("adapter") and str(model["adapter"]),
        "parameters": model.get("parameters") and f"{model['parameters']:,}",
        "number format": _formats(model),
        "scorer": _scorer(entry.get("scorer") or {}),
    }
    found |= {f"option {k}": option_text(v) for k, v in config.get("options", {}).items()}
    found |= {f"digest of {k}": str(v)[:SHORT] for k, v in (config.get("sources") or {}).items()}
    found |= {
        "shard": config.get("shard"),
        "cells": entry.get("cells") and str(entry["cells"]),
        "rows": str(count(rows)),
        "device": model.get("device_name") or model.get("device"),
        "machine": ", ".join(
            str(part)
            for part in (
                machine.get("cpu"),
                machine.get("cores") and f"{machine['cores']} cores",
                machine.get("platform"),
            )
            if part
        ),
        "versions": ", ".join(
            f"{k} {v}"
            for k, v in {
                "mdlm-probe": (sessions or [{}])[-1].get("version"),
                "Python": machine.get("python"),
                **{k: libraries.get(k) for k in ("torch", "transformers")},
            }.items()
            if v
        ),
        "commit": str(machine.get("commit") or "")[:SHORT],
        "started": (sessions or [{}])[0].get("started"),
        "ended": entry.get("ended"),
        "rows in": ", ".join(catalog.csv_names(probe_of(name, entry), name).values()),
    }
    return {k: str(v) for k, v in found.items() if v}


def _formats(model: Mapping[str, Any]) -> str:
    parts = (model.get("dtype"), model.get("quantize") and f"quantised {model['quantize']}")
    return ", ".join(str(part) for part in parts if part)


def _left_out(entries: Entries) -> list[str]:
    found = []
    for entry in entries.values():
        name = _config(entry).get("model", "")
        if shard := _config(entry).get("shard"):
            found.append(f"{name}: shard {shard} alone: {entry['cells']} of {entry['whole']} cells")
        for why, cells in entry.get("refused", {}).items():
            found.append(f"{name}: {cells} cells left out: {why}")
        found += [f"{name}: {event}" for event in entry.get("events", [])]
    return found
