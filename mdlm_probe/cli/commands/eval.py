"""The command `eval`: lm-eval's evaluator over our models, with lm-eval's names of options."""

from __future__ import annotations

import os
import typing
from pathlib import Path
from typing import Any

import click

from mdlm_probe.cli.completions import lm_task_names
from mdlm_probe.cli.options import (
    MODEL_OPTIONS,
    RUN_OPTIONS,
    TRUST,
    WORKER_OPTIONS,
    Commas,
    jobs_of,
    whole,
)
from mdlm_probe.cli.progress import Bar
from mdlm_probe.cli.screen import echo
from mdlm_probe.cli.show import echo_table
from mdlm_probe.core.columns import names
from mdlm_probe.core.errors import ProbeError
from mdlm_probe.likelihood.settings import (
    USUAL,
    Estimator,
    Fill,
    GreedyOrder,
    Order,
    Overlength,
    Settings,
)

HELP = """Evaluates models on lm-eval's tasks: its evaluator, its options, our numbers.

Shipped tasks (tasks/lm_eval) and local YAMLs need no network. Every answer is kept at once: the
same command resumes after Ctrl-C, and more tasks or documents reuse what is there. Functions in
task files run code: those of others only with --trust-tasks.

Example: mdlm-probe eval --model tiny-mdlm --tasks suite_animal --limit 20
"""
SETTINGS = (
    *("estimator", "order", "bound", "draws", "target_se", "decide", "fill"),
    *("cfg", "count_mask", "greedy_order"),
)
SEEDS = (0, 1234, 1234, 1234)


class Requests(Bar):
    """Progress of requests."""

    unit = "requests"


def _option(name: str, *short: str, **more: Any) -> click.Option:
    names = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
    return click.Option([*names, *short, name], **more)


YES: dict[str, Any] = {"is_flag": False, "flag_value": "true", "type": click.BOOL}
LM_EVAL_OPTIONS = [
    _option("tasks", "-t", type=Commas(click.STRING), required=True, shell_complete=lm_task_names,
            help="Tasks, groups, tags, or task YAMLs; * stands for any text."),
    _option("limit", "-L", type=click.FLOAT, help="Documents per task; below 1: a share."),
    _option("num_fewshot", "-f", type=click.INT, help="Examples per prompt; default: the task's."),
    _option("apply_chat_template", default=False, **YES, help="Write prompts as chat messages."),
    _option("fewshot_as_multiturn", **YES, default=None,
            help="Examples as messages; default: with the chat template."),
    _option("system_instruction", help="A system message, or the first line of prompts."),
    _option("gen_kwargs", help="Generation arguments: max_gen_toks=64,steps=32,block=8,"
            "order=threshold,eos=eos_last,temperature=0.5,cache=prefix, and generate's other"
            " options; they override the task's."),
    _option("preset", default="auto", help="Generation settings that authors publish: auto"
            " (those of this model and task), none, or a name in presets.yaml."),
    _option("include_path", default="", help="Folder of task YAMLs."),
    _option("data", default="", help="File that replaces the documents of a single task."),
    _option("log_samples", "-s", is_flag=True, help="Also write the answer to every document."),
    _option("seed", default=",".join(map(str, SEEDS)),
            help="One seed, or four: Python and our draws, NumPy, torch, examples."),
    _option("batch_size", "-b", help="Ignored: see --batch-tokens."),
    _option("overlength", type=click.Choice(typing.get_args(Overlength)), default="cut",
            help="Contexts longer than the model reads: cut on the left as lm-eval does, keep-start"
            " (cut after BOS), skip the document, or error."),
    _option("hf_hub_log_args", default="", metavar="NAME=VALUE,...",
            help="Push to the Hub, as lm-eval does: hub_results_org=me,push_results_to_hub=True,"
            "...; the token is HF_TOKEN's. Default: nothing."),
    _option("confirm_run_unsafe_code", is_flag=True, help="Let tasks run code that a model wrote."),
]  # fmt: skip
"""lm-eval's options, in both spellings."""

LIKELIHOOD_OPTIONS = [
    _option("estimator", type=click.Choice(typing.get_args(Estimator)),
            default=USUAL.estimator, help="Likelihoods of masked models; auto: the chain"
            " rule up to --bound tokens, mc beyond."),
    _option("order", type=click.Choice(typing.get_args(Order)),
            default=USUAL.order, help="Order of the chain rule."),
    _option("bound", type=click.INT, default=USUAL.bound,
            help="Longest text that auto scores by the chain rule, in tokens;"
            f" default: {USUAL.bound}."),
    _option("draws", type=click.INT, default=USUAL.draws,
            help=f"Most passes per Monte Carlo estimate; default: {USUAL.draws}."),
    _option("target_se", type=click.FLOAT, default=USUAL.target_se,
            help="Standard error (nats) at which drawing stops; default: 0, all draws."),
    _option("decide", is_flag=True,
            help="Stop drawing once the best choice of a document is 99.9 % certain."),
    _option("fill", type=click.Choice(typing.get_args(Fill)), default=USUAL.fill,
            help="Block-causal models: what stands behind a text in its last block: masks as in"
            " decoding, ends of text, or nothing (cut)."),
    _option("cfg", type=click.FLOAT, default=USUAL.cfg,
            help="Scale of classifier-free guidance of likelihoods, by a second pass whose context"
            " is masked; default: 0, none."),
    _option("count_mask", is_flag=True,
            help="Let the mask's own logit count where distributions are normalised, as published"
            " harnesses do; else it has no probability."),
    _option("greedy_order", type=click.Choice(typing.get_args(GreedyOrder)),
            default=USUAL.greedy_order,
            help="Order in which greedy decoding is checked: left to right, or, as LLaDA's harness,"
            " the most confident token first."),
]  # fmt: skip
OUTPUT = click.Option(
    ["--output", "-o", "--output_path", "--output-path"],
    type=click.Path(path_type=Path),
    help="Default: results/eval.",
)

HEADS = {"stderr": "se over documents", "mc_stderr": "se of draws", "n_shot": "shots"}


def callback(**given: Any) -> None:
    """Evaluates the models one after another, prints all numbers, and says where they are."""
    jobs = jobs_of("eval", (), given)
    # lm-eval and datasets read these when they are imported: our bar is the only one
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from mdlm_probe.analysis.tables import number
    from mdlm_probe.harness import run
    from mdlm_probe.runs.executors import executor_of

    request = request_of(given)
    rows = []
    by = executor_of(given["workers"], given["ray_address"])
    with Requests(given["quiet"]) as bar, by as executor:
        if given["batch_size"]:
            bar.note("--batch_size means nothing here: batches are cut by --batch-tokens")
        for job in jobs:
            rows += run.run(job, request, bar, executor)
    columns = names(run.COLUMNS)
    heads = [HEADS.get(name, name) for name in columns]
    echo_table(heads, [[number(row[name]) for name in columns] for row in rows])
    echo(f"\nwrote {jobs[0].output}")


def request_of(given: dict[str, Any]) -> Any:
    """What parsed options ask for."""
    from mdlm_probe.harness import run

    names = [
        *("tasks", "limit", "num_fewshot", "log_samples", "apply_chat_template"),
        *("fewshot_as_multiturn", "system_instruction", "include_path", "preset", "data"),
        *("confirm_run_unsafe_code", "overlength"),
    ]
    return run.EvaluationRequest(
        **{name: given[name] for name in names},
        seed=seeds_of(given["seed"]),
        gen_kwargs=arguments_of("gen_kwargs", given["gen_kwargs"] or ""),
        hf_hub_log_args=arguments_of("hf_hub_log_args", given["hf_hub_log_args"]),
        settings=Settings(**{name: given[name] for name in SETTINGS}),
    )


def seeds_of(text: str) -> tuple[int | None, ...]:
    """--seed as lm-eval reads it: one number for all, or four, `None` for one left alone."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) not in (1, 4) or not all(p == "None" or whole(p) is not None for p in parts):
        raise ProbeError(
            f"--seed is '{text}'", expected="a whole number, or four: 0,1234,1234,7", option="seed"
        )
    found = tuple(None if part == "None" else int(part) for part in parts)
    return found * 4 if len(found) == 1 else found


def arguments_of(option: str, text: str) -> dict[str, Any]:
    """An option as lm-eval reads it: `name=value,name=value`."""
    from lm_eval.utils import simple_parse_args_string

    for part in (part for part in text.split(",") if part.strip()):
        if "=" not in part:
            raise ProbeError(
                f"--{option} has '{part}'", expected="name=value,name=value", option=option
            )
    found = simple_parse_args_string(text)
    return {name.strip(): value for name, value in found.items()}


command = click.Command(
    "eval",
    callback=callback,
    params=[
        *MODEL_OPTIONS[:1],
        *LM_EVAL_OPTIONS,
        TRUST,
        *LIKELIHOOD_OPTIONS,
        *MODEL_OPTIONS[1:],
        *WORKER_OPTIONS,
        OUTPUT,
        *(option for option in RUN_OPTIONS if option.name != "output"),
    ],
    help=HELP,
    short_help="Evaluates models on lm-eval's tasks.",
)
