"""Couplings: what two masks know of each other, and what filling both at once forgets.

Parallel: both tokens from their own marginals, p(x_i) p(x_j). Sequential: p(x_i) p(x_j | x_i), the
left one first. Sums run over the top candidates only; what they leave out is bounded by mass that
is known. Ours: candidates, bounds, what counts as unlikely.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ROUNDING = 1e-6
"""Mass that float32 can't tell from none."""


@dataclass(frozen=True)
class Coupling:
    """Two masks i and j by their top candidates; all log-probabilities in nats.

    Attributes:
        first: log p(a) of the candidates a of i, most probable first, [a].
        entropies: of the whole distributions of i and of j, without the other.
        after: log p(b | a) of the candidates b of j after each a, most probable first, [a, b].
        before: log p(b) of the same, without a, [a, b].
    """

    first: np.ndarray
    entropies: tuple[float, float]
    after: np.ndarray
    before: np.ndarray

    def divergences(self) -> dict[str, float]:
        """Mutual information (nats) and total variation between sequential and parallel filling.

        Both are means over a of a divergence of p(. | a) from p(.): KL, and half the L1 norm. Of
        each a, the tokens outside its own candidates are one lump, which makes neither divergence
        larger; a outside the candidates add nothing, and no divergence is negative. So `mi` and
        `tv_joint` are lower ends; `_bound` is how much is missing at most. With t the mass of the a
        left out, and r(a) that of the b left out after a:

            tv_joint_bound = t + sum_a p(a) min(r(a), its lump's mass in p(.))

        as a total variation is 1 at most, and within the lump at most its smaller mass. For MI, one
        joint has p(a) p(b | a) <= p(b): the logarithm of p(b | a) / p(b) is log 1/p(a) at most, so

            mi_bound = sum_{a left out} p(a) log 1/p(a)
                       + sum_a p(a) r(a) (log 1/p(a) - log(r(a) / its lump's mass in p(.)))

        where the first sum is the entropy of i less what its candidates have of it. In one joint MI
        is no more than either entropy, so `mi_bound` is at most min(H_i, H_j) - mi, too. A model
        whose circulation isn't zero has no one joint, and may exceed this; it can't exceed tv's.
        """
        p, log_p = np.exp(self.first), _finite(self.first)
        q, lump_q = np.exp(self.after), _rest(self.after)
        base, lump_base = np.exp(self.before), _rest(self.before)
        # without mass in p(.), an allowed token would make the divergence infinite
        odds = np.log(np.maximum(lump_q, ROUNDING) / np.maximum(lump_base, ROUNDING))
        odds = np.where(lump_q > ROUNDING, odds, 0.0)
        ratio = np.zeros_like(q)
        np.subtract(self.after, self.before, out=ratio, where=q > 0)
        kl = (q * ratio).sum(1) + lump_q * odds
        tv = 0.5 * (np.abs(q - base).sum(1) + np.abs(lump_q - lump_base))
        own = np.maximum(self.entropies[0] + (p * log_p).sum(), 0.0)
        lump = lump_q * np.maximum(-log_p - odds, 0.0)
        mi = float((p * kl).sum())
        room = max(min(self.entropies) - mi, 0.0)
        return {
            "mi": mi,
            "mi_bound": min(float(own + (p * lump).sum()), room),
            "tv_joint": float((p * tv).sum()),
            "tv_joint_bound": float(_rest(self.first) + (p * np.minimum(lump_q, lump_base)).sum()),
        }

    def unlikely(self, eps: float) -> dict[str, float]:
        """Probability of a pair with p(a) p(b | a) < eps, of a parallel and of a sequential draw.

        The sequential draw is the measure's zero: it has rare pairs, too. What candidates leave out
        is no more probable than the least of them: where that makes a pair unlikely, its mass
        counts; where it doesn't, it is in `_bound`, how much may be missing.
        """
        limit, p = np.log(eps), np.exp(self.first)
        tail, sure = _rest(self.first), self.first.min() < limit
        joint = self.first[:, None] + self.after
        unsure = joint.min(1) >= limit
        found = {}
        for name, drawn in (("unlikely", self.before), ("unlikely_sequential", self.after)):
            rare = np.where(joint < limit, np.exp(drawn), 0.0).sum(1)
            lump = p * _rest(drawn)
            seen = (p * rare).sum() + lump[~unsure].sum()
            found[name] = float(seen + (tail if sure else 0.0))
            found[f"{name}_bound"] = float(lump[unsure].sum() + (0.0 if sure else tail))
        return found


def _finite(logs: np.ndarray) -> np.ndarray:
    """Logarithms; those of impossible tokens are 0, since they come times nothing."""
    return np.where(np.isneginf(logs), 0.0, logs)


def _rest(logs: np.ndarray) -> np.ndarray:
    """The mass that rows of log-probabilities leave out."""
    return np.asarray(np.maximum(1.0 - np.exp(logs).sum(-1), 0.0))
