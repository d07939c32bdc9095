"""From a checkpoint's tensors to a network's, as transformers converts them: names, merges, splits.

Experts that files hold one by one are one tensor of the network; rows that files hold together may
be several. What a file must hold follows from the network by transformers' own conversions, read
backwards, so that what is checked is what will be loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class Conversion:
    """How the tensors of a checkpoint become those of a network.

    Args:
        network: a transformers class, whose weights may be without memory.
        keys: the family's renaming rules.

    Attributes:
        native: shape of every weight of the network, by native name.
        own: shape of every tensor that files hold for it, by the checkpoint's own names.
        sources: the tensors that become a weight of the network.
    """

    def __init__(self, network: Any, keys: Mapping[str, str]) -> None:
        from transformers import conversion_mapping as mapping
        from transformers import core_model_loading as loading

        steps = mapping.get_model_conversion_mapping(network, key_mapping=dict(keys))
        self._renamings = [s for s in steps if isinstance(s, loading.WeightRenaming)]
        self._converters = [s for s in steps if isinstance(s, loading.WeightConverter)]
        weights = network.state_dict()
        network._weight_conversions = steps  # what `from_pretrained` leaves there
        own = loading.revert_weight_conversion(network, weights)
        self.native = {name: tuple(tensor.shape) for name, tensor in weights.items()}
        self.own = {name: tuple(tensor.shape) for name, tensor in own.items()}
        self.sources: dict[str, list[str]] = {name: [] for name in self.native}
        for name in self.own:
            for native in self._targets(name):
                self.sources.get(native, []).append(name)

    def whole(self, name: str) -> str:
        """The weight that a tensor of a file is, as it is; "" for one that is merged or split."""
        native, pattern = self._renamed(name)
        return "" if pattern else native

    def _targets(self, name: str) -> list[str]:
        """The weights that a tensor of a file goes into."""
        native, pattern = self._renamed(name)
        for converter in self._converters:
            if pattern in converter.source_patterns:
                first = converter.target_patterns[0]
                return [native.replace(first, target) for target in converter.target_patterns]
        return [native]

    def _renamed(self, name: str) -> tuple[str, str | None]:
        from transformers.core_model_loading import rename_source_key

        return rename_source_key(name, self._renamings, self._converters)


def adapted(made: type[Any], splits: Mapping[str, tuple[str, ...]], float32: Sequence[str]) -> Any:
    """A transformers class for checkpoints that hold together rows that are weights of their own.

    Args:
        made: the class.
        splits: the family's CONVERSION.
        float32: the family's FLOAT32.

    Returns:
        A subclass, so that other checkpoints of the class are loaded as they were.
    """
    from transformers.conversion_mapping import register_checkpoint_conversion_mapping
    from transformers.core_model_loading import Split, WeightConverter, WeightRenaming

    steps: list[WeightConverter | WeightRenaming] = [
        WeightConverter(together, list(parts), operations=[Split(dim=0)])
        for together, parts in splits.items()
    ]
    name = f"Splitting{made.__name__}"
    register_checkpoint_conversion_mapping(name, steps, overwrite=True)
    kept = [*(made._keep_in_fp32_modules_strict or ()), *float32]
    # transformers looks into the module of a class to see what it can do
    own = {"__module__": made.__module__, "_keep_in_fp32_modules_strict": kept}
    return type(name, (made,), own)
