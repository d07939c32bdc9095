"""Which layers LoRA changes, by native names or by those of a checkpoint's authors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mdlm_probe.core.catalog import unknown
from mdlm_probe.models import _weights


def targets(network: Any, keys: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """Native names of the linear layers that names stand for, in the network's order.

    Args:
        network: of transformers.
        keys: the family's renaming rules.
        wanted: the last part of a name, or more of it, in native or in the authors' names; "all":
            every linear layer but the output layer.

    Raises:
        ProbeError: a name that no layer has.
    """
    from torch import nn

    linear = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module is not network.get_output_embeddings()
    ]
    return matching(linear, keys, wanted)


def matching(linear: Sequence[str], keys: Mapping[str, str], wanted: Sequence[str]) -> list[str]:
    """Those of some layers' native names that names stand for; see `targets`.

    Raises:
        ProbeError: a name that none has.
    """
    known = {
        name: _weights.original(f"{name}.weight", keys).removesuffix(".weight") for name in linear
    }
    found: set[str] = set()
    for name in wanted:
        matches = {
            native
            for native, authors in known.items()
            if name == "all" or any(f".{n}".endswith(f".{name}") for n in (native, authors))
        }
        if not matches:
            raise unknown("--targets", name, ["all", *kinds([*known, *known.values()])])
        found |= matches
    return [name for name in linear if name in found]


def kinds(names: Sequence[str]) -> dict[str, int]:
    """How many layers there are of each kind, by the last part of their names."""
    last = [name.rpartition(".")[2] for name in names]
    return {name: last.count(name) for name in last}


def adapted(
    network: Any, names: Sequence[str], rank: int, alpha: int, dropout: float, seed: int
) -> Any:
    """The network with a LoRA adapter on these layers, which alone trains.

    Args:
        network: of transformers; changed in place.
        names: native names of layers.
        rank, alpha, dropout: of LoRA.
        seed: of the adapter's first weights.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from mdlm_probe.models import _experts

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=list(names),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(), _experts.exact_targets(network):
        torch.manual_seed(seed)
        return get_peft_model(network, config)
