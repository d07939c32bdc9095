"""Checkpoints that are known and can't be read here: what they are, and what that would need."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.models._config import Config


@dataclass(frozen=True)
class Unsupported:
    """Checkpoints of one kind, by what their config.json says or where they come from.

    Attributes:
        name: as their authors call them.
        what: what they are, as a sentence that goes on.
        needs: what this tool would need, or what the user can do.
        model_types: config.json's `model_type`.
        classes: of its `architectures`.
        sources: matches hub ids and names of folders, where config.json says nothing; "": none.
    """

    name: str
    what: str
    needs: str
    model_types: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    sources: str = ""


UNSUPPORTED = (
    Unsupported(
        "WeDLM",
        "which reads from left to right in an order of its own: known tokens first, masks last",
        "it would need queries whose order differs from their positions",
        ("wedlm",),
        ("WeDLMForCausalLM",),
    ),
    Unsupported(
        "DiffusionGemma",
        "whose noise is random tokens: it has no mask token, and reads its own last answer, too",
        "it would need canvases of random tokens; a masked likelihood isn't defined for it",
        ("diffusion_gemma", "diffusion_gemma_text"),
        ("DiffusionGemmaForBlockDiffusion",),
    ),
    Unsupported(
        "Nemotron-Labs-Diffusion",
        "which reads a prefix from left to right, and only the block that it writes both ways",
        "it would need such attention, and Ministral 3 under other names",
        ("nemotron_labs_diffusion", "nemotron_labs_diffusion_vlm"),
        (
            *("NemotronDiffusionModel", "NemotronDiffusionVLMModel"),
            *("NemotronLabsDiffusionModel", "NemotronLabsDiffusionVLMModel"),
        ),
    ),
    Unsupported(
        "Efficient-DLM",
        "a block-causal Qwen whose mask token isn't published where we looked",
        "it would need its mask token's id and block size; a family is one file",
        ("efficientdlm", "efficient_dlm", "edlm"),
        ("EfficientDLM", "EfficientDLMForCausalLM"),
        r"\befficient-?dlm\b",
    ),
    Unsupported(
        "DiffuGPT or DiffuLLaMA",
        "a causal model's files whose attention goes both ways, with an ordinary token as its mask",
        "it would need a family with that token and the names of their wrapper; if it is a plain"
        " causal model, --family causal says so",
        classes=("DiscreteDiffusionModel",),
        sources=r"^diffusionfamily/|\bdiffu(llama|gpt)\b",
    ),
    Unsupported(
        "SDAR with experts",
        "whose layers choose among experts",
        "it would need the layers of Qwen3-MoE with attention in blocks",
        ("sdar_moe",),
        ("SDARMoeForCausalLM",),
    ),
    Unsupported(
        "LLaDA2 in the form that it is trained in",
        "with the weights of all experts in one",
        "convert it to `llada2_moe`, as its authors' tools do, or take the published checkpoint",
        ("llada2_moe_veomni",),
    ),
)


def check_config(config: Config, classes: list[str]) -> None:
    """Refuses a checkpoint whose config.json says that it is one of `UNSUPPORTED`.

    Raises:
        ProbeError: naming the key, what the checkpoint is, and what it would need.
    """
    kind: Any = config.data.get("model_type")
    for one in UNSUPPORTED:
        if kind in one.model_types:
            raise config.error("model_type", _found(repr(kind), one), EXPECTED, hint=one.needs)
        if named := [name for name in classes if name in one.classes]:
            raise config.error(
                "architectures", _found(repr(named[0]), one), EXPECTED, hint=one.needs
            )


def check_source(name: str) -> None:
    """Refuses a hub id, or the name of a folder, of checkpoints whose config.json can't tell them
    from others.

    Raises:
        ProbeError: what the checkpoint is, and what it would need.
    """
    for one in UNSUPPORTED:
        if one.sources and re.search(one.sources, name, re.IGNORECASE):
            raise ProbeError(
                f"'{name}': {_found('its name', one)}", expected=EXPECTED, hint=one.needs
            )


EXPECTED = "a checkpoint of a family that is read here: `mdlm-probe models` lists them"


def _found(by: str, one: Unsupported) -> str:
    return f"found {by}, which is {one.name}, {one.what}"
