"""Test points with nothing appended, and with as much as there is of each filler. No torch."""

from __future__ import annotations

import pandas as pd

from mdlm_probe.analysis.examples.choice import SETTINGS, numbers, spread
from mdlm_probe.analysis.examples.parts import ExampleItem, TextPart
from mdlm_probe.analysis.examples.rows import Fields, Rows
from mdlm_probe.probes._few_shot.examples import POINT, RANK, example
from mdlm_probe.probes.masks.probe import shown

SETTING = ("amount", "filler", "side", "steps", "order")
SIDES = {"right": "after it", "left": "before it", "both": "before and after it, half each"}


def of(rows: Rows, limit: int) -> list[ExampleItem]:
    """Test points by filler, wrong ones first."""
    part = _longest(rows.frame)
    return [_example(rows, at) for at in spread(part, POINT, SETTING, RANK, limit)]


def _longest(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of the settings that append nothing, or most of their filler."""
    setting = numbers(frame, SETTING)
    mean = frame.groupby(setting.to_numpy())["appended"].mean()
    fillers = frame.groupby(setting.to_numpy())["filler"].first()
    kept = [mean[fillers.index[fillers == name]].idxmax() for name in fillers.unique()]
    return frame[setting.isin(kept[:SETTINGS])]


def _example(rows: Rows, at: int) -> ExampleItem:
    row = rows.fields(at)
    if row["filler"] == "none":
        return example(rows, at, "nothing appended", shown)
    setting = f"{row['appended']} × {row['filler']}, side {row['side']}"
    return example(rows, at, setting, shown, (TextPart("beside the prompt", _appended(row)),))


def _appended(row: Fields) -> str:
    where = SIDES.get(row["side"], row["side"])
    several = f", filled in {row['steps']} steps" if row["steps"] != "1" else ""
    what = "[MASK]" if row["filler"] == "mask" else f"token of filler '{row['filler']}'"
    return f"{what} × {row['appended']} {where}{several}"
