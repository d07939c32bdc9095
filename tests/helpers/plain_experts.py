"""Mixtures of experts written down once more in plain torch, from the papers, to compare with.

Nothing here comes from transformers or from mdlm_probe: one expert and one token at a time.
`plant` names something that is computed wrongly on purpose, which comparisons must notice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass
class PlainExperts:
    """A decoder with experts; weights by the checkpoint's own names, in float64.

    Attributes:
        weights, config: a checkpoint's, as its files hold them.
        block: size of the blocks of block-causal attention from position 0; 0: every token sees
            all others.
        plant: "" or what is to be computed wrongly.
        shares: attention of every layer and head in the order computed, [length, length] each.
    """

    weights: dict[str, Tensor]
    config: dict
    block: int = 0
    plant: str = ""
    shares: list[Tensor] = field(default_factory=list)

    def attention(self, ids: list[int]) -> Tensor:
        """Weights of attention, [layers, heads, length, length], for one sequence."""
        self.shares.clear()
        self.logits(ids)
        return torch.stack(self.shares).unflatten(0, (-1, self.config["num_attention_heads"]))

    def logprobs(self, ids: list[int], mask_id: int) -> Tensor:
        """Log-probabilities [length, vocabulary], the mask's at minus infinity."""
        logits = self.logits(ids)
        logits[:, mask_id] = -torch.inf
        return logits.log_softmax(-1)

    def logits(self, ids: list[int], embedded: Tensor | None = None) -> Tensor:
        """[length, vocabulary], for one sequence; `embedded` stands in for its embeddings."""
        w = self.weights
        x = self.embedding()[torch.tensor(ids)] if embedded is None else embedded
        for layer in range(self.config["num_hidden_layers"]):
            at = f"model.layers.{layer}."
            x = x + self._attend(at, self._norm(x, w[f"{at}input_layernorm.weight"]))
            x = x + self.inner(at, self._norm(x, w[f"{at}post_attention_layernorm.weight"]))
        return self._norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T

    def embedding(self) -> Tensor:
        raise NotImplementedError

    def projections(self, at: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, [length, heads, size] each."""
        raise NotImplementedError

    def names(self) -> tuple[str, str, str]:
        """What norms of queries and keys, and the output of attention are called."""
        raise NotImplementedError

    def inner(self, at: str, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        eps = self.config["rms_norm_eps"]
        return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight

    def _norm_heads(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.plant == "norm over the whole projection":
            return self._norm(x.flatten(1), weight.repeat(x.shape[1])).view_as(x)
        return self._norm(x, weight)

    def _attend(self, at: str, x: Tensor) -> Tensor:
        q_norm, k_norm, out = (self.weights[f"{at}{name}.weight"] for name in self.names())
        q, k, v = self.projections(at, x)
        if self.plant == "norm after the rotation":
            q = self._norm_heads(self._rotate(q), q_norm)
            k = self._norm_heads(self._rotate(k), k_norm)
        else:
            q = self._rotate(self._norm_heads(q, q_norm))
            k = self._rotate(self._norm_heads(k, k_norm))
        length, heads, size = q.shape
        found = torch.empty(length, heads, size, dtype=x.dtype)
        for head in range(heads):
            shared = head // (heads // k.shape[1])
            scores = q[:, head] @ k[:, shared].T / size**0.5
            if self.block:
                number = torch.arange(length) // self.block
                scores = scores.masked_fill(number[:, None] < number, -torch.inf)
            self.shares.append(scores.softmax(-1))
            found[:, head] = self.shares[-1] @ v[:, shared]
        return found.flatten(1) @ out.T

    def _rotate(self, x: Tensor) -> Tensor:
        length, _, size = x.shape
        factor = 1.0 if self.plant == "every dimension rotated" else self.factor()
        rotated = int(size * factor)
        half = rotated // 2
        speed = self.config["rope_theta"] ** (-torch.arange(half, dtype=x.dtype) / half)
        angle = torch.arange(length, dtype=x.dtype)[:, None, None] * speed
        a, b, rest = x[..., :half], x[..., half:rotated], x[..., rotated:]
        turned = [a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()]
        return torch.cat([*turned, rest], -1)

    def factor(self) -> float:
        return self.config.get("partial_rotary_factor", 1.0)

    def _gated(self, at: str, x: Tensor) -> Tensor:
        gate, up, down = (self.weights[f"{at}{n}_proj.weight"] for n in ("gate", "up", "down"))
        inner = x @ gate.T
        return (inner * inner.sigmoid() * (x @ up.T)) @ down.T

    def _mixed(self, at: str, x: Tensor) -> Tensor:
        """Each token through the experts that are chosen for it."""
        found = torch.zeros_like(x)
        for token, row in enumerate(x):
            for expert, weight in self.routed(at, row):
                found[token] += weight * self._gated(f"{at}mlp.experts.{expert}.", row)
        return found

    def routed(self, at: str, row: Tensor) -> list[tuple[int, Tensor]]:
        """The experts of a token, with their weights."""
        raise NotImplementedError


class PlainLLaDAMoE(PlainExperts):
    """LLaDA-MoE (arXiv 2509.24389)."""

    def embedding(self) -> Tensor:
        return self.weights["model.embed_tokens.weight"]

    def names(self) -> tuple[str, str, str]:
        return "self_attn.q_norm", "self_attn.k_norm", "self_attn.o_proj"

    def projections(self, at: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        counts = self.config["num_attention_heads"], *(self.config["num_key_value_heads"],) * 2
        parts = (x @ self.weights[f"{at}self_attn.{name}_proj.weight"].T for name in "qkv")
        q, k, v = (x.unflatten(1, (n, -1)) for x, n in zip(parts, counts, strict=True))
        return q, k, v

    def inner(self, at: str, x: Tensor) -> Tensor:
        return self._mixed(at, x)

    def routed(self, at: str, row: Tensor) -> list[tuple[int, Tensor]]:
        shares = (self.weights[f"{at}mlp.gate.weight"] @ row).softmax(-1)
        best = sorted(range(len(shares)), key=lambda n: -shares[n])
        best = best[: self.config["num_experts_per_tok"]]
        total = shares[best].sum() if self.plant == "renormalised" else 1.0
        return [(expert, shares[expert] / total) for expert in best]


class PlainLLaDA2(PlainExperts):
    """LLaDA2 (arXiv 2512.15745): groups as in DeepSeek-V3 (arXiv 2412.19437, section 2.1.2)."""

    def embedding(self) -> Tensor:
        return self.weights["model.word_embeddings.weight"]

    def names(self) -> tuple[str, str, str]:
        return "attention.query_layernorm", "attention.key_layernorm", "attention.dense"

    def projections(self, at: str, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows = (x @ self.weights[f"{at}attention.query_key_value.weight"].T).unflatten(
            1, (-1, self.config["head_dim"])
        )
        heads, kv = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        return rows[:, :heads], rows[:, heads : heads + kv], rows[:, heads + kv :]

    def inner(self, at: str, x: Tensor) -> Tensor:
        if f"{at}mlp.gate_proj.weight" in self.weights:
            return self._gated(f"{at}mlp.", x)
        found = self._mixed(at, x)
        if self.plant == "no shared expert":
            return found
        return found + self._gated(f"{at}mlp.shared_experts.", x)

    def routed(self, at: str, row: Tensor) -> list[tuple[int, Tensor]]:
        c = self.config
        scores = (self.weights[f"{at}mlp.gate.weight"] @ row).sigmoid()
        biased = scores + self.weights[f"{at}mlp.gate.expert_bias"]
        if self.plant == "no bias":
            biased = scores
        groups = range(c["n_group"])
        members = [range(len(scores))[g * len(scores) // len(groups) :] for g in groups]
        members = [group[: len(scores) // len(groups)] for group in members]
        rank = {g: sum(sorted(biased[list(members[g])].tolist())[-2:]) for g in groups}
        kept = sorted(groups, key=lambda g: -rank[g])[: c["topk_group"]]
        if self.plant == "no groups":
            kept = list(groups)
        free = [expert for g in kept for expert in members[g]]
        best = sorted(free, key=lambda n: -biased[n])[: c["num_experts_per_tok"]]
        shares = biased if self.plant == "bias in the weights" else scores
        total = 1.0 if self.plant == "not renormalised" else shares[best].sum()
        scale = 1.0 if self.plant == "no scale" else c["routed_scaling_factor"]
        return [(expert, shares[expert] / total * scale) for expert in best]
