"""The contract of modules that are found by their names: what each kind may declare, and must.

A probe's folder holds a `probe.py` and a `report.py`, and may hold a `charts.py` (else its charts
are in the report), `headlines.py`, `examples.py` and `card.py`; a format of exports is one file,
and so is an objective of tuning. What they declare is read by `value`, so that nobody reads a name
that isn't declared here.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from mdlm_probe.core.errors import ProbeError

Part = Literal[
    "probe",
    "columns",
    "report",
    "charts",
    "headlines",
    "examples",
    "card",
    "format",
    "objective",
]
"""What a module is to a probe, "format" for a file format of exports, "objective" for tuning."""


@dataclass(frozen=True)
class Attribute:
    """A name that a module may have.

    Attributes:
        type: of its value, as an annotation; "function" with its `parameters`, None for any.
        meaning: one line.
        required: whether every module of the kind has it.
        default: its value where a module doesn't have it.
        instead: another name, which a module may have in place of this one; "" for none.
    """

    type: str
    meaning: str
    required: bool = False
    default: Any = None
    parameters: tuple[str, ...] | None = None
    instead: str = ""


def function(
    meaning: str, *parameters: str, required: bool = False, any_parameters: bool = False
) -> Attribute:
    """A function of these parameters."""
    return Attribute("function", meaning, required, None, None if any_parameters else parameters)


PROBE = {
    "KINDS": Attribute(
        "tuple[Literal['masked', 'causal'], ...]", "kinds of models that it can ask", required=True
    ),
    "Cell": Attribute("type", "coordinates of one experiment, a frozen dataclass", required=True),
    "COLUMNS": Attribute(
        "tuple[Column, ...]",
        "what a row says, where there is one kind of rows",
        required=True,
        default=(),
        instead="OBSERVATIONS",
    ),
    "OBSERVATIONS": Attribute(
        "tuple[Observation, ...]", "kinds of rows, each with a file; the main one first", default=()
    ),
    "GRADIENTS": Attribute("bool", "whether it needs gradients", default=False),
    "JUDGED": Attribute("bool", "whether judges compare its answers", default=False),
    "plan": function("the cells, from options, as ranges", required=True, any_parameters=True),
    "sources": function("hashes of what is read", required=True, any_parameters=True),
    "suited": function("options that suit a model's attention, where users give none", "entry"),
    "unwritten": function(
        "optional columns that rows don't have, by resolved options and model", "options", "entry"
    ),
    "refuse": function("why a cell can't be asked of a model", "cell", "entry", required=True),
    "measure": function(
        "a cell and its rows (by kind, where there are OBSERVATIONS), once all is asked",
        "engine",
        "cells",
        required=True,
    ),
}
REPORT = {
    "tables": function("tables by name, from rows, or from rows by kind", "frame", required=True),
    "notes": function("what a reader should know of the rows, in sentences", "frame"),
    "PRINTED": Attribute("tuple[str, ...]", "tables that are printed; default: all"),
    "UNITS": Attribute(
        "dict[str, dict[str, str]]", "units of columns by table, other than the rows'", default={}
    ),
    "UNREAD": Attribute(
        "tuple[str, ...]", "columns that nothing is made of: they stay in the CSV", default=()
    ),
    "PAIRED": Attribute("tuple[Pairing, ...]", "what comparisons pair; default: cells", default=()),
}
CHARTS = {
    "CHARTS": Attribute("tuple[Chart, ...]", "what is drawn", default=()),
    "READ": Attribute("str", "how to read the charts", default=""),
    "TASK": Attribute("str", "the column whose values can be picked one by one", default=""),
    "MASKS": Attribute("str", "how many masks there are, with options in braces", default=""),
    "SAYS": Attribute("str", "what a paper says without figures", default=""),
    "PUBLISHED": Attribute("tuple[PublishedValue, ...]", "figures of papers", default=()),
    "ours": function("the same measures as PUBLISHED, from tables", "tables"),
    "ours_changed": function("how `ours` differ, from rows before and after", "before", "after"),
    "task_tables": function("tables of one task, where `tables` makes too many", "frame"),
}
HEADLINES = {
    "HEADLINES": Attribute("tuple[Headline, ...]", "figures it is known by", required=True),
}
EXAMPLES = {"of": function("single items to show", "rows", "limit", required=True)}
CARD = {
    "COMMAND": Attribute("str", "the command that measures what the section needs", required=True),
    "section": function("a model's section of a card", "tables", "model", required=True),
}
FORMAT = {
    "ROWS": Attribute("bool", "whether it holds rows beside tables", default=False),
    "BESIDE": Attribute("bool", "whether its files stand beside the run's own", default=False),
    "files": function("contents by path", "runs", "request"),
    "send": function("tracks runs elsewhere; what to tell the user", "runs", "request"),
}
OBJECTIVE = {
    "plan": function("the objective, from options", required=True, any_parameters=True),
}
CONTRACTS: dict[Part, dict[str, Attribute]] = {
    "probe": PROBE,
    "report": REPORT | CHARTS,
    "charts": CHARTS,
    "headlines": HEADLINES,
    "examples": EXAMPLES,
    "card": CARD,
    "format": FORMAT,
    "objective": OBJECTIVE,
    "columns": {},
}

NEAR = 0.82
"""How alike a name is to one of the contract's that it must be a misspelt one."""


def value(part: Part, module: ModuleType, name: str) -> Any:
    """What a module declares under a name of its contract, or the default."""
    return getattr(module, name, CONTRACTS[part][name].default)


def check(part: Part, name: str, module: ModuleType) -> None:
    """Refuses a module that lacks something, or in which a name of the contract is misspelt.

    Raises:
        ProbeError: what is missing, or the name that was meant.
    """
    own = {n for n, one in vars(module).items() if _own(module, n, one)}
    known = CONTRACTS[part]
    missing = [n for n in known if not hasattr(module, n)]
    for wrong in sorted(own - known.keys()):
        if near := _meant(wrong, missing):
            raise ProbeError(
                f"{module.__file__} has '{wrong}', which is read by nobody",
                expected=f"'{near}': {known[near].meaning}",
                hint="call it something else if it isn't meant to be that",
            )
    for needed in (n for n in missing if known[n].required and known[n].instead not in own):
        raise ProbeError(
            f"{module.__file__}: the {part} of '{name}' has no '{needed}'",
            expected=known[needed].meaning,
        )


def _own(module: ModuleType, name: str, found: Any) -> bool:
    """Whether a public name is the module's own: neither a module nor imported."""
    if name.startswith("_") or isinstance(found, ModuleType):
        return False
    return getattr(found, "__module__", module.__name__) == module.__name__


def _meant(wrong: str, missing: list[str]) -> str:
    """The missing name that one is so much alike that it must be meant; "" for none."""
    same = [name for name in missing if name.casefold() == wrong.casefold()]
    return next(iter(same or difflib.get_close_matches(wrong, missing, n=1, cutoff=NEAR)), "")
