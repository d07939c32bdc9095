"""Self-tests of a freshly loaded model: is it the network that its family says it is?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from mdlm_probe.core.errors import ProbeError

if TYPE_CHECKING:
    from mdlm_probe.models._hf import NativeModel

LENGTH = 8


def self_test(model: NativeModel) -> None:
    """Runs all self-tests; a few forward passes over eight tokens.

    Raises:
        ProbeError: naming the test that failed.
    """
    numbers(model)
    attention(model)
    output_layer(model)


def numbers(model: NativeModel) -> None:
    """Eight ordinary tokens give finite states.

    Raises:
        ProbeError: when they aren't; the other tests would then be misleading.
    """
    if not _states(model, last=0).isfinite().all():
        raise ProbeError(
            f"self-test of {model.entry.name}: its states are not finite in {model.facts['dtype']}",
            hint="try --dtype float32; if that fails too, the weights are damaged",
        )


def attention(model: NativeModel) -> None:
    """The last token moves the first state of a masked model, and no earlier state of a causal one.

    Releases of transformers that ignore `config.is_causal` would otherwise make a masked model
    causal silently.

    Raises:
        ProbeError: when attention goes the wrong way.
    """
    first, second = _states(model, last=0), _states(model, last=1)
    moved = (first - second).abs().amax(dim=1)
    scale = first.abs().amax().item()
    if model.entry.kind == "masked":
        if not moved[0] > 1e-6 * scale:
            raise ProbeError(
                f"self-test of {model.entry.name}: its first position does not see the last "
                "token, so attention is not bidirectional",
                expected="a masked model",
                hint=_versions(),
            )
    elif moved[:-1].max() > 1e-3 * scale:
        raise ProbeError(
            f"self-test of {model.entry.name}: earlier positions see the last token",
            expected="a causal model",
            hint=_versions(),
        )


def output_layer(model: NativeModel) -> None:
    """Scoring the asked states gives what the network's own forward pass gives.

    Architectures that scale or cap their logits after the output layer would fail here.

    Raises:
        ProbeError: when the two differ.
    """
    ids = _ids(model, last=0)
    with torch.no_grad():
        whole = model.network(input_ids=ids, use_cache=False).logits[0].float()
        head = model.network.get_output_embeddings()
        ours = head(_states(model, last=0)).float().to(whole.device)
    scale = whole.abs().amax().item()
    if not (whole - ours).abs().amax() <= 2e-2 * scale:
        raise ProbeError(
            f"self-test of {model.entry.name}: its output layer does not give the logits that the "
            "whole network gives",
            hint="this architecture scales or caps its logits, which is not supported",
        )


def _ids(model: NativeModel, last: int) -> torch.Tensor:
    """Eight ordinary tokens; `last` picks one of two last tokens."""
    usable = [i for i in range(min(model.vocab, 64)) if i != model.entry.mask_id]
    text = [usable[n % len(usable)] for n in range(LENGTH - 1)]
    final = usable[-1 - last]
    return torch.tensor([[*text, final]], device=model.device)


def _states(model: NativeModel, last: int) -> torch.Tensor:
    ids = _ids(model, last)
    positions = torch.arange(LENGTH, device=model.device) + model.shift
    rows = torch.zeros_like(positions)
    return model.states(ids, torch.tensor([LENGTH], device=model.device), rows, positions)


def _versions() -> str:
    import transformers

    return f"transformers {transformers.__version__}; this tool is tested with 5.23"
