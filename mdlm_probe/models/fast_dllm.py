"""Fast-dLLM v2: Qwen2 with attention in blocks of 32, rows shifted by one."""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import Config

KIND = "masked"
MODEL_TYPES = {"Fast_dLLM_Qwen": "Fast_dLLM_QwenForCausalLM"}
NATIVE = "Qwen2ForCausalLM"
SHIFT = 1
KEYS: dict[str, str] = {}
MASK_ID = 151665
MASK_TEXT = "|<MASK>|"
BLOCK = 32


def translate(config: Config) -> dict[str, Any]:
    """The Qwen2 configuration that computes what the authors' code computes.

    A block's first token comes from the last row of the finished block before it, as an
    autoregressive model's does (SHIFT).

    Raises:
        ProbeError: naming file and key, for a variant that Qwen2 does not compute.

    Source: NVlabs/Fast-dLLM v2 and copies of its modelling code; our layers equal an independent
    implementation, by test.
    """
    return _dense.translate(config, "qwen2")
