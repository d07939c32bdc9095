"""Gradient attribution: how far each input token moves the logit of the token that is predicted.

The gradient is taken with respect to the input embeddings, in float32 whatever the weights: the
embeddings are a leaf in float32, cast to the network's format inside the pass, and the explained
logit is computed in float32. The weights themselves collect no gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.extras import library
from mdlm_probe.models._base import Model
from mdlm_probe.models._device import on
from mdlm_probe.models._hf import NativeModel, wide

Method = Literal["grad-norm", "input-x-gradient", "integrated-gradients"]


class Attributed(NamedTuple):
    """What a batch's tokens did to the tokens predicted there.

    Attributes:
        scores: of each input token; 0 where a sequence is padded.
        tokens: the predicted tokens, which are explained.
        logits: their logits.
        gaps: what the scores sum to, less what they should by theory; only integrated gradients
            have one. A gap that isn't small beside the logit asks for more `ig_steps`.
    """

    scores: Float[Tensor, "batch length"]
    tokens: Int[Tensor, " batch"]
    logits: Float[Tensor, " batch"]
    gaps: Float[Tensor, " batch"] | None = None


def attribute(
    model: Model,
    ids: Int[Tensor, "batch length"],
    lengths: Int[Tensor, " batch"],
    positions: Int[Tensor, " batch"],
    method: Method = "grad-norm",
    ig_steps: int = 32,
    checkpointing: bool = False,
    origins: Int[Tensor, " batch"] | None = None,
) -> Attributed:
    """Scores of all input tokens for the token predicted at one position of each sequence.

    With F the logit (not its log-probability) of the most probable token, the mask excluded, and e
    a token's embedding, the score of that token is

    - grad-norm: the Euclidean norm of dF/de, as in arXiv 2511.21338, section 4;
    - input-x-gradient: e * dF/de summed over the width, signed (arXiv 1605.01713);
    - integrated-gradients: (e - b) * dF/de summed over the width, signed, with dF/de averaged along
      the straight line from the baseline b to e (arXiv 1703.01365); over all tokens the scores sum
      to F(input) - F(baseline). The baseline is the vocabulary's mean embedding (ours). The zero
      embedding is none: normalisation layers jump there, and no number of steps is enough. With
      the mask token's, masks would count for nothing by construction.

    Args:
        model: a network; see `check`.
        ids, lengths: as in `Model.states`.
        positions: one asked position of each sequence; the token there is explained.
        method, ig_steps: what to compute, and Gauss-Legendre points on the line.
        checkpointing: forget activations within layers, and compute them again on the way back.
        origins: as in `Model.states`.
    """
    assert isinstance(model, NativeModel), "`check` refuses others"
    attr: Any = library("captum.attr", "a gradient", extra="captum")  # seconds to import

    first = torch.zeros_like(lengths) if origins is None else on(lengths.device, origins)
    logit, inputs, gaps = _Logit(model), (ids, lengths, positions, first), None
    with differentiable(model.network, checkpointing):
        leaf = model.network.get_input_embeddings()(ids).detach()
        leaf = leaf.to(wide(leaf.dtype)).requires_grad_()
        if method == "grad-norm":
            found = attr.Saliency(logit).attribute(leaf, abs=False, additional_forward_args=inputs)
            scores = found.norm(dim=-1)
        elif method == "input-x-gradient":
            found = attr.InputXGradient(logit).attribute(leaf, additional_forward_args=inputs)
            scores = found.detach().sum(-1)
        else:
            table = model.network.get_input_embeddings().weight
            baseline = table.mean(0, dtype=leaf.dtype).expand_as(leaf)
            with torch.no_grad():
                rise = logit(leaf, *inputs) - logit(baseline, *inputs, logit.tokens)
            found = attr.IntegratedGradients(logit).attribute(
                leaf,
                baseline,
                additional_forward_args=(*inputs, logit.tokens),
                n_steps=ig_steps,
                internal_batch_size=len(ids),  # one point of every sequence at a time
            )
            scores = found.detach().sum(-1)
            gaps = scores.sum(-1) - rise
    return Attributed(scores, logit.tokens, logit.logits, gaps)


class _Logit:
    """The logit of each sequence's predicted token as a function of embeddings.

    Attributes:
        tokens, logits: what was predicted in the first call, and its logits there.
    """

    tokens: Int[Tensor, " batch"]
    logits: Float[Tensor, " batch"]

    def __init__(self, model: NativeModel) -> None:
        self.model = model

    def __call__(
        self,
        embeddings: Float[Tensor, "batch length width"],
        ids: Int[Tensor, "batch length"],
        lengths: Int[Tensor, " batch"],
        positions: Int[Tensor, " batch"],
        origins: Int[Tensor, " batch"],
        tokens: Int[Tensor, " batch"] | None = None,
    ) -> Float[Tensor, " batch"]:
        rows = torch.arange(len(positions), device=positions.device)
        embeddings = embeddings.to(self.model.network.get_input_embeddings().weight.dtype)
        states = self.model.body(ids, lengths, rows, positions, embeddings, origins)
        if tokens is not None:  # they were predicted before
            return self.model.logit(states, tokens)
        self.tokens = self.model.logprobs(states.detach()).argmax(-1)
        logits = self.model.logit(states, self.tokens)
        self.logits = logits.detach()
        return logits


@contextmanager
def differentiable(network: nn.Module, checkpointing: bool) -> Iterator[None]:
    """Gradients flow to the inputs and to no weight; everything is as before afterwards.

    Layers are checkpointed one by one, in evaluation mode: transformers' own switch acts in
    training mode only, which would bring dropout back.
    """
    from transformers.modeling_layers import GradientCheckpointingLayer

    layers = [m for m in network.modules() if isinstance(m, GradientCheckpointingLayer)]
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for weight in trained:
            weight.requires_grad_(False)
            stack.callback(weight.requires_grad_, True)
        for layer in layers if checkpointing else ():
            stack.enter_context(_forgetful(layer))
        yield


@contextmanager
def _forgetful(layer: nn.Module) -> Iterator[None]:
    own = layer.__dict__.get("forward")  # libraries that hook layers put one there
    layer.forward = partial(
        checkpoint, layer.forward, use_reentrant=False, preserve_rng_state=False
    )
    try:
        yield
    finally:
        del layer.forward
        if own is not None:
            layer.forward = own


def check(model: Model) -> None:
    """Refuses models that gradients can't be taken of; tries it on a few tokens.

    Raises:
        ProbeError: no network, weights in float16, or weights that pass no gradients.
    """
    name = model.entry.name
    if not isinstance(model, NativeModel):
        raise ProbeError(
            f"'{name}' is computed without a network: it has no gradients",
            expected="a checkpoint with weights",
        )
    if model.network.get_input_embeddings().weight.dtype == torch.float16:
        raise ProbeError(
            f"'{name}' is in float16, in which small gradients become zero",
            expected="a format with the range of float32",
            hint="--dtype bfloat16 or --dtype float32",
        )
    ids = torch.arange(4, device=model.device)[None] % model.vocab
    four = torch.tensor([4], device=model.device)
    quantised = model.facts["quantize"]
    hint = "try without --quantize" if quantised else "the weights may be damaged"
    try:
        scores = attribute(model, ids, four, four - 1).scores
    except (RuntimeError, NotImplementedError, TypeError) as error:
        if not quantised or isinstance(error, torch.OutOfMemoryError):
            raise
        raise ProbeError(
            f"'{name}': no gradients pass its {quantised} weights: {error}", hint=hint
        ) from error
    if not scores.isfinite().all() or not scores.any():
        raise ProbeError(f"'{name}': the gradients of its logits are zero or not finite", hint=hint)
