"""What do block size, steps and order cost, and what do they buy?

Answers are written on canvases of several lengths, in blocks of several sizes, in different numbers
of steps and orders, and scored by a causal model. Repetitive text has a low perplexity, too, so its
entropy and repetition, and the truth of the small language, are measured beside it. Source of the
question: "Why mask diffusion does not work" (arXiv 2510.03289); tau and tokens per step as in arXiv
2601.15593, lengths as in arXiv 2510.03680, perplexity at equal entropy after arXiv 2604.02718. The
grid is ours; combinations that cannot differ are asked once (see `combinations`). The cost is the
number of passes, and of tokens through the network (`canvas_tokens`); a run says its seconds when
it ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import Refusal
from mdlm_probe.decoding import (
    answers,
    loop,
    rule_options,
    rules,
    text_metrics,
    text_quality,
)
from mdlm_probe.decoding.canvas_of_prompt import in_tokens
from mdlm_probe.decoding.presets import PresetOption
from mdlm_probe.decoding.rules import DREAM_EPS, Order, RuleSettings
from mdlm_probe.decoding.schedule import Cache, Schedule, check, unfit
from mdlm_probe.probes.blocks import columns
from mdlm_probe.probes.blocks.answer_steps import AnswerWatcher
from mdlm_probe.probes.blocks.coordinates import Cell
from mdlm_probe.probes.blocks.filling_order import filling_columns
from mdlm_probe.probes.blocks.grid import combinations
from mdlm_probe.prompts import texts

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked",)
sources = texts.sources
COLUMNS = columns.COLUMNS


def plan(
    *,
    prompts: answers.PromptsOption = "open",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[tuple[int, ...], "masks per canvas"] = (256,),
    block: Annotated[tuple[int, ...], "masks per block; default: 1, 2, 4, ... up to --length"] = (),
    steps: Annotated[
        tuple[int, ...], "unmasking steps; default: --length, half of it and a quarter"
    ] = (),
    order: Annotated[
        tuple[Order, ...], "which masks of a block a step commits; threshold ignores --steps"
    ] = ("low_confidence", "random", "left_to_right"),
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    guidance: answers.GuidanceOption = 0.0,
    eos: answers.EosOption = "free",
    cache: Annotated[Cache, "keys and values kept while a block is filled in"] = "none",
    top_p: rule_options.TopPOption = 1.0,
    top_k: rule_options.TopKOption = 0,
    alg_temp: rule_options.AlgTempOption = 0.0,
    eps: rule_options.EpsOption = DREAM_EPS,
    factor: rule_options.FactorOption = 1.0,
    entropy_bound: rule_options.EntropyBoundOption = 0.35,
    edit_threshold: rule_options.EditThresholdOption = 1.0,
    last_block: rule_options.LastBlockOption = "whole",
    preset: PresetOption = "auto",
    early_stop: Annotated[
        Literal["no", "yes"], "stop once the text is complete; the published loops continue"
    ] = "no",
    scorer: answers.ScorerOption = "companion",
    seed: Annotated[int, "seed of random orders and sampled tokens"] = 0,
) -> Cells[Cell]:
    """The cells: of every prompt, all combinations that are possible and differ."""
    settings = RuleSettings.of(locals())
    options.check_least(1, limit=limit, length=length, block=block, steps=steps)
    options.check_least(0, seed=seed)
    options.check_once(length=length, block=block, steps=steps, order=order)
    check(1, Schedule(1, 1, "random", threshold, temperature, guidance, eos, cache))
    own = rules.settings_by_order(order, settings)
    asked = [
        (*one[:-1], rules.joined(one.order, own.get(one.order, RuleSettings())))
        for one in combinations(length, block, steps, order, cached=cache != "none")
    ]
    chosen = texts.chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return cells_of(
        Cell,
        (("task", "prompt"), [(text.task, text.id) for text in chosen]),
        (("length", "block", "steps", "order"), asked),
        prompts=prompts,
        lexicon=lexicon,
        threshold=threshold,
        temperature=temperature,
        guidance=guidance,
        eos=eos,
        cache=cache,
        early_stop=early_stop,
        seed=seed,
    )


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if cell.length >= entry.context:
        found = (
            f"--length {cell.length} leaves no room for a prompt in a context of {entry.context}"
        )
        return Refusal.of(found, "length")
    return unfit(cell.block, cell.cache, entry)


def unwritten(options: Mapping[str, Any], entry: Checkpoint) -> tuple[str, ...]:
    """Columns in which answers have nothing; see `answers.unwritten`."""
    found = answers.unwritten(options, entry)
    return (*found, *names(columns.RIGHT_STEPS)) if "right" in found else found


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per cell: the answer, what the scorer thinks of it, and how it came about."""
    known = {at: texts.by_id(*at) for at in {(cell.prompts, cell.lexicon) for cell in cells}}
    asked = [in_tokens(engine, known[cell.prompts, cell.lexicon][cell.prompt]) for cell in cells]
    schedules = [cell.schedule() for cell in cells]
    canvases = [
        answers.canvas_of(engine, text, cell.length, key(cell), rules.last_block(cell.order))
        for text, cell in zip(asked, cells, strict=True)
    ]
    watchers = [AnswerWatcher(engine, *one) for one in zip(asked, schedules, strict=True)]
    found = loop.decode_all(engine, canvases, schedules, watchers=watchers)
    written = [answers.answer_of(engine.border, engine.entry, decoded) for decoded in found]
    scored = answers.score(engine.scorer, asked, [one.text for one in written])
    for cell, text, answer, score, watcher in zip(
        cells, asked, written, scored, watchers, strict=True
    ):
        row = {"answer": answer.text, "answer_tokens": len(answer.ids), "ended": answer.ended}
        row |= {"nll": score and score.nll, "scorer_tokens": score and score.tokens}
        row |= {"right": text.answer or None}
        row["correct"] = text_metrics.exact(answer.text, text.answer) if text.answer else None
        row |= text_quality.columns_of(text.prompt, answer.text, answer.ids)
        row |= filling_columns(answer, engine.entry)
        row["canvas"] = answers.pieces(engine.border, engine.entry, answer.decoded.tokens)
        row |= watcher.columns(answer)
        yield cell, [{name: None if v != v else v for name, v in row.items()}]
