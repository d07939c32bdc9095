"""What trackers get of a run: configuration, estimates as numbers, charts as pictures."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pandas as pd

from mdlm_probe.analysis import frames
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.version import __version__
from mdlm_probe.reports.exports.exported_run import ExportedRun, ExportRequest
from mdlm_probe.reports.exports.typed_rows import coordinates_in
from mdlm_probe.reports.pictures import Picture

if TYPE_CHECKING:
    from PIL import Image


def unreached(service: str, error: BaseException) -> ProbeError:
    """The error for a service that refused, or can't be reached."""
    said = str(error).strip() or type(error).__name__
    return ProbeError(
        f"{service} failed: {said.splitlines()[0]}",
        hint="log in, mend the network, or export to files: --to parquet",
    )


def named(run: ExportedRun, request: ExportRequest) -> str:
    """The tracked run's name: --name or the folder's, and that of a study's run."""
    folder = run.folder.resolve()
    name = request.name or (folder.parent if run.name else folder).name
    return f"{name}/{run.name}" if run.name else name


def group(run: ExportedRun, request: ExportRequest) -> str | None:
    """What the runs of one study have in common: --name or the study's folder."""
    return request.name or run.folder.resolve().parent.name if run.name else None


def config(run: ExportedRun) -> dict[str, Any]:
    """What was asked, and of what: each measurement's configuration and model, from run.json."""
    return {"mdlm_probe": __version__} | {
        name: {
            **entry.get("config", {}),
            "status": entry.get("status"),
            **{
                fact: entry.get("model", {}).get(fact)
                for fact in ("weight_hash", "dtype", "device")
            },
        }
        for name, entry in run.entries.items()
    }


def estimates(run: ExportedRun) -> dict[str, float]:
    """The printed tables' numbers and interval ends: "masks/drop/points tiny-mdlm filler=mask ...".

    After the column's name come the coordinates, so that equal settings have equal names in every
    run. What has no value is left out.
    """
    found = {}
    for probe, one in run.made.items():
        for name in one.printed:
            table = one.tables.get(name)
            if table is None or not len(table):
                continue
            keys = keys_of(probe, table)
            for column in table.columns:
                if column in keys or not pd.api.types.is_numeric_dtype(table[column]):
                    continue
                for row in frames.records(table[[*keys, column]].dropna(subset=column)):
                    where = " ".join(_said(key, row[key]) for key in keys)
                    found[f"{probe}/{name}/{column} {where}"] = float(row[column])
    return found


def keys_of(probe: str, table: pd.DataFrame) -> list[str]:
    """The columns that tell a table's rows apart: its first ones.

    As many as are coordinates of the probe's cells, and more where these don't tell rows apart.
    """
    columns = list(map(str, table.columns))
    own = {*coordinates_in(probe, table), "model", "judge"}
    n = next((i for i, column in enumerate(columns) if column not in own), len(columns))
    while n < len(columns) and table.duplicated(columns[:n]).any():
        n += 1
    return columns[:n]


def _said(key: str, value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if key in ("model", "judge") else f"{key}={text}"


def records(table: pd.DataFrame) -> list[list[Any]]:
    """A table's rows as plain values; None where there is none."""
    numeric = [pd.api.types.is_numeric_dtype(table[column]) for column in table]
    return [
        [_plain(value, number) for value, number in zip(row, numeric, strict=True)]
        for row in table.itertuples(index=False)
    ]


def _plain(value: Any, number: bool) -> Any:
    if value is None or value != value:
        return None
    return (value.item() if hasattr(value, "item") else value) if number else str(value)


def pixels(drawn: Picture) -> Image.Image:
    """A picture as it is saved, as trackers take it."""
    from PIL import Image

    return Image.open(io.BytesIO(drawn.png()))


def logged(
    run: ExportedRun, table: Callable[[pd.DataFrame], Any], image: Callable[[Any], Any]
) -> dict[str, Any]:
    """A run's tables and pictures by name, as a package holds them.

    Args:
        run: whose.
        table, image: make the package's own of a frame with rows, and of a picture.
    """
    found = {}
    for probe, one in run.made.items():
        for name, frame in one.tables.items():
            if len(frame):
                found[f"{probe}/{name}"] = table(frame)
        for name, drawn in one.pictures().items():
            found[f"{probe}/figure {name}".strip()] = image(pixels(drawn))
    return found
