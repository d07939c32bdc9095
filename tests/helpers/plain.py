"""The architectures written down once more in plain torch, from the papers, to compare with.

Nothing here comes from transformers or from mdlm_probe: softmax attention with explicit scores,
rotary embedding by halves, RMSNorm, SwiGLU; Qwen3's norms of queries and keys, where there are any;
blocks of attention by a comparison of block numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file

LLADA = {
    "embed": "model.transformer.wte.weight",
    "norm": "model.transformer.ln_f.weight",
    "head": "model.transformer.ff_out.weight",
    "layer": "model.transformer.blocks.{}.",
    "in": "attn_norm.weight",
    "mid": "ff_norm.weight",
    "q": "q_proj",
    "k": "k_proj",
    "v": "v_proj",
    "o": "attn_out.weight",
    "gate": "ff_proj.weight",
    "up": "up_proj.weight",
    "down": "ff_out.weight",
}
LLAMA = {
    "embed": "model.embed_tokens.weight",
    "norm": "model.norm.weight",
    "head": "lm_head.weight",
    "layer": "model.layers.{}.",
    "in": "input_layernorm.weight",
    "mid": "post_attention_layernorm.weight",
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}


def read(folder: Path) -> dict[str, torch.Tensor]:
    """All weights of a folder, in float64."""
    found = {}
    for file in folder.glob("*.safetensors"):
        found.update(load_file(file))
    return {name: tensor.double() for name, tensor in found.items()}


@dataclass
class Plain:
    """A decoder in plain torch.

    Attributes:
        weights: by the checkpoint's names.
        names: LLADA or LLAMA.
        size: width of a head; 0: the network's over the number of heads.
        block, origin: a token sees all whose block, `(position - origin) // block`, isn't later
            than its own; 0: no blocks.
        removed: (layer, position): only the position itself attends to it in that layer.
        shares: attention of every layer and head in the order computed, [length, length] each.
    """

    weights: dict[str, torch.Tensor]
    names: dict[str, str]
    heads: int = 4
    kv_heads: int = 4
    theta: float = 500000.0
    eps: float = 1e-5
    causal: bool = False
    size: int = 0
    block: int = 0
    origin: int = 0
    removed: tuple[tuple[int, int], ...] = ()
    shares: list[torch.Tensor] = field(default_factory=list)

    def attention(self, ids: list[int]) -> torch.Tensor:
        """Weights of attention, [layers, heads, length, length], for one sequence."""
        self.shares.clear()
        self.logits(ids)
        return torch.stack(self.shares).unflatten(0, (-1, self.heads))

    def logits(self, ids: list[int]) -> torch.Tensor:
        """[length, vocabulary], for one sequence."""
        w, n = self.weights, self.names
        x = w[n["embed"]][torch.tensor(ids)]
        layer = 0
        while (at := n["layer"].format(layer)) + n["in"] in w:
            x = x + self._attend(at, self._norm(x, w[at + n["in"]]))
            h = self._norm(x, w[at + n["mid"]])
            gate = h @ w[at + n["gate"]].T
            x = x + (gate * gate.sigmoid() * (h @ w[at + n["up"]].T)) @ w[at + n["down"]].T
            layer += 1
        x = self._norm(x, w[n["norm"]])
        return x @ w.get(n["head"], w[n["embed"]]).T

    def _norm(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt() * weight

    def _attend(self, at: str, x: torch.Tensor) -> torch.Tensor:
        w, n = self.weights, self.names
        length, hidden = x.shape
        size = self.size or hidden // self.heads
        q, k, v = (
            (x @ w[at + n[r] + ".weight"].T + w.get(at + n[r] + ".bias", 0)).view(length, -1, size)
            for r in "qkv"
        )
        if (norm := at + "self_attn.q_norm.weight") in w:
            q, k = self._norm(q, w[norm]), self._norm(k, w[norm.replace("q_norm", "k_norm")])
        q, k = self._rotate(q), self._rotate(k)
        out = torch.empty(length, self.heads, size, dtype=x.dtype)
        for head in range(self.heads):
            shared = head // (self.heads // self.kv_heads)
            scores = q[:, head] @ k[:, shared].T / size**0.5
            if self.causal:
                scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
            if self.block:
                number = (torch.arange(length) - self.origin) // self.block
                scores = scores.masked_fill(number[None, :] > number[:, None], -torch.inf)
            for layer, place in self.removed:
                if at == n["layer"].format(layer):
                    others = torch.arange(length) != place
                    scores[others, place] = -torch.inf
            self.shares.append(scores.softmax(-1))
            out[:, head] = self.shares[-1] @ v[:, shared]
        return out.reshape(length, -1) @ w[at + n["o"]].T

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        length, _, size = x.shape
        half = size // 2
        speed = self.theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angle = torch.arange(length, dtype=x.dtype)[:, None, None] * speed
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)

    def logprobs(self, ids: list[int], mask_id: int | None) -> torch.Tensor:
        """Log-probabilities, the mask's at minus infinity."""
        logits = self.logits(ids)
        if mask_id is not None:
            logits[:, mask_id] = -torch.inf
        return logits.log_softmax(-1)


def ask(
    model,
    sequences: list[list[int]],
    asked: list[tuple[int, int]],
    origins: list[int] | None = None,
) -> torch.Tensor:
    """Log-probabilities of a model for a batch of sequences of any lengths, padded with 7s."""
    longest = max(map(len, sequences))
    ids = torch.full((len(sequences), longest), 7)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
    lengths = torch.tensor([len(s) for s in sequences])
    rows, positions = (torch.tensor(list(part)) for part in zip(*asked, strict=True))
    offsets = None if origins is None else torch.tensor(origins)
    return model.logprobs(model.states(ids, lengths, rows, positions, offsets)).double()


def close(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 2e-5) -> bool:
    """Equal, minus infinities included."""
    return torch.allclose(ours, theirs, rtol=0, atol=tolerance)
