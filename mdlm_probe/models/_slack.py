"""`<slack>`, and mdlm_probe.json, which says beside an adapter what it is. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._config import read_json

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

FILE = "mdlm_probe.json"


def slack_id(border: Border) -> int:
    """The id that stands for `<slack>`: the first row of the network that no token has.

    Raises:
        ProbeError: every row is a token's.
    """
    rows = border.entry.geometry.get("vocab", 0)
    if border.vocab >= rows:
        raise ProbeError(
            f"'{border.entry.name}' has no unused token for <slack>: its {rows} rows are all taken",
            expected="a checkpoint with more rows than tokens",
        )
    return border.vocab


def read(folder: Path) -> dict[str, Any]:
    """What mdlm_probe.json of a folder says; nothing where there is none.

    Raises:
        ProbeError: an unreadable file.
    """
    path = folder / FILE
    return read_json(path) if path.is_file() else {}
