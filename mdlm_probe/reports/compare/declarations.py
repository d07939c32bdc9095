"""What probes and their reports declare of comparisons: what is compared, what must be equal."""

from __future__ import annotations

from collections.abc import Sequence

from mdlm_probe.analysis import pairing as _pairing
from mdlm_probe.analysis.observed import Observed, by_kind
from mdlm_probe.analysis.pairing import Pairing
from mdlm_probe.core import catalog, columns
from mdlm_probe.core.contract import value
from mdlm_probe.core.options import Traits


def pairings(probe: str, rows: Observed) -> tuple[Pairing, ...]:
    """What is compared of a probe: as its report says, or every number of every cell."""
    found: tuple[Pairing, ...] = ()
    if probe in catalog.names("report"):
        found = value("report", catalog.load("report", probe), "PAIRED")
    names = coordinates(probe)
    return found or tuple(
        _pairing.plain(frame, names, kind) for kind, frame in by_kind(rows).items()
    )


def coordinates(probe: str) -> list[str]:
    """The coordinates of a probe's cells; none of what isn't a probe, such as verdicts."""
    if probe not in catalog.names("probe"):
        return []
    return list(columns.names(catalog.coordinates(probe)))


def held(probe: str) -> dict[str, str]:
    """The option whose value a coordinate holds, by the coordinate: most are of the same name."""
    if probe not in catalog.names("probe"):
        return {}
    return {column.name: column.option or column.name for column in catalog.coordinates(probe)}


def freed(probe: str, across: Sequence[str]) -> set[str]:
    """What may differ by the names a user gave: their ends, and coordinates that hold options."""
    ends = {name.rpartition(".")[2] for name in across}
    return ends | {name for name, option in held(probe).items() if option in ends}


def comparable(probe: str) -> list[str]:
    """Coordinates that must be equal: all but names of files, which may have moved.

    The hashes in `sources` say whether these are the same.
    """
    if probe not in catalog.names("probe"):
        return []
    return [column.name for column in catalog.coordinates(probe) if not column.file]


def amounts(probe: str) -> set[str]:
    """Options that only say how much is measured; none of what this version doesn't know."""
    return {name for name, traits in _traits(probe).items() if traits.amount}


def unbinding(probe: str) -> set[str]:
    """Options that may differ: amounts, and those that change no number or are hashed."""
    return amounts(probe) | {name for name, traits in _traits(probe).items() if traits.uncompared}


def _traits(probe: str) -> dict[str, Traits]:
    known = (*catalog.names("probe"), catalog.JUDGE)
    return catalog.traits(probe) if probe in known else {}
