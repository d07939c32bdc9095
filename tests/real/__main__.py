"""Runs every command on SmolLM2-135M at small size, and compares its numbers: `make real`.

Log-probabilities are compared with transformers' own, an evaluation with lm-eval's `hf` model, the
two masked formats with each other; a needle is to be found in 256 and 512 tokens. Minutes on a CPU;
arguments are formats ("llama", "llada", "dream"); none: all.
"""

import contextlib
import csv
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TQDM_DISABLE": "1"}

import lm_eval
import numpy as np
import torch
from transformers import AutoModelForCausalLM

from mdlm_probe import harness, models
from mdlm_probe.engine.engine import Engine
from mdlm_probe.engine.queries import Query, Readout
from mdlm_probe.prompts import lm_eval_documents, texts
from tests.helpers import eval_tasks
from tests.helpers.commands import call
from tests.helpers.lm_over import lm_over
from tests.real.smollm2 import folders

FEW = ("--tasks", "verb-smallest", "--shots", 1, "--distractors", 1, "--limit", 1)
ONE = ("--tasks", "arithmetic", "--limit", 1)
"""One test point among two examples; one prompt."""
BATCH = ("--batch-tokens", 1024)
"""Finding out how many fit takes as long as all the rest."""
COMMON = {
    "locality": (*FEW, "--positions", "0,1"),
    "attribution": (*FEW, "--orders", 1),
    "needle": ("--lengths", 128, "--depths", 50, "--limit", 1),
    "parallel": ("--families", "copy,shuffle", "--limit", 1),
    "context": (*ONE, "--span", "1,4", "--right", "1,all"),
    "canvas": ("--length", "8,16", "--limit", 1),
    "remasking": (*ONE, "--length", 8),
    "attention": (*ONE, "--length", 8, "--reads", 2),
    "generate": (*ONE, "--length", 8),
}
CAUSAL = {
    "masks": (*FEW, "--masks", "0,5", "--filler", "text"),
    "decay": (*ONE, "--masks", 4, "--ar-sample", 4),
}
MASKED = {
    "masks": (*FEW, "--masks", "0,5", "--filler", "mask"),
    "decay": (*ONE, "--masks", 8),
    "joint": (*ONE, "--measure", "orders,budget,total", "--length", 4, "--random", 1),
    "alignment": (*ONE, "--length", 8),
    "blocks": (*ONE, "--length", 8, "--block", 4, "--steps", 4, "--scorer", "none"),
    "cache": (*ONE, "--length", 8, "--block", 4),
    "shift": (*ONE, "--length", 8, "--block", 8, "--frac", 0.2, "--scorer", "none"),
}


@contextlib.contextmanager
def step(name: str) -> Iterator[list[str]]:
    """Says how long something took, and what was found."""
    began, found = time.perf_counter(), []
    yield found
    print(f"{name:32} {time.perf_counter() - began:6.1f} s  {' '.join(found)}", flush=True)


def logprobs(folder: Path) -> None:
    """Our log-probabilities of a text's own tokens, and transformers' own."""
    with step("log-probabilities") as found:
        engine = Engine(models.load(models.resolve(str(folder))))
        text = next(t for t in texts.load("decay") if t.task == "code")
        ids = engine.border.pieces(text.prompt + text.continuation)
        own = Readout("own", (1, *ids[1:]))
        ours = engine.ask([Query(ids[:-1], tuple(range(1, len(ids))), (own,))])[0]["own"]
        network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            rows = network(torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
        theirs = rows.gather(1, torch.tensor(ids[1:])[:, None])[:, 0].numpy()
        apart = float(np.abs(ours.reshape(-1) - theirs).max())
        found.append(f"{len(ids)} tokens, at most {apart:.1e} nats from transformers'")
        assert apart < 2e-4, found
        assert ours.mean() > -3, "the conversion is wrong: this is no language model"


def evaluation(folder: Path, place: Path) -> None:
    """The likelihoods of lm-eval's own model and ours."""
    from lm_eval.models.huggingface import HFLM

    with step("eval against lm-eval's hf") as found:
        tasks = harness.load(("t_choice", "t_long"), str(eval_tasks.write(place)))
        values = []
        lm = lm_over(Engine(models.load(models.resolve(str(folder)))))
        for model in (HFLM(str(folder), device="cpu", dtype="float32", batch_size=1), lm):
            with lm_eval_documents.quiet():
                results = lm_eval.simple_evaluate(
                    model=model, tasks=tasks.top, task_manager=tasks.manager, bootstrap_iters=0
                )
            samples = [one for own in results["samples"].values() for one in own]
            values.append([logp for one in samples for logp, _ in one["filtered_resps"]])
        theirs, ours = map(np.array, values)
        apart = float((np.abs(ours - theirs) / np.abs(theirs)).max())
        found.append(f"{len(ours)} choices, relative difference at most {apart:.0e}")
        assert apart < 1e-4, found


def both_ways(places: dict[str, Path]) -> None:
    """A LLaDA's row is a Dream's, one place further on: the network is the same."""
    with step("LLaDA's rows are Dream's") as found:
        rows = []
        for kind, shift in (("llada", 0), ("dream", 1)):
            engine = Engine(models.load(models.resolve(str(places[kind]))))
            ids = (*engine.border.pieces("The capital of France is"), engine.entry.mask, 13)
            asked = tuple(place + shift for place in range(len(ids) - 1))
            (answer,) = engine.ask([Query(ids, asked, (Readout("whole"),))])
            rows.append(answer["whole"])
        finite = np.isfinite(rows[0])
        apart = float(np.abs(rows[0][finite] - rows[1][finite]).max())
        found.append(f"at most {apart:.0e} nats apart")
        assert apart < 1e-4, found


def needle(folder: Path, place: Path) -> None:
    """A model that was trained on 8k tokens finds a fact in 512."""
    with step("needle in 256 and 512 tokens") as found:
        how = ("--depths", "0,50,100", "--limit", 2, "--baseline", "none", "--style", "base")
        call("needle", "-m", folder, "--lengths", "256,512", *how, *BATCH, "-o", place, "-q")
        with next(place.glob("needle__*.csv")).open(encoding="utf-8") as file:
            right = [row["correct"] == "1" for row in csv.DictReader(file)]
        found.append(f"{sum(right)} of {len(right)} found")
        assert all(right), found


def commands(kind: str, folder: Path, place: Path) -> None:
    """Every command that the model can be asked, and what reads its rows."""
    for name, options in (COMMON | (CAUSAL if kind == "llama" else MASKED)).items():
        with step(f"{kind}: {name}"):
            call(name, "-m", folder, *options, *BATCH, "-o", place / name, "-q")
    with step(f"{kind}: eval, plan"):
        tasks = ("--include_path", eval_tasks.write(place / "tasks"), "--tasks", "t_choice")
        call("eval", "-m", folder, *tasks, "--limit", 1, *BATCH, "-o", place / "eval", "-q")
        call("plan", "locality", "-m", folder, *FEW)
    with step(f"{kind}: report, export, compare"):
        call("report", place)
        call("export", place / "locality", "--to", "jsonl", "--output", place / "exported")
        call("compare", place / "locality", place / "locality", code=None)


def main(kinds: list[str]) -> None:
    """All checks of some formats."""
    places = folders()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for kind in kinds or places:
            place = Path(folder) / kind
            commands(kind, places[kind], place / "commands")
            if kind == "llama":
                logprobs(places[kind])
                evaluation(places[kind], place / "tasks")
                needle(places[kind], place / "needle")
        if not kinds:
            both_ways(places)
    print(f"all is well, in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
