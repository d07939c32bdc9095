"""A2D: Qwen3, Qwen2 and Llama made to fill masks, over whole texts (mdlm) or in blocks (bd3lm).

Whether a checkpoint attends in blocks isn't part of its code: the trainer makes the mask. So
config.json, the registry or --block-size has to say it; 0 is an mdlm.
"""

from __future__ import annotations

from typing import Any

from mdlm_probe.models import _dense
from mdlm_probe.models._config import REQUIRED, Config

KIND = "masked"
MODEL_TYPES = {
    "a2d-qwen3": "A2DQwen3LMHeadModel",
    "a2d-qwen2": "A2DQwen2LMHeadModel",
    "a2d-llama": "A2DLlamaLMHeadModel",
}
NATIVE = "AutoModelForCausalLM"
SHIFT = 0
KEYS: dict[str, str] = {}
# The authors' code adds it after the last token that the starting point's tokenizer has.
MASK_ID = {"a2d-qwen3": 151669, "a2d-qwen2": 151665}
MASK_TEXT = "<|mask|>"
BLOCK = None
ORIGIN = "prompt"  # their decoding pads a prompt on its left, so that it ends where a block ends
CHAT_OPTIONS = {"enable_thinking": False}  # what their tokenizer code fills in

NETWORKS: dict[str, _dense.Native] = {
    "a2d-qwen3": "qwen3",
    "a2d-qwen2": "qwen2",
    "a2d-llama": "llama",
}


def translate(config: Config) -> dict[str, Any]:
    """The configuration of the network that the checkpoint started from.

    Raises:
        ProbeError: naming file and key, for a variant that it does not compute.

    Source: ZHZisZZ/dllm, pipelines/a2d; our layers equal an independent implementation, by test.
    """
    config.must("model_type", REQUIRED, *NETWORKS)
    config.must("loophole_enabled", False)  # a derived network, with a state between steps
    return _dense.translate(config, NETWORKS[config.data["model_type"]])
