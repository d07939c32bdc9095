"""Generation: prompts in, answers out as JSONL, one model at a time; runs can be resumed.

A run folder holds `generate__MODEL.jsonl`, one line per answer in the order of the prompts, and
run.json.
"""

from __future__ import annotations

import hashlib
import inspect
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mdlm_probe import models
from mdlm_probe.core.errors import ProbeError, TooLong, options_of
from mdlm_probe.core.json_lines import JsonLines
from mdlm_probe.core.options import Traits, check_least, recorded, traits_of
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.decoding import answers, canvas_of_prompt, infilling, presets, rule_options
from mdlm_probe.decoding.presets import PresetOption
from mdlm_probe.decoding.rules import DREAM_EPS, Order, RuleSettings
from mdlm_probe.decoding.schedule import Cache, Schedule, unfit
from mdlm_probe.decoding.schedule import check as check_schedule
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import infill, texts
from mdlm_probe.prompts.prompt import Text
from mdlm_probe.prompts.texts import chosen
from mdlm_probe.runs import executors, loaded_models, runner
from mdlm_probe.runs.answer_writer import AnswerWriter, GenerationProgress, GenerationRequest
from mdlm_probe.runs.executors.contract import Executor
from mdlm_probe.runs.plan import Job, slug
from mdlm_probe.runs.turns import continued, turn_path

if TYPE_CHECKING:
    from mdlm_probe.engine.queries import Asker


def plan(
    *,
    text: Annotated[tuple[str, ...], "prompts as they are", Traits(material=True)] = (),
    prompts: Annotated[
        str,
        "prompts in tasks/, path to a .jsonl or .txt file of your own, or - for stdin",
        Traits("prompts", material=True),
    ] = "open",
    lexicon: answers.LexiconOption = "full",
    tasks: answers.TasksOption = ("all",),
    limit: answers.LimitOption = 1000,
    length: Annotated[
        int, "masks of the canvas; for causal models: most tokens of an answer"
    ] = 256,
    steps: Annotated[int | None, "unmasking steps; default: one per mask"] = None,
    block: answers.BlockOption = None,
    order: Annotated[Order, "which masks of a block a step commits"] = "low_confidence",
    threshold: answers.ThresholdOption = 0.9,
    temperature: answers.TemperatureOption = 0.0,
    guidance: answers.GuidanceOption = 0.0,
    eos: answers.EosOption = "free",
    cache: Annotated[
        Cache, "keys and values kept within a block; all but none are approximations"
    ] = "none",
    top_p: rule_options.TopPOption = 1.0,
    top_k: rule_options.TopKOption = 0,
    alg_temp: rule_options.AlgTempOption = 0.0,
    eps: rule_options.EpsOption = DREAM_EPS,
    factor: rule_options.FactorOption = 1.0,
    entropy_bound: rule_options.EntropyBoundOption = 0.35,
    edit_threshold: rule_options.EditThresholdOption = 1.0,
    last_block: rule_options.LastBlockOption = "whole",
    preset: PresetOption = "auto",
    seed: Annotated[int, "seed of random orders and sampled tokens"] = 0,
    infill: Annotated[
        bool,
        "fill in <mask> and <mask:12> (12 masks) in the prompts, with the text at both sides seen",
        Traits(later=True),
    ] = False,
) -> GenerationRequest:
    """The prompts, and the schedule of their answers.

    Raises:
        ProbeError: a schedule that no canvas of this length has, or prompts that can't be read.
    """
    rule_settings = RuleSettings.of(locals())
    check_least(1, limit=limit)
    check_least(0, seed=seed)
    if infill:  # each prompt has masks of its own, see `infilling.schedule_of`
        steps, block, length = steps or 0, block or 0, 0
    else:
        steps, block = steps or length, answers.block_of(block, length, order)
    how = (steps, block, order, threshold, temperature, guidance, eos, cache)
    made = Schedule(*how, seed=seed, rule_settings=rule_settings)
    check_schedule(*((max(block, 1), _least(made)) if infill else (length, made)))
    found = _typed(text) or chosen(texts.load(prompts, lexicon), tasks, limit, "left")
    return GenerationRequest(tuple(found), length, made, infill)


def _least(schedule: Schedule) -> Schedule:
    """A schedule of one block, to be checked where its masks aren't counted yet."""
    return replace(schedule, steps=schedule.steps or 1, block=schedule.block or 1)


def _typed(prompts: Sequence[str]) -> list[Text]:
    """Prompts as a user typed them.

    Raises:
        ProbeError: one is empty, or not UTF-8.
    """
    given = [Text(str(i), "text", one) for i, one in enumerate(prompts, 1)]
    for one in given:
        if not one.prompt.strip() or one.prompt != one.prompt.encode(errors="replace").decode():
            raise ProbeError(
                f"prompt {one.id} is empty, or not UTF-8", expected="a text to continue"
            )
    return given


def run(job: Job, progress: GenerationProgress, executor: Executor | None = None) -> Path:
    """Writes the answers that are still missing of a job; returns the JSONL.

    Args:
        job: what to write.
        progress: what a front end shows.
        executor: who writes, and keeps the model for others; none: this process, which puts it
            away afterwards.

    Raises:
        ProbeError: whatever the user can mend; answers written before stay.
    """
    entry = models.entry_for(job.model, job.load)
    options = _options(job, entry)
    request = plan(**options)
    _check_infill(job, entry, request, progress)
    if reason := unfit(request.schedule.block, request.schedule.cache, entry):
        raise ProbeError(reason, option=options_of([reason]))
    with executors.lent(executor) as lent:
        path = _turn(job, entry, options, request, 1, progress, lent)
        said = 0 if request.infill else max((len(text.then) for text in request.texts), default=0)
        for turn in range(2, said + 2):
            request = replace(request, texts=continued(request.texts, _path(job, entry, turn - 1)))
            _turn(job, entry, options, request, turn, progress, lent)
    return path


def _path(job: Job, entry: Checkpoint, turn: int) -> Path:
    return turn_path(job.output / f"generate__{slug(entry.name)}.jsonl", turn)


def _turn(
    job: Job,
    entry: Checkpoint,
    options: dict[str, Any],
    request: GenerationRequest,
    turn: int,
    progress: GenerationProgress,
    executor: Executor,
) -> Path:
    """Writes the answers that are missing of a turn of all conversations."""
    fitting, longest, refused = _fitting(job, entry, request)
    path = _path(job, entry, turn)
    name = path.stem
    with RunFolder.locked(job.output, name, fresh=job.fresh) as folder:
        known = folder.begin(name, {"config": _config(job, entry, options, request, turn)}, path)
        log = JsonLines(path, "answer to a prompt", ("prompt", "prompt_text"))
        for reason, number in refused.items():
            progress.note(f"{entry.name}: {number} prompts left out: {reason}")
        _check_prompts(log, fitting.texts)
        if len(log.records) == len(fitting.texts) and known.get("status") == "finished":
            progress.note(f"{path} is finished: nothing to do")
        else:
            AnswerWriter(job, entry, fitting, folder, name, log, progress, executor).write(longest)
        left = {"refused": refused} if refused else {}
        folder.update(name, status="finished", ended=runner.now(), **left)
    return path


def _check_infill(
    job: Job, entry: Checkpoint, request: GenerationRequest, progress: GenerationProgress
) -> None:
    """Says where a prompt that isn't filled in has a marker.

    Raises:
        ProbeError: a model that can't fill in, or a length for masks that the prompts count.
    """
    if not request.infill:
        count = sum(infill.marked(text.prompt) for text in request.texts)
        if count and entry.attention == "bidirectional":
            progress.note(f"prompts that hold <mask>: {count}; only --infill fills it in")
        return
    infilling.check(entry)
    if job.options.get("length") is not None:
        raise ProbeError(
            "--length is given, but with --infill prompts say how many masks they have",
            expected="one of the two",
            option=("length", "infill"),
        )


def _config(
    job: Job,
    entry: Checkpoint,
    options: dict[str, Any],
    request: GenerationRequest,
    turn: int,
) -> dict[str, Any]:
    """What must be equal for answers to belong together."""
    histories = [text.history for text in request.texts]
    whole = repr(request.texts) + (repr(histories) if any(histories) else "")
    prompts = hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()
    return ({} if turn == 1 else {"turn": turn}) | {
        "probe": "generate",
        "model": entry.name,
        "source": loaded_models.portable(loaded_models.place(entry.source)),
        "options": recorded(plan, options),
        "sources": {"prompts": prompts},
        "load": job.load.recorded(),
    }


def _options(job: Job, entry: Checkpoint) -> dict[str, Any]:
    known = inspect.signature(plan).parameters
    given = {name: value for name, value in job.options.items() if value not in (None, ())}
    traits = traits_of(plan)
    brought = any(traits[name].material for name in given)
    own = {} if brought else entry.defaults_for("generate")
    suited = {name: value for name, value in own.items() if name in known}
    usual = {name: p.default for name, p in known.items()}
    found = usual | suited | given | presets.options_for(entry, usual, suited | given)
    if found["infill"]:  # those of a preset or a checkpoint are for answers of its length
        found |= {name: given.get(name, usual[name]) for name in ("length", "steps", "block")}
    return found


def _fitting(
    job: Job, entry: Checkpoint, request: GenerationRequest
) -> tuple[GenerationRequest, int, dict[str, int]]:
    """A request without the prompts that leave no room for an answer, most tokens of a prompt with
    its answer, and why how many were left out: found before any weights are loaded.

    Raises:
        ProbeError: a prompt that can't be read; one that leaves no room, where all others do, too.
    """
    from mdlm_probe.engine.dry_run import DryRun

    border = models.load_border(entry, job.load)
    asker = DryRun(border.entry, border)
    found, lengths, left = [], [], []
    for text in request.texts:
        try:
            lengths.append(_tokens(asker, text, request))
            found.append(text)
        except TooLong as error:
            left.append(error)
    if not found:
        raise left[0]
    own = request.length if entry.kind == "causal" else 0
    refused = dict(Counter(error.reason for error in left))
    return replace(request, texts=tuple(found)), max(lengths) + own, refused


def _tokens(asker: Asker, text: Text, request: GenerationRequest) -> int:
    """Tokens of a prompt with its masks."""
    if not request.infill:
        return len(canvas_of_prompt.span(asker, text, request.length, "left").ids)
    canvas = infilling.canvas_of(asker, text, "")
    infilling.schedule_of(request.schedule, canvas, text.id)
    return len(canvas.ids)


def _check_prompts(log: JsonLines, wanted: Sequence[Text]) -> None:
    """Refuses answers to other prompts than those that come first.

    Raises:
        ProbeError: naming the file.
    """
    found = [record["prompt"] for record in log.records]
    if found != [text.id for text in wanted][: len(found)]:
        raise ProbeError(
            f"{log.path} is damaged, or holds answers to other prompts", hint="--fresh starts over"
        )
