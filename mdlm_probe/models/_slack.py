"""`<slack>`, and mdlm_probe.json, which says beside an adapter what it is. No torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models import _hub
from mdlm_probe.models._config import read_json

if TYPE_CHECKING:
    from mdlm_probe.models._border import Border

FILE = "mdlm_probe.json"
ADAPTER = "adapter_model.safetensors"
"""An adapter's weights, as PEFT calls them."""


def slack_id(border: Border) -> int:
    """The id of `<slack>`: the first row of the network that no token has, or a new one."""
    return border.vocab


def told(folder: Path) -> int | None:
    """The id that mdlm_probe.json of a folder tells; None where there is none.

    Raises:
        ProbeError: something else than an id.
    """
    found = read(folder).get("slack_id")
    if found is not None and (not isinstance(found, int) or found < 0):
        raise ProbeError(f"{folder / FILE}: slack_id is {found!r}", expected="a token id")
    return found


def adapter_hash(folder: Path) -> str:
    """The sha256 of an adapter's weights, as measurements record it; "" where there are none.

    Raises:
        ProbeError: an unreadable mdlm_probe.json.
    """
    if told := read(folder).get("adapter_hash"):
        return str(told)
    file = folder / ADAPTER  # written before mdlm_probe.json told it
    return _hub.fingerprints([file])[ADAPTER] if file.is_file() else ""


def widen(network: Any, slack: int | None) -> None:
    """Gives a network a row for `<slack>`, where it has none.

    The row is drawn once for all, as wide as others are: it needs no training, since the layers
    before it learn to point there. Ours.

    Raises:
        ProbeError: an id that isn't the next one, so that it is another network's.
    """
    if slack is None or slack < network.config.vocab_size:
        return
    if slack > network.config.vocab_size:
        raise ProbeError(
            f"<slack> is token {slack}, but the network has {network.config.vocab_size}",
            hint="the adapter was trained on another model",
        )
    import torch

    spreads = [table.weight.float().std().item() for table in _tables(network)]
    network.resize_token_embeddings(slack + 1, mean_resizing=False)
    for table, spread in zip(_tables(network), spreads, strict=True):
        generator = torch.Generator().manual_seed(slack)
        row = torch.randn(table.weight.shape[1], generator=generator) * spread
        table.weight.data[slack] = row.to(table.weight)


def _tables(network: Any) -> list[Any]:
    """The embedding, and the output layer where that is another."""
    own = [network.get_input_embeddings()]
    return own if network.config.tie_word_embeddings else [*own, network.get_output_embeddings()]


def read(folder: Path) -> dict[str, Any]:
    """What mdlm_probe.json of a folder says; nothing where there is none.

    Raises:
        ProbeError: an unreadable file.
    """
    path = folder / FILE
    return read_json(path) if path.is_file() else {}
