"""Dream, Dream-Coder, DiffuCoder: Qwen2 with attention in both directions, rows shifted by one."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"Dream": "DreamModel"}
NATIVE = "Qwen2ForCausalLM"
SHIFT = 1
KEYS: dict[str, str] = {}

# config.json repeats Qwen2.5's 131072; arXiv 2511.21338 gives Dream's context as 2048.
CONTEXT = 2048


def translate(config: Config) -> dict[str, Any]:
    """The Qwen2 configuration that computes what the authors' code computes.

    The prediction for position i is the network's row i-1, because Dream started from an
    autoregressive Qwen2.5 (SHIFT).

    Raises:
        ProbeError: naming file and key, for a variant that Qwen2 does not compute.

    Source: the checkpoint authors' config.json; checked against their code (logits equal).
    """
    return _dense.translate(config, "qwen2", theta=10000.0, context=CONTEXT)
