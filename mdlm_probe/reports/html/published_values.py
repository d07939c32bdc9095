"""Published figures beside ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType

from mdlm_probe.analysis.frames import Tables
from mdlm_probe.analysis.published import OwnValue, PublishedValue
from mdlm_probe.analysis.tables import MISSING
from mdlm_probe.core.contract import value
from mdlm_probe.reports.html.page_tables import PageTable, interval, number

UNRUN = "Published figures of models that weren't run"


def table(module: ModuleType, tables: Tables, *, run: bool = True) -> PageTable | None:
    """A probe's published figures next to ours, measure by measure; None where there are none.

    Args:
        module: with the probe's charts.
        tables: the report's.
        run: whether the models are those that were run, or the others.

    A probe's page has PUBLISHED, figures, and `ours`, which finds the same measures in the
    report's tables.
    """
    published: tuple[PublishedValue, ...] = value("charts", module, "PUBLISHED")
    ours: Callable[[Tables], Iterable[OwnValue]] | None = value("charts", module, "ours")
    if not published or not ours:
        return None
    measured = {(one.what, one.model): one for one in ours(tables)}
    rows = []
    for what in dict.fromkeys(figure.what for figure in published):
        theirs = {f.model: f for f in published if f.what == what}
        own = [model for named, model in measured if named == what]
        for model in dict.fromkeys((*own, *theirs)):
            figure, one = theirs.get(model), measured.get((what, model))
            if (one is not None) != run:
                continue
            cells = (
                *(what, model, figure.value if figure else MISSING),
                *(_told(one) if one else "not run", figure.source if figure else MISSING),
            )
            rows.append((model if one else "", cells))
    heads = ("measure", "model", "published", "ours, 95 %", "source")
    if not rows:
        return None
    return PageTable(
        "Published figures next to ours" if run else UNRUN,
        heads,
        tuple(rows),
        (False,) * len(heads),
    )


def _told(one: OwnValue) -> str:
    ends = interval(one.low, one.high)
    return number(one.value) + (f" ({ends})" if ends != MISSING else "")
