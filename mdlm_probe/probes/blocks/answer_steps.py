"""When the answer of a canvas is there: what every step knows of it, and how unsure it still is.

Two readings, both with the rule for exact match. Of the tokens that were committed, masks passed
over; and of these with the most probable token at every mask left, which is what would be written
if all were committed at once. That models predict the right answer long before they commit it is
"early answer convergence" (arXiv 2508.19982); that they may lose it again, "temporal oscillation"
(arXiv 2508.09138). The entropy of a state is that of "denoising entropy" (arXiv 2512.21336): the
mean entropy of the masks that are left; that of a path is its mean over steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from mdlm_probe.decoding import answers, order_metrics, text_metrics
from mdlm_probe.engine.queries import Readout
from mdlm_probe.probes.blocks.columns import SPANS

if TYPE_CHECKING:
    from mdlm_probe.decoding.answers import Answer
    from mdlm_probe.decoding.schedule import Schedule
    from mdlm_probe.engine.queries import Answer as Readings
    from mdlm_probe.engine.queries import Asker
    from mdlm_probe.prompts.prompt import Text

ENTROPY = Readout("entropy")


class AnswerWatcher:
    """Keeps of every step whether its tokens and predictions are right, and its mean entropy.

    Args:
        asker: knows the model.
        text: whose right answer it is, if one is known.
        schedule: says which tokens are never predicted.

    Attributes:
        wanted: see `Watcher`.
    """

    def __init__(self, asker: Asker, text: Text, schedule: Schedule) -> None:
        never = schedule.never(asker.entry.eos_ids)
        self._asker, self._right = asker, text.answer
        self._likeliest = Readout("candidates", ("probability", 0.0, 0, never))
        self.wanted: tuple[Readout, ...] = (ENTROPY, self._likeliest)
        self._written: list[bool] = []
        self._predicted: list[bool] = []
        self._entropies: list[float] = []
        self._known: dict[tuple[int, ...], bool] = {}

    def see(self, tokens: Sequence[int], masks: Sequence[int], answer: Readings) -> None:
        """Takes a step down; see `Watcher`."""
        if masks:
            self._entropies.append(float(answer[ENTROPY].mean()))
        self._written.append(self._is_right(tokens))
        filled = list(tokens)
        for mask, token in zip(masks, answer[self._likeliest][:, 0], strict=True):
            filled[mask] = int(token)
        self._predicted.append(self._is_right(filled))

    def _is_right(self, tokens: Sequence[int]) -> bool:
        """Whether tokens make the right answer, masks passed over."""
        if not self._right:
            return False
        at = tuple(tokens)
        if at not in self._known:
            text = answers.text_of(self._asker.border, self._asker.entry, at)
            self._known[at] = text_metrics.exact(text, self._right)
        return self._known[at]

    def columns(self, answer: Answer) -> dict[str, Any]:
        """The columns of `columns.STEPS`, once the canvas is whole.

        Args:
                answer: what became of the canvas.
        """
        made = len(self._written)
        end = self._is_right(answer.decoded.tokens)
        # after the last step all is written, and nothing is left to predict
        written, predicted = [*self._written[1:], end], self._predicted
        settled = settled_at(predicted) if end else None
        order = answer.decoded.steps
        arness = {"local": order_metrics.local_arness, "global": order_metrics.global_arness}
        return {
            "steps_made": made,
            "first_predicted": next((n for n, right in enumerate(predicted, 1) if right), None),
            "predicted_step": (settled or made) if end else None,
            "written_step": settled_at(written),
            "path_entropy": fmean(self._entropies) if self._entropies else None,
            "state_entropy": " ".join(f"{round(value, 2):g}" for value in self._entropies),
            **{f"{name}_ar_{k}": own(order, k) for name, own in arness.items() for k in SPANS},
        }


def settled_at(right: Sequence[bool]) -> int | None:
    """The number, from 1, of the first of some steps from which on all are right; None: the last
    one isn't.
    """
    wrong = max((n for n, one in enumerate(right, 1) if not one), default=0)
    return None if wrong == len(right) else wrong + 1
