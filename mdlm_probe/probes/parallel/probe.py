"""What do steps of several masks lose, where the best is known?

A list of words is to be copied, sorted, shuffled and so on. With k slots of the answer filled in
per step, each from its own marginal, an ideal reader is right as often as a closed form says:
always where a single answer is right, less often where several are, and slots have to agree. A
model's share of right answers stands beside it. Source: ParallelBench (arXiv 2510.04767): the
families, and the closed form of some. Ours: items and wording, few-shot prompts, canvases as long
as the answer (a length that is given is an advantage), words of one token each, the closed forms of
the other families, and faults. A causal model writes one token per step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe.core import options
from mdlm_probe.core.cell_ranges import Cells, cells_of
from mdlm_probe.core.cells import key
from mdlm_probe.core.errors import ProbeError, Refusal
from mdlm_probe.decoding import answers, loop, rule_options, rules
from mdlm_probe.decoding.rules import RULES, Order, RuleSettings
from mdlm_probe.decoding.schedule import Schedule, check
from mdlm_probe.probes.parallel import answering, columns
from mdlm_probe.probes.parallel.coordinates import Cell
from mdlm_probe.prompts import list_prompts
from mdlm_probe.prompts.list_tasks import FAMILIES, Family

if TYPE_CHECKING:
    from mdlm_probe.engine.contract import AnyEngine
    from mdlm_probe.models._checkpoint import Checkpoint

KINDS = ("masked", "causal")
COLUMNS = columns.COLUMNS


def plan(
    *,
    families: Annotated[tuple[Family, ...], "what is to be done with the lists"] = FAMILIES,
    words: Annotated[tuple[int, ...], "words of a list"] = (8,),
    per_step: Annotated[tuple[int, ...], "masks that a step commits"] = (1, 2, 4, 8),
    order: Annotated[
        tuple[Order, ...],
        "which masks a step commits; threshold, factor and entropy_bounded ignore --per-step",
    ] = ("random",),
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 1.0,
    factor: rule_options.FactorOption = 1.0,
    entropy_bound: rule_options.EntropyBoundOption = 0.35,
    shots: Annotated[int, "examples with answers before each item"] = 4,
    limit: Annotated[int, "items per family and length of lists", options.AMOUNT] = 100,
    lists: Annotated[
        str,
        "list tasks in tasks/, or path to a YAML file of your own",
        options.Traits(material=True),
    ] = "lists",
    lexicon: Annotated[
        str, "lexicon of the lists: full or small", options.Traits("lexicons")
    ] = "full",
    seed: Annotated[int, "seed of lists, random orders and sampled tokens"] = 0,
) -> Cells[Cell]:
    """The cells: families, lengths, items, and of each item all ways of filling in its answer."""
    settings = RuleSettings.of(locals())
    options.check_least(1, limit=limit, per_step=per_step)
    options.check_least(2, words=words)
    options.check_least(0, shots=shots, seed=seed)
    options.check_once(families=families, words=words, per_step=per_step, order=order)
    check(1, Schedule(1, 1, "random", threshold, temperature))
    _check_lists(list_prompts.load(lists, lexicon), families, words, lexicon)
    return cells_of(
        Cell,
        ("family", families),
        ("list_length", words),
        ("item", range(limit)),
        (("order", "asked_per_step"), _ways(order, per_step, settings)),
        lists=lists,
        lexicon=lexicon,
        seed=seed,
        shots=shots,
        temperature=temperature,
        threshold=threshold,
    )


def _check_lists(
    source: list_prompts.ListPrompts, families: Sequence[Family], words: Sequence[int], lexicon: str
) -> None:
    """Raises ProbeError for families without wording, and for lists longer than the lexicon."""
    known = [family for family, _ in source.tasks]
    if missing := [family for family in families if family not in known]:
        raise ProbeError(
            f"'{source.name}' has no wording for {missing[0]}",
            expected="one of " + ", ".join(known),
            option="families",
        )
    if max(words) >= len(source.words):
        expected = f"fewer than the {len(source.words)} words of lexicon {lexicon}"
        raise options.wrong("words", max(words), expected)


def _ways(
    order: Sequence[Order], per_step: Sequence[int], settings: RuleSettings
) -> list[tuple[str, int]]:
    """Ways of filling in an answer: orders with their settings, and masks that a step commits."""
    own = rules.settings_by_order(order, settings)
    if "dream_origin" in order:
        raise ProbeError(
            "--order dream_origin draws how many masks a step commits",
            expected="an order that commits --per-step of them, such as random",
            option=("order", "per_step"),
        )
    return [
        (rules.joined(name, own.get(name, RuleSettings())), count)
        for name in order
        for count in ((0,) if RULES[name].free else per_step)
    ]


def sources(lists: str, lexicon: str, **_: Any) -> dict[str, str]:
    """What the items are made of, as a hash: other words or wording are another measurement."""
    return {"lists": list_prompts.load(lists, lexicon).digest()}


def suited(entry: Checkpoint) -> dict[str, Any]:
    """A causal model has one way of writing."""
    causal = entry.kind == "causal"
    return {"per_step": (1,), "order": ("left_to_right",)} if causal else {}


def refuse(cell: Cell, entry: Checkpoint) -> str:
    """Why a cell can't be asked of a model; empty if it can."""
    if entry.kind == "masked" or (cell.asked_per_step, cell.order) == (1, "left_to_right"):
        return ""
    found = "a causal model writes one token per step, from left to right"
    return Refusal.of(found, "per_step", "order")


def measure(
    engine: AnyEngine, cells: Sequence[Cell]
) -> Iterator[tuple[Cell, list[dict[str, Any]]]]:
    """One row per cell: the answer, and how often an ideal reader's would be right."""
    asked = [answering.asked_task(engine, cell) for cell in cells]
    schedules = [cell.schedule() for cell in cells]
    if engine.entry.kind == "masked":
        found = loop.decode_all(engine, [one.canvas for one in asked], schedules)
    else:
        found = engine.run(
            [
                loop.Continuation(
                    *(one.canvas.ids, one.task.slots, schedule, engine.entry, key(cell)),
                    cached=engine.has_kv_cache,
                )
                for one, schedule, cell in zip(asked, schedules, cells, strict=True)
            ]
        )
    for cell, one, decoded in zip(cells, asked, found, strict=True):
        yield cell, [answering.row(engine.border, cell, one, decoded)]
