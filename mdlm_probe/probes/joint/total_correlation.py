"""Total correlation: what filling several masks at once with draws from their marginals costs.

The sum of the masks' entropies less the entropy of all of them together: no product of one
distribution a mask can expect a smaller loss on what the joint draws, and the product of the
marginals has just this one (Watanabe 1960). The joint's entropy is estimated by the chain rule: the
masks are filled one after another with draws from the model, each given those before it, and the
entropies of the conditional distributions are added up. Each is the mean of -log p over what could
have been drawn there, so that the sum has the same mean as -log p of the draws and a smaller
variance. How many tokens may be filled at once in a text is left open by arXiv 2510.03289; this
measure of it is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import numpy as np

from mdlm_probe.core import options
from mdlm_probe.core.options import Traits
from mdlm_probe.decoding.canvas_of_prompt import appended
from mdlm_probe.engine.multi_step import MultiStep
from mdlm_probe.engine.queries import Readout
from mdlm_probe.likelihood.chain_rule import sequence

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.prompts.prompt import Text

DrawOrder = Literal["left_to_right", "random"]
ORDERS: tuple[DrawOrder, ...] = get_args(DrawOrder)
DrawOrderOption = Annotated[
    tuple[DrawOrder, ...],
    "total: whether masks that stand together are filled at once, or masks at random places",
    Traits(amount=True, later=True),
]
DrawsOption = Annotated[
    int,
    "total: draws of each text's masks, with the seeds from --seed on",
    Traits(amount=True, later=True),
]


def settings(
    length: int, order: tuple[DrawOrder, ...], draws: int, eps: float, seed: int
) -> list[dict[str, Any]]:
    """What the cells of one text have of these options: an order and a draw each.

    Raises:
        ProbeError: naming an option.
    """
    options.check_least(1, length=length)
    options.check_positive(draws=draws, budget_eps=eps)
    options.check_once(draw_order=order)
    return [
        {"masks": length, "reveal_order": name, "budget_eps": eps, "seed": seed + number}
        for name in order
        for number in range(draws)
    ]


def powers(length: int) -> list[int]:
    """The numbers of masks whose total correlation is written down: 1, 2, 4 and so on that fit."""
    return [1 << power for power in range(length.bit_length())]


def draw(
    asker: Asker, text: Text, length: int, order: str, seed: int, name: str
) -> MultiStep[list[dict[str, Any]]]:
    """Draws the first masks of a window one after another, and compares that with all at once.

    The window's other masks stay, as in the first step of a decoder that fills so many at once.

    Args:
        asker: knows the model.
        text: the masks stand after its prompt.
        length: masks of the window.
        order: "left_to_right", or "random": places in an order that the seed draws.
        seed: of the order and of the tokens.
        name: for error messages.

    Returns:
        A row for the first 1, 2, 4, ... masks of the order, as `columns.TOTAL` has them, in nats.
    """
    canvas = appended(asker, text, length, name)
    counts = powers(length)
    order_drawn = sequence(order, length, seed)[: counts[-1]]
    # a token by the distribution itself, its log-probability, and minus the entropy
    sample = Readout("candidates", ("entropy", 1.0, seed))
    shown: dict[int, int] = {}
    found = []
    for number in order_drawn:
        (answer,) = yield [canvas.query(shown, (number,), (sample,))]
        token, *values = map(float, answer[sample][0])
        found.append(values)
        shown[number] = int(token)
    wanted = tuple(dict.fromkeys(shown.values()))
    entropy, chosen = Readout("entropy"), Readout("chosen", wanted)
    (alone,) = yield [canvas.query({}, order_drawn, (entropy, chosen))]
    own = [wanted.index(shown[number]) for number in order_drawn]
    logps, less_entropies = np.array(found, dtype=float).T
    by_mask = {
        "entropy_parallel": alone[entropy].astype(float),
        "entropy_sequential": -less_entropies,
        "logp_parallel": alone[chosen].astype(float)[np.arange(len(own)), own],
        "logp_sequential": logps,
    }
    # asked twice of one canvas: other batches round otherwise
    by_mask["entropy_parallel"][0], by_mask["logp_parallel"][0] = -less_entropies[0], logps[0]
    return [
        {"together": n} | {head: float(values[:n].sum()) for head, values in by_mask.items()}
        for n in counts
    ]
