"""What does it cost to move one token in a hundred by one place?

While a masked model writes an answer, a fraction of its tokens is committed one place off, and the
answer is compared with the unintervened one. Source of the question: "Reconsidering Positional
Supervision" (arXiv 2601.22947). Ours: how tokens are moved (see `interventions`), the controls, and
the way of decoding. Controls at the same rate: the same moves after decoding has ended, which
displace as many tokens into the same places (post-hoc), another token in place of the predicted one
(replace), and a token not committed in this step (hold). All answers to a prompt have the same
random numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.errors import Refusal
from mdlm_probe.decoding import answers, rule_options, rules, schedule
from mdlm_probe.decoding.canvas import NO_INTERVENTION
from mdlm_probe.decoding.presets import PresetOption
from mdlm_probe.decoding.rules import DREAM_EPS, Order, RuleSettings
from mdlm_probe.decoding.schedule import Cache, Schedule
from mdlm_probe.probes.shift import columns, intervened_answers
from mdlm_probe.probes.shift.intervened_answers import Kind
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked",)
JUDGED = True
sources, unwritten = texts.sources, answers.unwritten
COLUMNS = columns.COLUMNS


@dataclass(frozen=True, slots=True)
class Cell(intervened_answers.AnswerCell):
    """One answer to a prompt, with or without an intervention on a fraction of its tokens."""


def plan(
    *,
    frac: Annotated[
        tuple[float, ...], "fractions of the committed tokens to change; 0.01: one in a hundred"
    ] = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1),
    intervention: Annotated[
        tuple[Kind, ...],
        "moved by one place (shift), moved after decoding (post-hoc), replaced, or held for a step",
    ] = ("shift", "post-hoc", "replace", "hold"),
    prompts: answers.PromptsOption = "open",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[int, "masks after each prompt"] = 512,
    steps: Annotated[int | None, "unmasking steps; default: one per mask"] = None,
    block: answers.BlockOption = None,
    order: Annotated[Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    guidance: answers.GuidanceOption = 0.0,
    eos: answers.EosOption = "free",
    cache: Annotated[Cache, "keys and values kept within a block"] = "none",
    top_p: rule_options.TopPOption = 1.0,
    top_k: rule_options.TopKOption = 0,
    alg_temp: rule_options.AlgTempOption = 0.0,
    eps: rule_options.EpsOption = DREAM_EPS,
    factor: rule_options.FactorOption = 1.0,
    entropy_bound: rule_options.EntropyBoundOption = 0.35,
    edit_threshold: rule_options.EditThresholdOption = 1.0,
    last_block: rule_options.LastBlockOption = "whole",
    preset: PresetOption = "auto",
    scorer: answers.ScorerOption = "companion",
    seed: Annotated[int, "seed of moves, other tokens, random orders and sampled tokens"] = 0,
) -> Cells[Cell]:
    """The cells: all answers to a prompt stand together, the unintervened one first."""
    settings = RuleSettings.of(locals())
    options.check_least(1, limit=limit)
    options.check_least(0, seed=seed)
    hint = "one token in a hundred is 0.01"
    options.check_range(0, 1, "shares of the committed tokens, 0 to 1", hint, frac=frac)
    options.check_once(frac=tuple(f"{abs(share):.6g}" for share in frac))
    options.check_once(intervention=intervention)
    steps = length if steps is None else steps
    block = answers.block_of(block, length, order)
    way = Schedule(
        *(steps, block, order, threshold, temperature, guidance, eos, cache), rule_settings=settings
    )
    schedule.check(length, way)
    whats = [
        (NO_INTERVENTION, 0.0),
        *((kind, share) for share, kind in product(frac, intervention)),
    ]
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        (("intervention", "frac"), whats),
        prompts=prompts,
        lexicon=lexicon,
        length=length,
        steps=steps,
        block=block,
        order=rules.joined(order, settings),
        threshold=threshold,
        temperature=temperature,
        guidance=guidance,
        eos=eos,
        cache=cache,
        seed=seed,
    )


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if cell.cache != "none" and not entry.gradients:
        return Refusal.of(f"'{entry.name}' has no keys and values to keep: --cache none", "cache")
    return schedule.unfit(cell.block, cell.cache, entry)


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row an answer: its text, what was done to it, and how far it went from the other."""
    for cell, row in zip(cells, intervened_answers.rows(engine, cells), strict=True):
        yield cell, [row]
