"""What is known of a checkpoint before any weight is read, and how it is to be loaded."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.options import check_range

Kind = Literal["masked", "causal"]
Attention = Literal["bidirectional", "block-causal", "causal"]
Origin = Literal["start", "prompt"]


REGISTERED, BY_OPTION = "it is registered so", "--style says so"
"""Why prompts are written as they are, where nobody had to guess."""


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a checkpoint before any weight is read: one entry of registry.yaml, or the
    same facts taken from a folder's config.json.

    Attributes:
        name: how users call it.
        family: a module of `models/`, such as "llada".
        kind: "masked" or "causal".
        source: hub id, or a local folder; "" where the family needs none.
        revision: hub revision.
        mask_id: the mask token; None for causal models.
        eos_ids: tokens that end a text or a turn, end of text first.
        context: longest input in tokens.
        shift: 1 where nothing predicts position 0: each prediction comes from the position before.
        block: tokens of a block of block-causal attention: a token sees its own block and those
            before it; 0: no blocks.
        origin: where blocks begin: "start", at position 0; "prompt", at the end of the prompt, so
            that the prompt's first block is the short one.
        chat: whether prompts are written as messages, with the checkpoint's chat template.
        style_reason: why they are written so, in words.
        chat_options: variables that the chat template is given, such as `enable_thinking`.
        geometry: hidden, layers, heads, kv_heads, head_dim, intermediate, vocab, parameters: for
            estimates; of experts what `_config.parameters` says.
        defaults: options that suit this checkpoint, by probe, "all" for every probe; options given
            by the user take precedence.
        gradients: whether it is a network, through which gradients flow.
        companion: the causal model that scores what it writes unless another is named: no relative
            of it; "" where none is known.
        started_from: the model whose weights its own training started from, by name; "" where that
            was none, or nobody knows.
        line: the models that it was trained with on the same texts, by a name of their own, where
            `started_from` doesn't lead to one of them; see `relation`.
        slack_id: `<slack>`, which stands for nothing in texts; None for models that write none.
        note: one line for listings.
    """

    name: str
    family: str
    kind: Kind
    source: str = ""
    revision: str = "main"
    mask_id: int | None = None
    eos_ids: tuple[int, ...] = ()
    context: int = 0
    shift: int = 0
    block: int = 0
    origin: Origin = "start"
    chat: bool = False
    style_reason: str = REGISTERED
    chat_options: dict[str, Any] = field(default_factory=dict)
    geometry: dict[str, int] = field(default_factory=dict)
    defaults: dict[str, dict[str, Any]] = field(default_factory=dict)
    gradients: bool = True
    companion: str = ""
    started_from: str = ""
    line: str = ""
    slack_id: int | None = None
    note: str = ""

    @property
    def mask(self) -> int:
        """The mask token of a masked model."""
        assert self.mask_id is not None, f"{self.name} is causal"
        return self.mask_id

    @property
    def attention(self) -> Attention:
        """What a token sees: all, its own block and those before it, or what stands before it."""
        if self.kind == "causal":
            return "causal"
        return "block-causal" if self.block else "bidirectional"

    @property
    def exact(self) -> bool:
        """Whether its answers are computed from a known language, at masks alone, by no network."""
        return self.family.startswith("oracle")

    def origin_at(self, place: int) -> int:
        """The offset of block boundaries (`Query.origin`) with which a block begins at a place.

        With a shift it begins one place before: a block's first token is predicted from the block
        before it, which sees none of this one. Source: ours.
        """
        return (place - self.shift) % self.block if self.block else 0

    @property
    def block_rest(self) -> int:
        """Tokens of a block behind the place that `origin_at` was told."""
        assert self.block, f"{self.name} has no blocks"
        return self.block - 1 - self.shift

    def origin_after(self, prompt: int) -> int:
        """The offset of block boundaries (`Query.origin`) behind a prompt of so many tokens."""
        return prompt % self.block if self.block and self.origin == "prompt" else 0

    @property
    def block_facts(self) -> dict[str, Any]:
        """What results record of blocks of attention; nothing where there are none."""
        return {"block": self.block, "origin": self.origin} if self.block else {}

    def block_span(self, place: int, origin: int = 0) -> tuple[int, int]:
        """The first position of the block that a position lies in, and the first one behind it.

        Args:
            place: a position, 0-based.
            origin: offset of block boundaries, as in `Query.origin`.
        """
        assert self.block, f"{self.name} has no blocks"
        begin = origin + (place - origin) // self.block * self.block
        return max(0, begin), begin + self.block

    def defaults_for(self, probe: str) -> dict[str, Any]:
        """Options of a probe that suit this checkpoint."""
        own = self.defaults.get("all", {}) | self.defaults.get(probe, {})
        return {k: tuple(v) if isinstance(v, list) else v for k, v in own.items()}


@dataclass(frozen=True)
class LoadOptions:
    """How to load a checkpoint: the command line's options of the same names.

    Attributes:
        dtype: "auto" (bfloat16 on CUDA, float32 elsewhere), "float32", "bfloat16" or "float16".
        device: "auto" (CUDA, then MPS, then CPU) or a torch device.
        revision: hub revision; "" for the entry's own.
        quantize: "", "4bit" or "8bit".
        adapter: folder of a PEFT adapter, or "".
        style: "base" or "chat" to write prompts that way whatever the entry says; "": as it says.
        family: the model family that a folder or hub id is of, whatever its config.json says; "":
            as that says.
        rope_scale: how many times its own context a model is to read; see `_rope.stretch`.
        device_map: "auto" to spread the layers over all cards that are there; "": one device.
        block_size: of the attention of a folder or hub id, where config.json doesn't say it; 0:
            attention isn't in blocks; None: as that, or the family, says.
    """

    dtype: str = "auto"
    device: str = "auto"
    revision: str = ""
    quantize: str = ""
    adapter: str = ""
    style: str = ""
    rope_scale: float = 1.0
    family: str = ""
    device_map: str = ""
    block_size: int | None = None

    def recorded(self) -> dict[str, Any]:
        """The options as run.json has them: runs that began before there were all resume."""
        later = ("family", "device_map", "block_size")
        return {k: v for k, v in asdict(self).items() if k not in later or v not in ("", None)}

    def apply(self, entry: Checkpoint) -> Checkpoint:
        """An entry as these options change it: how prompts are written, how long they may be.

        Raises:
            ProbeError: a factor below 1, or one for a model that is no network.
        """
        check_range(1, math.inf, "a factor of 1 or more", rope_scale=self.rope_scale)
        if self.style:
            entry = replace(entry, chat=self.style == "chat", style_reason=BY_OPTION)
        if self.rope_scale == 1:
            return entry
        if not entry.gradients:
            raise ProbeError(
                f"'{entry.name}' has no rotary positions: --rope-scale means nothing",
                expected="a checkpoint with weights",
                option="rope_scale",
            )
        return replace(entry, context=int(entry.context * self.rope_scale))
