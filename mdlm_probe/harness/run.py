"""lm-eval's evaluator over our models: `simple_evaluate(model="mdlm", ...)`, and our `eval`.

Importing this registers `mdlm` with lm-eval. A run folder holds `eval__MODEL.jsonl` (every answer,
as soon as it is there), `eval__MODEL.csv` (metrics), run.json, and lm-eval's own files in a folder
named after the model.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lm_eval.models  # noqa: F401  lm-eval looks for its own only while none is registered
from lm_eval import evaluator
from lm_eval.api.registry import register_model
from lm_eval.loggers import EvaluationTracker

from mdlm_probe import harness, models
from mdlm_probe.core import machine, options
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.core.run_folder import RunFolder
from mdlm_probe.core.version import __version__
from mdlm_probe.harness import COLUMNS, AnswerLog, Loaded, ProbeLM
from mdlm_probe.likelihood.settings import Overlength, Settings
from mdlm_probe.models._checkpoint import Checkpoint
from mdlm_probe.prompts import lm_eval_documents
from mdlm_probe.runs import executors, loaded_models, plan, run_id, runner
from mdlm_probe.runs.executors.contract import EngineRequest, Executor

__all__ = ["COLUMNS", "EvaluationRequest", "ProbeLM", "run"]

register_model("mdlm")(ProbeLM)
evaluator.get_git_commit_hash = machine.described  # its own lets git complain on the screen

SEEDS = ("random_seed", "numpy_random_seed", "torch_random_seed", "fewshot_random_seed")


@dataclass(frozen=True)
class EvaluationRequest:
    """What is to be evaluated, and how; names as in lm-eval.

    Attributes:
        tasks: names of tasks, groups, tags, or YAML files.
        limit: documents of each task; below 1, a share of them.
        num_fewshot: examples in the context; None: as each task says.
        log_samples: whether every document's answers are written out.
        seed: of python, numpy, torch and the few-shot sampler; the first is that of our draws.
        apply_chat_template, fewshot_as_multiturn, system_instruction: how prompts are written;
            None: several turns if there is a chat template.
        include_path: a folder of task YAMLs.
        gen_kwargs: generation arguments, which go before presets and tasks.
        confirm_run_unsafe_code: whether tasks may run code that a model wrote.
        preset: "auto", "none" or a name, see `harness.presets`.
        data: a file that replaces the documents of the one task.
        settings: of likelihoods.
        overlength: what is done with contexts longer than the model reads, see `overlong`.
        hf_hub_log_args: what is pushed to the Hub, see `hub_results`; {}: nothing.
    """

    tasks: tuple[str, ...]
    limit: float | None = None
    num_fewshot: int | None = None
    log_samples: bool = False
    seed: tuple[int | None, ...] = (0, 1234, 1234, 1234)
    apply_chat_template: bool = False
    fewshot_as_multiturn: bool | None = None
    system_instruction: str | None = None
    include_path: str = ""
    gen_kwargs: dict[str, Any] = field(default_factory=dict)
    confirm_run_unsafe_code: bool = False
    preset: str = "auto"
    data: str = ""
    settings: Settings = field(default_factory=Settings)
    overlength: Overlength = "cut"
    hf_hub_log_args: dict[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Refuses what can't be meant.

        Raises:
            ProbeError: naming the option.
        """
        self.settings.check()
        harness.check_generation_arguments(self.gen_kwargs)
        harness.check_hub(self.hf_hub_log_args, self.log_samples)
        if not self.tasks:
            raise ProbeError("no tasks are named", expected="--tasks NAME,NAME")
        if self.limit is not None and not 0 < self.limit < math.inf:
            raise options.wrong("limit", self.limit, "above 0")
        if self.limit is not None and self.limit > 1 and self.limit % 1:
            raise options.wrong("limit", self.limit, "a whole number, or a share below 1")
        if self.num_fewshot is not None and self.num_fewshot < 0:
            raise ProbeError(
                f"--num_fewshot has {self.num_fewshot}", expected="0 or more", option="num_fewshot"
            )


def run(
    job: plan.Job,
    request: EvaluationRequest,
    progress: harness.EvaluationProgress,
    executor: Executor | None = None,
) -> list[dict[str, Any]]:
    """Evaluates a job's model; answers of an earlier run in its folder are used again.

    Args:
        job: whose model.
        request: what is evaluated, and how.
        progress: what a front end shows.
        executor: who answers, and keeps the model for others; none: this process, which puts it
            away afterwards.

    Returns:
        One row per metric, with `COLUMNS`: what the CSV holds of these tasks.

    Raises:
        ProbeError: whatever the user can mend; answers found before stay.
        KeyboardInterrupt: Ctrl-C; the same job resumes after the last answers in its file.
    """
    entry = models.entry_for(job.model, job.load)
    request.check()
    with lm_eval_documents.quiet():
        loaded = harness.load(request.tasks, request.include_path, request.data)
    _check_tasks(loaded, request)
    tracker = harness.tracker_for(job.output, request.hf_hub_log_args)
    presets = harness.presets_for(request.preset, entry, _generative(loaded))
    for note in _notes(entry, request, presets):
        progress.note(note)
    name = f"eval__{plan.slug(entry.name)}"
    with RunFolder.locked(job.output, name, fresh=job.fresh) as folder:
        log = folder.path(name).with_suffix(".jsonl")
        if job.fresh:
            folder.path(name).unlink(missing_ok=True)
        known = folder.begin(name, {"config": _config(job, entry)}, log)
        begun = _begun(request, presets)
        evaluations = [*known.get("evaluations", []), begun]
        folder.update(name, status="started", evaluations=evaluations)
        with executors.lent(executor) as lent:
            lm = _model(job, entry, request, log, progress, presets, lent)
            begun |= {"workers": list(lm.session.workers)} if lm.session.workers else {}
            begun["run"] = run_id.run_id(
                {**known["config"], "options": begun["options"], "sources": {}}, lm.session.facts
            )
            folder.update(name, **lm.session.facts, batch=lm.session.batch, evaluations=evaluations)
            try:
                results = _evaluate(lm, loaded, request, tracker)
                harness.add_cuts(lm, loaded, results)
                rows = harness.rows_of(entry.name, lm, loaded, results, begun["run"])
                written = harness.save(results, tracker, job.output, request.log_samples)
                begun["files"] = [path.name for path in written]
                harness.write(folder.path(name), rows)
                harness.check_metrics(loaded, results, _skipped(lm))
            finally:
                if lm.events:
                    folder.update(name, events=[*known.get("events", []), *lm.events])
        begun |= {"status": "finished", "ended": runner.now()}
        folder.update(name, status="finished", ended=begun["ended"], evaluations=evaluations)
    with lm_eval_documents.quiet():
        pushed = harness.finish_push(tracker)
    for note in pushed:
        progress.note(note)
    return rows


def _notes(entry: Checkpoint, request: EvaluationRequest, presets: dict[str, Any]) -> Iterator[str]:
    """What a reader should know of how the model is asked."""
    for task, preset in presets.items():
        said = ", ".join(f"{name} {value}" for name, value in preset.settings.items())
        yield f"{entry.name}, {task}: preset {preset.name}: {said}"
    if entry.chat and not request.apply_chat_template:
        yield f"{entry.name} was trained on chats: --apply_chat_template writes prompts so"


def _begun(request: EvaluationRequest, presets: dict[str, Any]) -> dict[str, Any]:
    """What run.json says of an evaluation that begins."""
    return {
        "started": runner.now(),
        "options": asdict(request) | {"presets": {t: p._asdict() for t, p in presets.items()}},
        "status": "started",
        "version": __version__,
        "machine": machine.facts(),
    }


def _skipped(lm: ProbeLM) -> str:
    skips = lm.overlong.rule == "skip"
    return "--overlength skip leaves out what is too long: cut or keep-start" if skips else ""


def _config(job: plan.Job, entry: Checkpoint) -> dict[str, Any]:
    """What must be equal for answers to be kept in one file; their names hold the rest."""
    return {
        "probe": "eval",
        "model": entry.name,
        "source": loaded_models.portable(loaded_models.place(entry.source)),
        "load": job.load.recorded(),
    }


def _check_tasks(loaded: Loaded, request: EvaluationRequest) -> None:
    """Refuses tasks that these models can't be asked."""
    for name, task in loaded.tasks.items():
        if getattr(task, "MULTIMODAL", False):
            raise ProbeError(f"task '{name}' shows pictures or sounds", expected="tasks of text")
        if getattr(task, "UNSAFE_CODE", False) and not request.confirm_run_unsafe_code:
            raise ProbeError(
                f"task '{name}' runs code that the model writes",
                hint="--confirm_run_unsafe_code lets it, on this machine",
            )


def _generative(loaded: Loaded) -> list[str]:
    kinds = {name: task.get_config("output_type") for name, task in loaded.tasks.items()}
    return [name for name, kind in kinds.items() if kind == "generate_until"]


def _model(
    job: plan.Job,
    entry: Checkpoint,
    request: EvaluationRequest,
    path: Path,
    progress: harness.EvaluationProgress,
    presets: dict[str, Any],
    executor: Executor,
) -> ProbeLM:
    answers = AnswerLog(path)
    asked = EngineRequest(entry, job.load, batch={"tokens": job.batch_tokens})
    return ProbeLM(
        executor.open(asked, progress.note),
        executor.border(entry, job.load),
        request.settings,
        seed=request.seed[0] or 0,
        answers=answers,
        presets=presets,
        user=tuple(request.gen_kwargs),
        progress=progress,
        overlength=request.overlength,
    )


def _evaluate(
    lm: ProbeLM, loaded: Loaded, request: EvaluationRequest, tracker: EvaluationTracker
) -> dict[str, Any]:
    """lm-eval's evaluator; what writes its files learns what was evaluated."""
    import jinja2
    from lm_eval import simple_evaluate

    name, chat = lm.entry.name, request.apply_chat_template
    several = chat if request.fewshot_as_multiturn is None else request.fewshot_as_multiturn
    seeds = dict(zip(SEEDS, request.seed, strict=True))
    for task in loaded.tasks.values():
        lm.overlong.leave_out(task)
    try:
        with lm_eval_documents.quiet():
            results: dict[str, Any] = simple_evaluate(
                model=lm,
                model_args={"model": name},
                tasks=loaded.top,
                task_manager=loaded.manager,
                num_fewshot=request.num_fewshot,
                limit=request.limit,
                gen_kwargs=dict(request.gen_kwargs) or None,
                log_samples=True,
                evaluation_tracker=tracker,
                system_instruction=request.system_instruction,
                apply_chat_template=chat,
                fewshot_as_multiturn=several,
                confirm_run_unsafe_code=request.confirm_run_unsafe_code,
                **seeds,
            )
    except (jinja2.UndefinedError, KeyError) as error:
        raise ProbeError(
            f"a document has no {error}", expected="the columns that its task's templates name"
        ) from None
    except jinja2.TemplateError as error:
        raise ProbeError(
            f"a template of the tasks fails: {error}", expected="a template of its columns"
        ) from None
    except ValueError as error:
        if any("mdlm_probe" in frame.filename for frame in _called(error)):
            raise
        raise ProbeError(f"lm-eval refuses: {error}") from None
    results["config"]["model"] = "mdlm"
    return results


def _called(error: Exception) -> list[traceback.FrameSummary]:
    """What lm-eval's evaluator called when an error came."""
    frames = traceback.extract_tb(error.__traceback__)
    inner = [i for i, frame in enumerate(frames) if frame.name == "simple_evaluate"]
    return frames[inner[0] :] if inner else frames
