"""Weights packed into 4 or 8 bits while they are read: linear layers, and experts one by one.

Transformers packs the weight of a linear layer that is a tensor of a file, and nothing else: not
experts, which are one tensor of the network, nor layers whose weights a file holds together. Here
each expert becomes linear layers of its own, packed like all others. Packed experts are computed
one after another, each for all of its tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from optimum.quanto import QLinear, QModuleMixin
from optimum.quanto.tensor.weights.tinygemm import TinyGemmWeightQBitsTensor
from torch import Tensor, nn
from transformers import QuantoConfig
from transformers.core_model_loading import ConversionOps
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.quantizers.quantizer_quanto import QuantoHfQuantizer
from transformers.quantizers.quantizers_utils import get_module_from_name

from mdlm_probe.models._quantize import BITS

NAME = "packed"
"""Of this way of packing, and of computing packed experts, as transformers knows them."""
MANY = 2
"""Rows of a pass for each input of a layer, from which on a GPU is faster with unpacked weights."""
EXPERTS = (".experts.gate_up_proj", ".experts.down_proj")


def config(quantize: str) -> Any:
    """What `from_pretrained` takes as its `quantization_config`."""
    told: Any = QuantoConfig(weights=BITS[quantize])
    told.quant_method = NAME
    return told


class Quantizer(QuantoHfQuantizer):
    """Quanto's, which also packs experts, and weights that come out of a conversion."""

    def param_needs_quantization(self, model: Any, param_name: str, **kwargs: Any) -> bool:
        """Whether a weight is to be packed."""
        return param_name.endswith(EXPERTS) or super().param_needs_quantization(model, param_name)

    def get_quantize_ops(self) -> ConversionOps:
        """What packs it."""
        return _Pack(f"q{self.quantization_config.weights}")


class _Pack(ConversionOps):
    """Packs weights, and puts them into the network."""

    def __init__(self, weights: str) -> None:
        self.weights = weights

    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str],
        target_patterns: list[str],
        **told: Any,
    ) -> dict[str, Any]:
        """Packs each of them; gives back those that stay as they are."""
        left = {}
        for name, value in input_dict.items():
            weight = value[0] if isinstance(value, list) else value
            module, part = get_module_from_name(told["model"], name)
            if name.endswith(EXPERTS):
                delattr(module, part)
                layers = (_layer(rows, self.weights) for rows in weight.unbind())
                setattr(module, part, nn.ModuleList(layers))
                module._is_hf_initialized = True
            elif isinstance(module, QModuleMixin) and part == "weight":
                _fill(module, weight)
            else:
                left[name] = value
                continue
            at = name.rpartition(".")[0]
            for one in (name, f"{at}.input_scale", f"{at}.output_scale"):
                told["missing_keys"].discard(one)
        return left


def _layer(rows: Float[Tensor, "outputs inputs"], weights: str) -> QLinear:
    """A packed linear layer with a matrix of its own."""
    with torch.device("meta"):
        layer = QLinear(rows.shape[1], rows.shape[0], False, dtype=rows.dtype, weights=weights)
    _fill(layer, rows.contiguous())
    return layer


def _fill(layer: Any, weight: Float[Tensor, "outputs inputs"]) -> None:
    """Gives a layer without memory its weight, and packs it."""
    layer.weight = nn.Parameter(weight, requires_grad=False)
    for name in ("input_scale", "output_scale"):  # of activations, which aren't packed
        setattr(layer, name, torch.ones((), dtype=weight.dtype, device=weight.device))
    layer.freeze()
    layer.weight.requires_grad = False
    layer._is_hf_initialized = True


class PackedLinear(QLinear):
    """A packed linear layer that unpacks its weights for passes of many rows.

    A GPU's product with weights of 4 bits is made for few rows: for a whole batch it takes more
    than ten times as long as one with unpacked weights, and unpacking as long as a row an input.
    """

    def forward(self, input: Float[Tensor, "... inputs"]) -> Float[Tensor, "... outputs"]:
        """The layer's outputs; in small passes by quanto's own product."""
        rows, width = input.numel() // input.shape[-1], input.shape[-1]
        own = self.weight
        if input.is_cuda and rows > MANY * width and isinstance(own, TinyGemmWeightQBitsTensor):
            return nn.functional.linear(input, own.dequantize(), self.bias)
        found: Tensor = super().forward(input)
        return found


def unpack_in_large_passes(network: nn.Module) -> None:
    """Makes every packed linear layer of a network a `PackedLinear`."""
    for layer in network.modules():
        if type(layer) is QLinear:
            layer.__class__ = PackedLinear


def forward(
    experts: Any,
    states: Float[Tensor, "tokens width"],
    chosen: Int[Tensor, "tokens chosen"],
    weights: Float[Tensor, "tokens chosen"],
) -> Float[Tensor, "tokens width"]:
    """Each token through its experts, one expert after another, added up by their weights."""
    order = chosen.flatten().argsort(stable=True)
    counts = chosen.flatten().bincount(minlength=experts.num_experts).tolist()
    found = []
    for number, rows in enumerate(states[order // chosen.shape[1]].split(counts)):
        if len(rows):
            inner = experts._apply_gate(experts.gate_up_proj[number](rows))
            found.append(experts.down_proj[number](inner))
    every = torch.cat(found)[order.argsort()].unflatten(0, chosen.shape)
    mixed: Tensor = (every * weights[..., None]).sum(1)
    return mixed.to(states.dtype)


AUTO_QUANTIZER_MAPPING[NAME] = Quantizer
ALL_EXPERTS_FUNCTIONS.register(NAME, forward)
